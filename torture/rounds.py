"""One fault: a command begins, is ended or refused, is looked at, goes on, and is compared."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from torture.cases import Case, Content
from torture.endings import wrong_endings
from torture.faults import (
    ONE_PROCESS,
    REFUSALS,
    SIGNALS,
    can_mount,
    kill_one,
    limit_of,
    lower,
    read_only,
    small_disk,
)
from torture.processes import Ended, Limit, Running

_PAGE = 4096
"""Bytes; what stands in memory takes whole pages."""
_LIMITS = ("file size", "memory", "descriptors")


@dataclass
class Outcome:
    """What one fault has led to.

    Attributes:
        case, fault: what was done to what.
        hit: whether the command felt it: else it had ended before, or stayed within the limit.
        problems: what did not hold.
        lost: whether data were lost: an old file, or what makes a resumed result another one.
    """

    case: str
    fault: str
    hit: bool = False
    problems: list[str] = field(default_factory=list)
    lost: bool = False


class Bench:
    """A case with its result, files and duration when nothing happens.

    Args:
        case: what is run.
        folder: where its folders go.
    """

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self._folder = folder
        whole = self._new("whole")
        ended = self._run(whole)
        if ended.code != case.end or not case.is_through(whole):
            raise RuntimeError(f"{case.name} fails by itself: {ended.error}")
        self.expected: Content = case.result(whole)
        self.files = case.ours(whole)
        self.seconds = ended.seconds
        self.size = sum((whole / name).stat().st_size for name in self.files)

    def _new(self, name: str) -> Path:
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self.case.prepare(place)
        return place

    @property
    def faults(self) -> list[str]:
        """What can be done to the command."""
        found = [*SIGNALS, *REFUSALS]
        if self.case.several:
            found.append(ONE_PROCESS)
        if self.case.fresh:  # these need a limit from the very beginning
            found.remove("no locks")
            if not can_mount():
                found = [fault for fault in found if fault not in ("full disk", "read-only")]
        return found

    def _begun(self, place: Path, limit: Limit | None = None) -> Running:
        case = self.case
        return Running(case.arguments(place), place, limit, case.fresh, case.environment(place))

    def _run(
        self,
        place: Path,
        limit: Limit | None = None,
        later: Callable[[Running], None] | None = None,
    ) -> Ended:
        """Run the command to its end; `later` does something to it on the way."""
        running = self._begun(place, limit)
        with self.case.visited(running, place) as wrong:
            if later is not None:
                later(running)
            ended = running.end()
        return replace(ended, wrong=tuple(wrong))

    def inject(self, fault: str, random: Random) -> Outcome:
        """Do something to the command once, and look at what is left and at what comes then."""
        outcome = Outcome(self.case.name, fault)
        place = self._new("tried")
        before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
        if fault in (*SIGNALS, ONE_PROCESS):
            ended = self._signalled(place, fault, random)
        else:
            ended = self._refused(place, fault, random)
        self._look(outcome, ended, place, before)
        again = self._run(place)
        if again.code != self.case.end:
            outcome.problems.append(
                f"the next run ends with {again.code}: {(again.error or again.output)[-300:]}"
            )
        self._compare(outcome, place)
        return outcome

    def _signalled(self, place: Path, fault: str, random: Random) -> Ended:
        moment = random.uniform(0.0, 1.05) * self.seconds

        def tell(running: Running) -> None:
            running.wait(moment)
            if fault == ONE_PROCESS:
                while len(running.members()) < 2 and not running.wait(0.05):
                    pass
                kill_one(running.members(), random)
            else:
                running.tell(SIGNALS[fault], group=fault == "Ctrl-C")

        return self._run(place, None, tell)

    def _refused(self, place: Path, fault: str, random: Random) -> Ended:
        if fault in _LIMITS and (self.case.fresh or random.random() < 0.5):
            return self._limited_on_the_way(place, fault, random)
        limit = limit_of(fault, random)
        with ExitStack() as stack:
            if fault == "full disk":
                taken = sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in place.rglob("*"))
                room = random.randrange(8192, max(2 * 8192, int(1.3 * self.size)))
                if not stack.enter_context(small_disk(place, taken + room)):
                    limit = limit_of("file size", random)
            elif fault == "read-only":
                limit = stack.enter_context(read_only(place))
            return self._run(place, limit)

    def _limited_on_the_way(self, place: Path, fault: str, random: Random) -> Ended:
        moment = random.uniform(0.0, 0.9) * self.seconds

        def limit(running: Running) -> None:
            if not running.wait(moment):
                lower(fault, running.number, random)

        return self._run(place, None, limit)

    def _look(self, outcome: Outcome, ended: Ended, place: Path, before: dict[str, bytes]) -> None:
        """Check exit code, what is printed, and what stands under the final names."""
        problems, fault, whole = outcome.problems, outcome.fault, self.case.end
        is_through = ended.code == whole and self.case.is_through(place)
        outcome.hit = not is_through or fault == "no locks"
        problems += wrong_endings(ended, fault, whole)
        for name, content in before.items():
            now = (place / name).read_bytes() if (place / name).exists() else b""
            if now != content and self.case.result(place) != self.expected:
                problems.append(f"{name} is neither the old file nor the new one")
                outcome.lost = True
        if is_through:
            self._compare(outcome, place, "reports success, but ")

    def _compare(self, outcome: Outcome, place: Path, words: str = "in the end ") -> None:
        try:
            found = self.case.result(place)
        except Exception as error:
            outcome.problems.append(f"{words}the result cannot be read: {error}")
            outcome.lost = True
            return
        if found != self.expected:
            names = [n for n in self.expected if found.get(n) != self.expected[n]]
            outcome.problems.append(f"{words}the result differs: {names[:4]}")
            outcome.lost = True
        strays = self.case.ours(place) - self.files
        if strays:
            outcome.problems.append(f"{words}there are stray files: {sorted(strays)[:5]}")


def one_after_another(benches: list[Bench], random: Random, minutes: float) -> list[Outcome]:
    """Inject faults, every kind into every case in turn, until the time is over or Ctrl-C."""
    outcomes: list[Outcome] = []
    end = time.monotonic() + 60 * minutes
    pairs = [(bench, fault) for bench in benches for fault in bench.faults]
    with suppress(KeyboardInterrupt):
        while True:
            for bench, fault in random.sample(pairs, len(pairs)):
                if time.monotonic() > end:
                    return outcomes
                outcome = bench.inject(fault, random)
                for problem in outcome.problems:
                    print(f"{outcome.case}, {fault}: {problem}", flush=True)
                outcomes.append(outcome)
    return outcomes
