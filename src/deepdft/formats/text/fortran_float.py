"""Single numbers as Fortran and C programs write them."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eEdDqQ]([+-]?\d+)|([+-]\d+))?", re.ASCII)


def parse_float(token: str) -> float:
    """Return a number as Fortran or C writes it (`1.5`, `1.5D+00`, `1.2-101`).

    Raises:
        ValueError: if the token is not a finite number.
    """
    match = _NUMBER.fullmatch(token)
    if match is None:
        raise ValueError(token)
    value = float(f"{match[1]}e{match[2] or match[3] or 0}")
    if not math.isfinite(value):
        raise ValueError(token)
    return value
