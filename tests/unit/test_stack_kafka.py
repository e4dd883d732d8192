"""The stack's Kafka, as far as it can be tested without starting it."""

from pathlib import Path

import pytest

from stack.errors import StackError
from stack.servers.kafka import VERSION, Kafka


@pytest.mark.parametrize("noted", [None, "4.3.1"])
def test_data_of_another_version_is_refused_in_words(tmp_path: Path, noted: str | None) -> None:
    """Kafka would end with a stack trace; nothing of the data is touched."""
    meta = tmp_path / "data" / "meta.properties"
    meta.parent.mkdir()
    meta.write_text("version=1\n")
    if noted is not None:
        (tmp_path / "version").write_text(noted)
    with pytest.raises(StackError, match=rf"of another version of Kafka than {VERSION}; delete the stack's folder"):
        Kafka(tmp_path).start()
    assert "version=1\n" == meta.read_text()
