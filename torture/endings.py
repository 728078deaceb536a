"""How commands may end: exit codes, what is on stderr, and processes that are left over."""

from __future__ import annotations

import signal

from deepdft.first_process import LOST
from torture.faults import ONE_PROCESS, SIGNALS
from torture.processes import Ended

_WORDS = {"SIGTERM": (143, "deepdft: terminated"), "Ctrl-C": (130, "deepdft: interrupted")}
_REFUSED = 2


def wrong_endings(ended: Ended, fault: str, whole: int) -> list[str]:
    """Return what is wrong with the end of a command.

    Args:
        ended: the end.
        fault: what was done to it.
        whole: exit code of a run that nothing disturbs.
    """
    problems = list(ended.wrong)
    said = ended.error[-300:]
    if "Traceback" in ended.error or "HUNG" in ended.error:
        problems.append(f"stderr: {ended.error[-600:]}")
    if not _is_allowed(ended, fault, whole):
        problems.append(f"exit code {ended.code}: {said}")
    # A process that is refused something says so, and the others that they have lost it.
    reasons = [text for text in ended.lines if text != f"deepdft: {LOST}"] or ended.lines
    if ended.code == _REFUSED and len(reasons) != 1:
        problems.append(f"{len(ended.lines)} lines on stderr: {said}")
    code, line = _WORDS.get(fault, (None, ""))
    if ended.code == code and code != whole and ended.lines != [line]:
        problems.append(f"stderr is {ended.lines}")
    return problems + _wrong_others(ended)


def _is_allowed(ended: Ended, fault: str, whole: int) -> bool:
    if fault in _WORDS:
        # Before there is a handler, the system ends the process by itself.
        early = ended.code == -SIGNALS[fault] and not ended.output
        return early or ended.code in (whole, _WORDS[fault][0])
    others = {
        "kill": (-signal.SIGKILL,),
        ONE_PROCESS: (-signal.SIGKILL, _REFUSED),
        "no locks": (),
    }
    return ended.code in (whole, *others.get(fault, (_REFUSED,)))


def _wrong_others(ended: Ended) -> list[str]:
    problems = []
    if ended.left:
        problems.append(f"processes are left: {ended.left}")
    if _REFUSED in ended.others and not ended.lines:
        problems.append("a process that was left says nothing")
    return problems
