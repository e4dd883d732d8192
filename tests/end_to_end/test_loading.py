"""`python -m stack seed` and `load` on tables that a service follows: files that fit, files that do not, changes."""

import re
from pathlib import Path

import psycopg
import pytest

from tests.support.programs import Program
from tests.support.service import Service
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "user_id,nickname\n1,al\n",
            "names 'nickname', which the table users does not have\n  Try: use its columns: user_id,",
        ),
        ("username\nalice\n", "has no column user_id, the primary key of users"),
        ("", "has no column user_id, the primary key of users"),
        ("user_id,username\n1,alice\n1,bob\n", "does not fit the table users"),
        ("user_id,username\n,alice\n", "does not fit the table users"),
        ("user_id,username\none,alice\n", "does not fit the table users"),
        ("user_id,username\n1,alice,bob\n", "does not fit the table users"),
        ("user_id,usernamé\n1,alice\n".encode("latin-1"), "is not UTF-8"),
        (f"user_id,username\n1,{'a' * 20_000}é\n".encode("latin-1"), 'invalid byte sequence for encoding "UTF8"'),
        (None, "No such file or directory"),
    ],
    ids=[
        "unknown column",
        "no primary key",
        "empty file",
        "same key twice",
        "key missing in a row",
        "not a number",
        "a field too many",
        "header not UTF-8",
        "row not UTF-8",
        "no file",
    ],
)
def test_a_file_that_does_not_fit_is_named(
    service: Service, tmp_path: Path, content: str | bytes | None, complaint: str
) -> None:
    """Status 1, one message with the file's name and what is wrong, and not a row written."""
    file = tmp_path / "people.csv"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    likes = tmp_path / "likes.csv"
    likes.write_text("like_id,user_id\n1,1\n")

    status, said = seed(service, tmp_path, "--likes", str(likes), "--users", str(file))

    assert 1 == status, said
    assert said.startswith("Error: ")
    assert complaint in said
    assert str(file) in said
    with psycopg.connect(service.dsn) as connection:
        assert (0,) == connection.execute(
            "SELECT (SELECT count(*) FROM likes) + (SELECT count(*) FROM users)"
        ).fetchone()


def test_files_are_seeded_and_replace_rows(service: Service, tmp_path: Path) -> None:
    """A file of some columns is enough; one that comes again replaces rows by their primary key, and is answered."""
    file = tmp_path / "people.csv"
    file.write_text('user_id,name,username\n1,"Alice, née ""Al""",alice\n2,,bob\n', encoding="utf-8-sig")
    assert (0, "users: 2 rows\n") == seed(service, tmp_path, "--users", str(file))
    service.await_answer(1, username="alice", name='Alice, née "Al"')
    service.await_answer(2, username="bob", name=None)

    file.write_text("user_id,name\n2,Bob\n")
    assert (0, "users: 1 rows\n") == seed(service, tmp_path, "--users", str(file))
    service.await_answer(2, username="bob", name="Bob")


def test_a_load_keeps_changing_rows(service: Service, tmp_path: Path) -> None:
    """After inserts, edits, moves and deletions at a rate, every user is answered as SQL says."""
    settings = {"STACK_DIR": str(tmp_path), "STACK_POSTGRES_PORT": str(service.postgres_port)}
    log = tmp_path / "log"
    for arguments in (("seed", "--count", "50"), ("load", "--rate", "200", "--seconds", "3")):
        program = Program("stack", settings, log, *arguments).start()
        assert 0 == program.wait(60), program.log()
    changes = re.search(r"([\d,]+) changes made", log.read_text())
    assert changes is not None
    assert int(changes[1].replace(",", "")) > 100

    truth = service.truth()
    assert len(truth) >= 1
    wait_for(lambda: dict(service.answers(list(truth))) == truth, 60, "agreement with SQL")


def seed(service: Service, folder: Path, *arguments: str) -> tuple[int, str]:
    """Seed the service's tables; return the exit status and what was said."""
    settings = {"STACK_DIR": str(folder), "STACK_POSTGRES_PORT": str(service.postgres_port)}
    log = folder / "seed.log"
    log.unlink(missing_ok=True)
    program = Program("stack", settings, log, "seed", *arguments).start()
    return program.wait(60), program.log()
