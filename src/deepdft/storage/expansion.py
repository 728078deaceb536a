"""How far compressed files may expand: what goes beyond both bounds is refused."""

from __future__ import annotations

EXPANDED = 1 << 30
"""Bytes that any file may expand to."""

RATIO = 200
"""How many times its size a file may expand to beyond that. Densities expand up to ten times; even
one that is zero in nineteen of twenty points stays below."""


def is_beyond(expanded: int, stored: int) -> bool:
    """Return whether so many bytes from so many stored ones are too many."""
    return expanded > EXPANDED and expanded > RATIO * stored
