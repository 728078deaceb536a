"""Errors that a user can act on.

Every message is one sentence: what is wrong, where, and what to do. The command line prints the
sentence and leaves with exit code 2; anything that is not a `DeepDFTError` is a defect of ours.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LONGEST = 300
_LONG = re.compile(rf"\S{{{_LONGEST + 1},}}")


class DeepDFTError(Exception):
    """Base of every error caused by input rather than by a defect in the package.

    >>> import deepdft
    >>> try:
    ...     deepdft.read("absent.cube")
    ... except deepdft.DeepDFTError as error:
    ...     print(type(error).__name__)
    FileFormatError
    """

    def __str__(self) -> str:
        """Return the sentence; of words that are very long it has beginning and end."""
        return _LONG.sub(lambda word: shortened(word[0]), super().__str__())


class FileFormatError(DeepDFTError):
    """A file cannot be read as the format that its name or its content announces."""


class ConfigurationError(DeepDFTError):
    """A configuration or a command line option has an unusable value."""


class StaleErrorModelError(ConfigurationError):
    """A model's weights have changed since its errors were looked at."""


class UnsupportedStructureError(DeepDFTError):
    """A model cannot treat a structure (unknown elements, net charge, ...)."""


class LevelOfTheoryError(DeepDFTError):
    """Densities of different levels of theory would be mixed."""


class CalculationError(DeepDFTError):
    """A reference calculation did not converge or its program failed."""


class MissingDependencyError(DeepDFTError):
    """An optional library is needed and not installed."""


def shortened(word: str) -> str:
    """Return a word or path with its middle left out where it is longer than messages should be.

    >>> len(shortened("n" * 5000)), shortened("rho.cube")
    (243, 'rho.cube')
    """
    return word if len(word) <= _LONGEST else f"{word[:200]}...{word[-40:]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the known word closest to `word`, or an empty string.

    >>> did_you_mean("cosin", ["constant", "cosine"])
    " Did you mean 'cosine'?"
    """
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
