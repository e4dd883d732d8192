"""How every program of this project runs on the command line, and how it ends.

Guarantees one form for each ending, whatever the command:

- an error that the service raises on purpose: `Error: what happened` on standard error, below it `  Try: what to do`
  if that is known; status 1
- a library that is not installed: the same, with the command that installs it; status 1
- a command line that cannot be parsed: click's usage message; status 2
- any other exception: logged with its traceback, then an error that calls it a bug in the program; status 70
- Ctrl-C: nothing is said; status 130
- the program reading the output has exited, such as `| head -1`: nothing is said; status 141

Imports click and no other library, so that it also works if a tier's libraries are not installed.
"""

import errno
import importlib
import importlib.util
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TextIO

import click

from shared.errors import UserInformationError

logger = logging.getLogger(__name__)

FAILED = 1

FAULTY = 70
"""EX_SOFTWARE of sysexits.h. Not 1, which is also what `verify` ends with if it finds differences: the status alone
lets a script or a supervisor tell a bug from a refusal."""

INTERRUPTED = 128 + signal.SIGINT
CUT_OFF = 128 + signal.SIGPIPE
"""Like the one above, what a shell reports for a process that this signal ended."""

OURS = frozenset({"bench", "doctor", "joiner", "poller", "reader", "replication", "shared", "sink", "stack"})
"""Packages of this project: pip cannot install a missing module of these."""

Translations = Mapping[type[Exception], Callable[[Any], UserInformationError]]
"""Exception of a library that operators meet -> what returns the error that says what happened and what to do."""


@dataclass(frozen=True)
class Program:
    """What `run` runs.

    Args:
        command: the whole command line, with its subcommands.
        translations: for exceptions that its commands let through.
        imported_late: libraries that it imports long after its start, such as ``quixstreams``; one that is missing is
            reported at the start all the same.
    """

    command: click.Command
    translations: Translations = field(default_factory=dict)
    imported_late: tuple[str, ...] = ()


def run(module: str, install: str) -> NoReturn:
    """Run a program with this process's arguments, and end this process.

    Args:
        module: dotted name of a module that holds a `Program` named PROGRAM, such as ``joiner.cli``. It is imported
            here, since the libraries that it needs may be missing.
        install: the command that installs these libraries.
    """
    name = f"python -m {module.partition('.')[0]}"
    translations: Translations = {}
    status: str | int | None
    try:
        try:
            program = _find_program(module, name, install)
            translations = program.translations
            # Not click's own `main`, which ends otherwise than promised above.
            with program.command.make_context(name, sys.argv[1:]) as context:
                program.command.invoke(context)
            status = 0
        except click.exceptions.Exit as ending:
            status = ending.exit_code
        except SystemExit as ending:
            status = ending.code
        if sys.stdout is not None:  # None if the process was started with it closed, as some supervisors do
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - last place that can format an error
        status = _report(error, translations)
    sys.exit(status)


def _find_program(module: str, name: str, install: str) -> Program:
    try:
        program = importlib.import_module(module).PROGRAM
        assert isinstance(program, Program)  # noqa: S101 - importlib knows no types
        for library in program.imported_late:
            if importlib.util.find_spec(library) is None:
                raise ModuleNotFoundError(name=library)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in OURS:
            raise
        raise UserInformationError(f"{name} needs the library {library}, which is not installed", install) from error
    return program


def _report(error: Exception, translations: Translations) -> int:
    """Say what ended the program, and return its exit status."""
    if isinstance(error, BrokenPipeError) and _discard_cut_off_output():
        return CUT_OFF
    if isinstance(error, click.Abort):
        if isinstance(error.__context__, KeyboardInterrupt):
            return INTERRUPTED
        click.echo("Aborted!", err=True)
        return FAILED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = error.filename or "where the output goes"
        error = UserInformationError(f"no space is left for {where}", "make room and run it again")
    known = _translate(error, translations)
    if known is not None:
        _print_error(known)
        return FAILED
    logger.critical("unexpected exception", exc_info=error)
    what = f"this is a bug in the program: {type(error).__name__}: {error}".splitlines()[0]
    _print_error(UserInformationError(what, "report it with the traceback logged above"))
    return FAULTY


def _translate(error: Exception, translations: Translations) -> UserInformationError | None:
    if isinstance(error, UserInformationError):
        return error
    return next((translate(error) for kind, translate in translations.items() if isinstance(error, kind)), None)


def _print_error(error: UserInformationError) -> None:
    click.echo(f"Error: {error.what}", err=True)
    if error.hint:
        click.echo(f"  Try: {error.hint}", err=True)


def _discard_cut_off_output() -> bool:
    """Return whether a pipe that this process writes to has lost its reader; send what is left for it nowhere.

    Any other pipe that breaks, such as one to a process of ours, is a bug like others.
    """
    cut_off = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and _has_no_reader(stream)]
    for stream in cut_off:
        # Python flushes both at its end, and would complain of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(cut_off)


def _has_no_reader(stream: TextIO) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
