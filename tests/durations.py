"""How long tests take: the slowest files come first, and `--fast` leaves the slow tests out.

`python -m pytest -n 2 --record-durations` measures and writes `durations.json` beside this file,
which names every test that took half a second or more; do it on a machine that does nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

KNOWN = Path(__file__).with_name("durations.json")
SLOW = 0.5
"""Seconds from which a test is slow."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("durations")
    group.addoption("--fast", action="store_true", help="leave out tests known to be slow")
    group.addoption(
        "--record-durations", action="store_true", help=f"write {KNOWN.name} after the run"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Measure in the process that sees all reports."""
    if config.getoption("--record-durations") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder())


def known_durations() -> dict[str, float]:
    """Seconds by test, of those that are slow."""
    found: dict[str, float] = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    return found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that take longest first; with `--fast` keep what is not slow."""
    known = known_durations()
    if config.getoption("--fast"):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in known])
        items[:] = [item for item in items if item.nodeid not in known]
    seconds: Counter[str] = Counter()
    for name, duration in known.items():
        seconds[name.partition("::")[0]] += duration  # type: ignore[assignment]
    items.sort(key=lambda item: -seconds[item.nodeid.partition("::")[0]])


class Recorder:
    """Adds up how long every test takes, with what is set up for it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test."""
        self.seconds[report.nodeid] += report.duration  # type: ignore[assignment]

    def pytest_sessionfinish(self) -> None:
        """Keep what was known of tests that did not run now."""
        known = {k: v for k, v in known_durations().items() if k not in self.seconds}
        slow = {k: round(v, 1) for k, v in self.seconds.items() if v >= SLOW}
        KNOWN.write_text(json.dumps(dict(sorted((known | slow).items())), indent=1) + "\n")
