"""Dead letters from the command line: listed, counted, mended, put back through without undoing what is newer."""

import json
from pathlib import Path

import pytest

from tests.broker.joiners import Joiners
from tests.programs import Program
from tests.waiting import wait_for

pytestmark = pytest.mark.broker


def said(joiners: Joiners, *arguments: str) -> str:
    """Run `python -m joiner dead-letters …` to its end, and return what it printed."""
    joiner = joiners.programs[0]
    log = Path(joiner.environment["JOINER_STATE_DIR"]).with_name("-".join(["letters", *arguments]).replace("/", "_"))
    log.unlink(missing_ok=True)
    with Program("joiner", joiner.environment, log, "dead-letters", *arguments) as program:
        assert program.wait(60) == 0, program.log()
        return program.log()


def test_mended_letters_go_back_through_unless_the_row_is_newer_already(joiners: Joiners, tmp_path: Path) -> None:
    """A mended row arrives; one that its source has written since stays as it is; what is still bad is left out."""
    topics = joiners.topics
    topics.create_sources()
    joiners.start()
    topics.put("users", user_id=1, username="alice")
    topics.send("likes", b"10", b'{"like_id": 10, "user_id": ')
    topics.send("users", b"1", b'{"user_id": 1, "username": {"first": "old"}}')
    topics.send("likes", b"11", b"{")
    topics.put("users", user_id=1, username="alice, renamed")
    wait_for(lambda: len(topics.messages("user-info-dead-letters")) == 3, what="three dead letters")

    # 1. They are listed, and counted by reason.
    listed = said(joiners)
    assert "       2  bad-json" in listed
    assert "       1  not-text" in listed
    assert f"{topics.name('users')}[" in listed

    # 2. Two of them are mended in a file; the third stays as it is.
    letters = [json.loads(line) for line in said(joiners, "--json").splitlines()]
    for letter in letters:
        if letter["key"] == "10":
            letter["value"] = '{"like_id": 10, "user_id": 1}'
        if letter["key"] == "1":
            letter["value"] = '{"user_id": 1, "username": "old"}'
    file = tmp_path / "mended.jsonl"
    file.write_text("".join(json.dumps(letter) + "\n" for letter in letters))

    # 3. Nothing is written until it is asked for; then only the like is.
    dry = said(joiners, "replay", "--from", str(file))
    assert "Nothing is written yet" in dry
    done = said(joiners, "replay", "--from", str(file), "--yes")
    assert "superseded by" in done
    assert "still unreadable bad-json" in done
    assert "1 written to their source topics again" in done
    topics.rows["likes"]["10"] = {"like_id": 10, "user_id": 1}
    joiners.await_truth()
    assert b"alice, renamed" in topics.latest("user-info")[b"1"]

    # 4. Asked again, what was put back is the newer record itself.
    assert "0 written to their source topics again" in said(joiners, "replay", "--from", str(file), "--yes")
