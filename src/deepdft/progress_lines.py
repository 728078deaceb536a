"""How far a long work is, in one plain line."""

from __future__ import annotations


def plain_line(
    words: str, done: float, total: float | None, seconds: float, before: float = 0.0
) -> str:
    """Return one line about work under way.

    Args:
        words: what is done.
        done: how much of it.
        total: how much there is, if it is known.
        seconds: since it began.
        before: how much was done when it began; it goes on with what was left.

    >>> plain_line("converting", 30, 120, 60)
    'converting: 30 of 120, 0.5/s, 0:03:00 left'
    >>> plain_line("steps", 150, 300, 10, before=100)
    'steps: 150 of 300, 5/s, 0:00:30 left'
    >>> plain_line("", 0, None, 60)
    '0 done'
    """
    rate = (done - before) / seconds if seconds > 0 else 0.0
    count = f"{done:,.0f} done" if total is None else f"{done:,.0f} of {total:,.0f}"
    parts = [f"{words}: {count}" if words else count]
    if rate > 0:
        parts.append(f"{rate:,.3g}/s" if rate < 1000 else f"{rate:,.0f}/s")
        if total is not None:
            parts.append(f"{duration((total - done) / rate)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return hours, minutes and seconds.

    >>> duration(3725.4), duration(200000)
    ('1:02:05', '55:33:20')
    """
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
