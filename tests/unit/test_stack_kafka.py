"""The stack's Kafka, as far as it can be tested without starting it."""

from pathlib import Path

import pytest

from stack.errors import StackError
from stack.servers.kafka import VERSION, Kafka
from stack.servers.security import Security


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


def test_a_password_that_kafka_would_cut_in_two_is_refused(tmp_path: Path) -> None:
    """Its tool splits name and password at every comma. All else is quoted; tests/broker/test_secured.py uses it."""
    assert ["--add-scram", 'SCRAM-SHA-512=[name="a b",password="c"d"]'] == Security(
        tmp_path, {"a b": 'c"d'}
    ).build_format_options()
    with pytest.raises(StackError, match="holds a comma, which Kafka's storage tool cannot be given; choose one"):
        Security(tmp_path, {"a": "b,c"}).build_format_options()
