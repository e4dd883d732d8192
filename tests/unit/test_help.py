"""`--help` of every command: it answers without any server, and names every setting."""

import subprocess
import sys

import pytest
from pydantic_settings import BaseSettings

from doctor.checks import DoctorSettings
from joiner.settings import JoinerSettings
from poller.settings import PollerSettings
from reader.settings import ReaderSettings
from sink.settings import PostgresSettings, RedisSettings
from stack.settings import StackSettings
from tests.support.programs import ROOT

SETTINGS: dict[str, type[BaseSettings]] = {
    "doctor": DoctorSettings,
    "joiner": JoinerSettings,
    "poller": PollerSettings,
    "reader": ReaderSettings,
    "sink postgres": PostgresSettings,
    "sink redis": RedisSettings,
    "stack": StackSettings,
}


def read_help(*command: str) -> str:
    """Return what a command says to --help."""
    asked = [sys.executable, "-m", *command, "--help"]
    answered = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == answered.returncode, answered.stderr
    assert "" == answered.stderr
    return answered.stdout


@pytest.mark.parametrize("program", SETTINGS)
def test_help_names_every_setting_with_its_default(program: str) -> None:
    """Operators need not read the code to set something."""
    said = read_help(*program.split())
    for name, field in SETTINGS[program].model_fields.items():
        if field.description:
            assert f"\n    {name.upper()}\n" in said
            assert field.default is None or f"[default: {field.default}]" in said


@pytest.mark.parametrize("program", ["doctor", "joiner", "poller", "reader", "sink postgres", "sink redis"])
def test_help_names_the_properties_of_the_kafka_client(program: str) -> None:
    """There is no list of them in the code, hence none in the settings."""
    assert "KAFKA_<PROPERTY>" in read_help(*program.split())


@pytest.mark.parametrize("command", ["up", "down", "status", "seed", "load", "doctor", "run"])
def test_every_command_of_the_stack_says_what_it_does(command: str) -> None:
    """One sentence at least, and the meaning of each option."""
    said = read_help("stack", command)
    assert f"Usage: python -m stack {command}" in said
    assert len(said.split("Options:")[0].splitlines()) > 2
