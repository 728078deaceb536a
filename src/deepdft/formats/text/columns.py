"""Numbers of fixed-width Fortran columns that run together: ``-0.1E+00-0.2E+00``, ``12-100.25``.

A number that fills its column leaves no blank before the next. A sign then begins the next one, or,
without signs, the count of decimals (two digits of an exponent) ends the one before.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)"
    r"(?:[eEdDqQ][+-]?\d{2}(?=\d*\.)|[eEdDqQ][+-]?\d{1,3}|[+-]\d{3}(?![\d.]))?",
    re.ASCII,
)

_FEWEST_DECIMALS = 3
"""Numbers without a sign between them are taken apart where they have so many decimals."""


def split_columns(token: str) -> list[str]:
    """Return the numbers that a token without blanks is made of; empty if it is not of numbers.

    A token that is one number is returned alone.
    """
    if len(token) > 4096:
        return []
    numbers, position = [], 0
    while position < len(token):
        match = _NUMBER.match(token, position)
        if match is None:
            return []
        if match.start() and token[match.start()] == ".":
            numbers = _equal_decimals(token)
            return numbers if len(numbers) > 1 else []
        numbers.append(match[0])
        position = match.end()
    return numbers


def _equal_decimals(token: str) -> list[str]:
    """Split numbers of the format F: all have as many decimals as the last one."""
    decimals = len(token) - token.rindex(".") - 1
    numbers = re.findall(rf"[+-]?\d+\.\d{{{decimals}}}", token, re.ASCII)
    return numbers if decimals >= _FEWEST_DECIMALS and "".join(numbers) == token else []


def spread(text: str) -> list[str]:
    """Return the tokens of a line, those that are several numbers taken apart."""
    return [part for token in text.split() for part in split_columns(token) or [token]]


def equal_columns(text: str, count: int) -> list[str]:
    """Return `count` columns of equal width, four or more; empty if the line is not so long."""
    width, rest = divmod(len(text.rstrip()), max(1, count))
    if rest or width < 4:
        return []
    return [text[i * width : (i + 1) * width] for i in range(count)]
