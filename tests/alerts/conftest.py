"""One whole service for all tests of this folder, watched as a deployment would be."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.site import Site, run_site


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """Give a whole service, on free ports, with Prometheus and Alertmanager."""
    with TemporaryDirectory(prefix="user-information-service-") as folder, run_site(Path(folder)) as made:
        yield made
