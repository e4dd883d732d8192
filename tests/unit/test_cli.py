"""How programs end: each ending has one form, the same for all of them, as a person and a script meet it."""

import ast
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.cli import OURS
from stack.servers.ports import free_port
from tests.support.programs import ROOT, environment
from tests.support.waiting import wait_for

PROGRAMS = sorted(file.parent.name for file in ROOT.glob("*/__main__.py"))

MODULE = """
import os, sys, time
import click
from shared import logs
from shared.cli import Program
from shared.errors import SettingError

@click.command()
@click.argument("code")
def main(code):
    exec(code)

PROGRAM = Program(main, {LookupError: lambda error: SettingError(f"no {error.args[0]}", "make one")})
"""

FAULT = """\
Error: this is a bug in the program: ValueError: broken
  Try: report it with the traceback logged above
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """Give the command line of a program that runs the Python code that it is handed."""
    (tmp_path / "toy.py").write_text(MODULE)
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from shared import cli; cli.run('toy', 'brew toy')"
    return [sys.executable, "-c", start]


def run(command: list[str], **settings: str) -> tuple[int, str, str]:
    """Return a command's exit status, and what it says on standard output and standard error."""
    nothing, own = subprocess.DEVNULL, environment(settings)
    ended = subprocess.run(command, cwd=ROOT, env=own, stdin=nothing, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("code", "status", "output", "errors"),
    [
        ("click.echo('done')", 0, "done\n", ""),
        ("print('differs'); sys.exit(3)", 3, "differs\n", ""),
        ("raise SettingError('X is 1', 'set it to 2')", 1, "", "Error: X is 1\n  Try: set it to 2\n"),
        ("raise SettingError('X is 1')", 1, "", "Error: X is 1\n"),
        ("raise KeyError('topic')", 1, "", "Error: no topic\n  Try: make one\n"),
        ("click.confirm('Really?', abort=True)", 1, "Really? [y/N]: ", "Aborted!\n"),
        ("raise KeyboardInterrupt", 130, "", ""),
    ],
)
def test_each_ending_has_its_status_and_its_form(
    program: list[str], code: str, status: int, output: str, errors: str
) -> None:
    """Two lines at most, on standard error: what happened, and what to do."""
    assert (status, output, errors) == run([*program, code])


def test_a_command_line_that_is_wrong_ends_with_the_usage(program: list[str]) -> None:
    """With click's own status, and the program's name as it is typed."""
    status, output, errors = run([*program, "pass", "--loud"])
    assert (2, "") == (status, output)
    assert errors.startswith("Usage: python -m toy [OPTIONS] CODE\n")
    assert "Error: No such option" in errors


def test_an_unexpected_exception_is_called_a_fault(program: list[str]) -> None:
    """Its traceback comes before, through the log."""
    status, output, errors = run([*program, "raise ValueError('broken')"])
    assert (70, "") == (status, output)
    assert errors.startswith("unexpected exception\nTraceback (most recent call last):\n")
    assert errors.endswith(f"ValueError: broken\n{FAULT}")


def test_the_traceback_of_a_fault_is_one_event_of_a_log_for_programs(program: list[str]) -> None:
    """Nothing of it is lost between lines that are no JSON."""
    status, _, errors = run([*program, "logs.configure('INFO', 'json'); raise ValueError('broken')"])
    event, _, rest = errors.partition("\n")
    assert (70, FAULT) == (status, rest)
    assert "CRITICAL" == json.loads(event)["level"]
    assert json.loads(event)["exception"].endswith("ValueError: broken")


def _hear_ctrl_c() -> None:
    """Undo what a shell does to its background jobs, in which tests may run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("code", ["time.sleep(60)", "click.confirm('Really?', abort=True)"])
def test_ctrl_c_ends_without_a_word(program: list[str], tmp_path: Path, code: str) -> None:
    """At work and at a question: status 130, and no traceback."""
    started = tmp_path / "started"
    command = [*program, f"open({str(started)!r}, 'w').close(); {code}"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,  # noqa: PLW1509 - it takes no lock that a thread could hold
    ) as process:
        wait_for(started.exists, 30, "the program's start")
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(30)
        assert process.stderr is not None
        assert "" == process.stderr.read()


@pytest.mark.parametrize(
    "code",
    [
        "[click.echo(number) for number in range(1_000_000)]",
        "[print(number) for number in range(1_000_000)]",
        "print('buffered'); time.sleep(1)",
        "print('buffered'); time.sleep(1); sys.exit(3)",
    ],
)
@pytest.mark.parametrize("pipe", ["|", "2>&1 |"])
def test_output_without_a_reader_ends_silently(program: list[str], code: str, pipe: str) -> None:
    """As any program of a shell's does, whose pipe the next one has closed: status 141."""
    script = f"{shlex.join([*program, code])} {pipe} true; echo ${{PIPESTATUS[0]}}"
    assert (0, "141\n", "") == run(["bash", "-c", script])


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("sys.exit(3)", 3), ("raise KeyError('topic')", 1)])
def test_a_program_that_is_started_without_an_output_ends_as_ever(program: list[str], code: str, status: int) -> None:
    """Some supervisors close standard output."""
    script = f"{shlex.join([*program, code])} >&-; echo $? >&2"
    assert run(["bash", "-c", script])[2].endswith(f"{status}\n")


def test_a_full_disk_is_no_fault_of_the_program(program: list[str]) -> None:
    """It says what to do, where the output goes to a file as well."""
    script = f"{shlex.join([*program, 'print(1)'])} >/dev/full; echo $? >&2"
    said = "Error: no space is left for where the output goes\n  Try: make room and run it again\n1\n"
    assert said == run(["bash", "-c", script])[2]


def test_another_pipe_that_breaks_is_a_fault(program: list[str]) -> None:
    """Only the output may end a program in silence."""
    status, _, errors = run([*program, "reading, writing = os.pipe(); os.close(reading); os.write(writing, b'x')"])
    assert 70 == status
    assert "Error: this is a bug in the program: BrokenPipeError: " in errors


def test_a_library_that_is_missing_comes_with_the_command_that_installs_it(program: list[str], tmp_path: Path) -> None:
    """It is the import of the program that fails, before any command."""
    (tmp_path / "toy.py").write_text("import no_such_library.part\n")
    said = "Error: python -m toy needs the library no_such_library, which is not installed\n  Try: brew toy\n"
    assert (1, "", said) == run([*program, "pass"])


def test_the_joiner_asks_for_its_engine_before_it_waits_for_kafka() -> None:
    """With the reader's extra alone everything else is there, and the engine is imported last."""
    without = "import runpy, sys; sys.modules['quixstreams'] = None; runpy.run_module('joiner', run_name='__main__')"
    status, output, said = run([sys.executable, "-c", without])
    assert (1, "") == (status, output)
    assert said.startswith("Error: python -m joiner needs the library quixstreams, which is not installed\n  Try: ")


def test_a_module_of_ours_that_is_missing_is_a_fault(program: list[str], tmp_path: Path) -> None:
    """No command would bring it."""
    (tmp_path / "toy.py").write_text("import shared.no_such_module\n")
    status, _, errors = run([*program, "pass"])
    assert 70 == status
    assert "Error: this is a bug in the program: ModuleNotFoundError: " in errors


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_runs_in_the_frame_and_imports_nothing_outside_of_it(name: str) -> None:
    """Its `__main__` imports the frame alone and calls it with the program's name."""
    assert name in OURS
    tree = ast.parse((ROOT / name / "__main__.py").read_text())
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert ["from shared import cli"] == imports
    assert f"cli.run('{name}.cli', install=" in ast.unparse(tree)


@pytest.mark.parametrize(
    ("command", "settings", "errors"),
    [
        ("joiner", {"JOINER_HTTP_PORT": "x"}, "Error: JOINER_HTTP_PORT: "),
        ("joiner dead-letters", {"JOINER_HTTP_PORT": "x"}, "Error: JOINER_HTTP_PORT: "),
        ("reader", {"READER_PORT": "x"}, "Error: READER_PORT: "),
        ("reader verify", {"READER_PORT": "x"}, "Error: READER_PORT: "),
        ("reader inspect", {"READER_STATE_DIR": "/nowhere"}, "Error: READER_STATE_DIR=/nowhere"),
        ("stack status", {"STACK_KAFKA_PORT": "x"}, "Error: STACK_KAFKA_PORT: "),
        ("stack seed", {"STACK_POSTGRES_PORT": str(free_port())}, "Error: PostgreSQL: "),
    ],
)
def test_real_commands_end_in_these_forms(command: str, settings: dict[str, str], errors: str) -> None:
    """No command has a form of its own."""
    status, output, said = run([sys.executable, "-m", *command.split()], **settings)
    assert (1, "") == (status, output)
    assert said.startswith(errors)
    assert [] == [line for line in said.splitlines()[1:] if not line.startswith("  Try: ")]
