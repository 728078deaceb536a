"""How long tests take: the slowest files come first, and `--fast` leaves the slow tests out.

`python -m pytest -n 2 --record-durations` measures and writes `durations.json` beside this file; do
it on a machine that does nothing else. A test counts with all that is set up for it, also where
several tests share that: left out are those that need it, not the one that came first.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

KNOWN = Path(__file__).with_name("durations.json")
SLOW = 0.2
"""Seconds from which a test is slow."""
NOTED = 0.1
"""Seconds from which a test is in the file, so that another limit needs no other run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("durations")
    group.addoption("--fast", action="store_true", help="leave out tests known to be slow")
    group.addoption(
        "--record-durations", action="store_true", help=f"write {KNOWN.name} after the run"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Measure fixtures where they are made, and tests in the process that sees all reports."""
    if config.getoption("--record-durations"):
        config.pluginmanager.register(SharedFixtures())
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(Recorder(config))


def known_durations() -> dict[str, float]:
    """Seconds by test, of those that are noted."""
    found: dict[str, float] = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    return found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that take longest first; with `--fast` keep what is not slow."""
    known = known_durations()
    if config.getoption("--fast"):
        slow = [item for item in items if known.get(item.nodeid, 0.0) >= SLOW]
        config.hook.pytest_deselected(items=slow)
        left_out = set(slow)
        items[:] = [item for item in items if item not in left_out]
    seconds: Counter[str] = Counter()
    for name, duration in known.items():
        seconds[_file(name)] += duration  # type: ignore[assignment]
    items.sort(key=lambda item: -seconds[_file(item.nodeid)])


def _file(name: str) -> str:
    return name.partition("::")[0]


class SharedFixtures:
    """Measures fixtures that several tests share, for every test that asks for them."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._just_made = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, object, object]:
        """Measure one while it is made."""
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                took = time.perf_counter() - began
                self._just_made += took
                self._seconds[fixturedef.argname] = max(took, self._seconds[fixturedef.argname])  # type: ignore[assignment]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Tell the recorder what others made for this test, beyond what its own report counts."""
        self._just_made = 0.0
        try:
            return (yield)
        finally:
            names: Iterable[str] = getattr(item, "fixturenames", ())
            needed = sum(self._seconds[name] for name in names)
            item.user_properties.append(("made before", needed - self._just_made))


class Recorder:
    """Adds up how long every test takes, with what is set up for it.

    Args:
        config: of the run; only one of all tests forgets those that are no longer there.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.seconds: Counter[str] = Counter()
        self._root = config.rootpath
        self._all = config.args_source != pytest.Config.ArgsSource.ARGS and not any(
            config.getoption(name) for name in ("--fast", "-k", "-m", "--deselect")
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test."""
        self.seconds[report.nodeid] += report.duration  # type: ignore[assignment]
        if report.when == "setup":
            self.seconds[report.nodeid] += dict(report.user_properties).get("made before", 0.0)  # type: ignore[arg-type]

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write what was measured; of tests that did not run, keep what was known."""
        known = {} if self._all and exitstatus in (0, 1) else known_durations()
        known = {
            name: duration
            for name, duration in known.items()
            if name not in self.seconds and (self._root / _file(name)).exists()
        }
        noted = {k: round(v, 1) for k, v in self.seconds.items() if v >= NOTED}
        KNOWN.write_text(json.dumps(dict(sorted((known | noted).items())), indent=1) + "\n")
