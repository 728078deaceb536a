"""One piece of machine code for each degree of the harmonics, chosen when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepdft.compilation import inner

LARGEST_DEGREE = 4
"""Largest degree of the compiled forms."""


def by_degree(generated: Callable[[int], Any]) -> Any:
    """Return what calls the code of a degree, to be called by compiled functions.

    The number of functions, 2 * degree + 1, is a constant of each piece: no loop over them is left.

    Args:
        generated: gives the code of a degree, an intrinsic of numba.

    Returns:
        A compiled function of the degree and of what the code takes.
    """
    s, p, d, f, g = (generated(degree) for degree in range(LARGEST_DEGREE + 1))

    @inner
    def call(degree: int, *arguments: Any) -> None:
        if degree == 0:
            s(*arguments)
        elif degree == 1:
            p(*arguments)
        elif degree == 2:
            d(*arguments)
        elif degree == 3:
            f(*arguments)
        else:
            g(*arguments)

    return call
