"""How tests share the machine's cores, and the figures that they report.

Guarantees that with `pytest -n NUMBER` no server is started more often than once per worker: a file's tests stay
together, and so do those of a folder whose tests share one whole service. Without `-n` nothing here has a say in what
runs where. Knows folders, and no test or server in particular.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

FOLDERS = ("end_to_end", "alerts", "broker", "properties", "unit")
"""The folders of tests, those of the longest units first, so that the last ones are short and workers end together."""

WHOLE_SERVICE = frozenset({"end_to_end", "alerts"})
"""The folders of which each has one whole service, with a database and a connector."""

INDEPENDENT = frozenset({"tests/end_to_end/test_stack.py", "tests/properties/test_mutations.py"})
"""The files of long tests that share nothing, not even a server: any worker may take any of them."""


def unit(nodeid: str) -> str:
    """Return the name of what one worker takes as a whole, given the id of a test in it."""
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    if file in INDEPENDENT:
        return nodeid
    return folder if folder.rpartition("/")[2] in WHOLE_SERVICE else file


def rank(nodeid: str) -> int:
    """Return how early a test's unit is handed out, given the test's id; lower is earlier."""
    folder = nodeid.partition("::")[0].rpartition("/")[0].rpartition("/")[2]
    return FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)


class Units(LoadScopeScheduling):
    """Hands each worker that is idle the next unit, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Units:
    """Have units handed out instead of tests."""
    config.option.loadscopereorder = False
    return Units(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long units first where workers share them; a single process keeps the order of the folders."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests have recorded, such as how many users were compared."""
    for reports in (terminalreporter.stats.get(outcome, []) for outcome in ("passed", "failed")):
        for report in reports:
            properties = dict(getattr(report, "user_properties", ()))
            if properties and getattr(report, "when", None) == "call":
                shown = ", ".join(f"{name}: {value}" for name, value in properties.items())
                terminalreporter.write_line(f"{report.nodeid}: {shown}")
