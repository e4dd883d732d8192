"""What the tests of procedures rest on: commands are found in a document, and wrong output or answers are noticed."""

from pathlib import Path

import pytest

from tests.support.continuous_reads import may_follow
from tests.support.procedures import Step, blocks
from tests.support.service import Record

PAGE = """
## Greeting

```console
$ echo hello
hello
$ true
```

1. In a list:

   ```console
   $ seq 2
   1
   2
   ```

### Parting

```console
$ exit
```
"""
ALICE: Record = {"userId": "1", "name": "Alice", "tweetCount": 3}


def test_commands_are_those_of_their_heading(tmp_path: Path) -> None:
    """Blocks end with the next heading, also where a list indents them; output goes with its command."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert [
        [Step("echo hello", "hello"), Step("true", "")],
        [Step("seq 2", "1\n2")],
    ] == blocks(page, "Greeting")
    assert [[Step("exit", "")]] == blocks(page, "Parting")


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("hello", "hello\n", True),
        ("", "", True),
        ("", "No such file\n", False),
        ('{"state":"ready",…}', '{"state":"ready","percent":100.0}', True),
        ('{"state":"ready",…}', '{"state":"replaying","percent":99.0}', False),
        ("UPDATE …", "UPDATE 200\n", True),
        ("a.c", "abc", False),
    ],
)
def test_output_is_compared_except_for_ellipses(shown: str, printed: str, fits: bool) -> None:
    """All of it has to be as shown, except for an ellipsis."""
    assert fits == Step("command", shown).fits(printed)


@pytest.mark.parametrize(
    ("later", "right"),
    [
        (ALICE, True),
        ({**ALICE, "tweetCount": 5}, True),
        ({**ALICE, "tweetCount": 2}, False),
        ({**ALICE, "tweetCount": 6}, False),
        ({**ALICE, "name": None}, False),
        ({**ALICE, "pronouns": "they/them"}, False),
    ],
    ids=["the same", "what was written", "one less", "one more than written", "a field lost", "a field more"],
)
def test_an_answer_that_sql_never_gave_is_noticed(later: Record, right: bool) -> None:
    """After three tweets were seen and five written, only counts from three to five are right, and all else stays."""
    assert right == may_follow(ALICE, later, most=5)
