"""One fault: a command begins, is ended or refused, is looked at, goes on, and is compared."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from torture.cases import Case, Content
from torture.faults import REFUSALS, SIGNALS, limit_of, read_only, small_disk
from torture.processes import Ended, Limit, Running

_ENDINGS = {"SIGTERM": (143, "deepdft: terminated"), "Ctrl-C": (130, "deepdft: interrupted")}
_REFUSED = 2


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
        if ended.code != 0:
            raise RuntimeError(f"{case.name} fails by itself: {ended.error}")
        self.expected: Content = case.result(whole)
        self.files = case.ours(whole)
        self.seconds = ended.seconds
        self.size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())

    def _new(self, name: str) -> Path:
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self.case.prepare(place)
        return place

    def _run(self, place: Path, limit: Limit | None = None) -> Ended:
        arguments = self.case.arguments(place)
        return Running(arguments, place, limit, self.case.fresh).end()

    def inject(self, fault: str, random: Random) -> Outcome:
        """Do something to the command once, and look at what is left and at what comes then."""
        outcome = Outcome(self.case.name, fault)
        place = self._new("tried")
        before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
        if fault in SIGNALS:
            ended = self._signalled(place, fault, random)
        else:
            ended = self._refused(place, fault, random)
        self._look(outcome, ended, place, before)
        again = self._run(place)
        if again.code != 0:
            outcome.problems.append(f"the next run ends with {again.code}: {again.error[-300:]}")
        self._compare(outcome, place)
        return outcome

    def _signalled(self, place: Path, fault: str, random: Random) -> Ended:
        running = Running(self.case.arguments(place), place, None, self.case.fresh)
        running.wait(random.uniform(0.0, 1.05) * self.seconds)
        running.tell(SIGNALS[fault], group=fault == "Ctrl-C")
        return running.end()

    def _refused(self, place: Path, fault: str, random: Random) -> Ended:
        limit = limit_of(fault, random)
        with ExitStack() as stack:
            if fault == "full disk":
                taken = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
                room = random.randrange(8192, max(2 * 8192, int(1.3 * self.size)))
                if not stack.enter_context(small_disk(place, taken + room)):
                    limit = limit_of("file size", random)
            elif fault == "read-only":
                limit = stack.enter_context(read_only(place))
            return self._run(place, limit)

    def _look(self, outcome: Outcome, ended: Ended, place: Path, before: dict[str, bytes]) -> None:
        """Check exit code, what is printed, and what stands under the final names."""
        problems, fault = outcome.problems, outcome.fault
        outcome.hit = ended.code != 0 or fault == "no locks"
        if "Traceback" in ended.error or "HUNG" in ended.error:
            problems.append(f"stderr: {ended.error[-600:]}")
        if fault in _ENDINGS:
            code, line = _ENDINGS[fault]
            # Before there is a handler, the system ends the process by itself.
            early = ended.code == -SIGNALS[fault] and not ended.output
            if ended.code not in (0, code) and not early:
                problems.append(f"exit code {ended.code}, not {code}: {ended.error[-300:]}")
            if ended.code == code and ended.lines != [line]:
                problems.append(f"stderr is {ended.lines}")
        elif fault == "kill":
            if ended.code not in (0, -signal.SIGKILL):
                problems.append(f"exit code {ended.code} after a kill: {ended.error[-300:]}")
        elif ended.code not in ((0,) if fault == "no locks" else (0, _REFUSED)):
            problems.append(f"exit code {ended.code}: {ended.error[-300:]}")
        elif ended.code == _REFUSED and len(ended.lines) != 1:
            problems.append(f"{len(ended.lines)} lines on stderr: {ended.error[-300:]}")
        for name, content in before.items():
            now = (place / name).read_bytes() if (place / name).exists() else b""
            if now != content and self.case.result(place) != self.expected:
                problems.append(f"{name} is neither the old file nor the new one")
                outcome.lost = True
        if ended.code == 0:
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
    """Inject faults, every kind into every case in turn, until the time is over."""
    outcomes: list[Outcome] = []
    end = time.monotonic() + 60 * minutes
    pairs = [(bench, fault) for bench in benches for fault in (*SIGNALS, *REFUSALS)
             if not (bench.case.fresh and fault in REFUSALS)]  # fmt: skip
    while True:
        for bench, fault in random.sample(pairs, len(pairs)):
            if time.monotonic() > end:
                return outcomes
            outcome = bench.inject(fault, random)
            for problem in outcome.problems:
                print(f"{outcome.case}, {fault}: {problem}", flush=True)
            outcomes.append(outcome)
