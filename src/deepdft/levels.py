"""Levels of theory of many densities, not all of which know theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deepdft.density import LevelOfTheory
from deepdft.errors import ConfigurationError, did_you_mean


def common_level(levels: Iterable[LevelOfTheory], what: str) -> LevelOfTheory:
    """Return what is known about the level of theory that all share.

    Comparing each with the first would not do: an unknown level fits two that differ.

    Raises:
        LevelOfTheoryError: if two of them are known to differ; `what` begins the message.
    """
    result: LevelOfTheory | None = None
    for level in levels:
        if result is None:
            result = level
            continue
        result.require_match(level, what)
        result = completed_level(result, level)
    return result or LevelOfTheory()


def completed_level(known: LevelOfTheory, assumed: LevelOfTheory) -> LevelOfTheory:
    """Return a level of theory with unknown fields filled in."""
    filled = {name: value for name, value in known.to_dict().items() if value}
    return LevelOfTheory.from_dict({**assumed.to_dict(), **filled})


def parse_level(entries: Sequence[str]) -> LevelOfTheory:
    """Return a level of theory from texts such as "functional=PBE".

    Raises:
        ConfigurationError: if a text is not of this form or names no field.
    """
    known = LevelOfTheory().to_dict()
    result: dict[str, str] = {}
    for entry in entries:
        key, separator, value = entry.partition("=")
        if not separator or key not in known:
            raise ConfigurationError(
                f"'{entry}' is not of the form FIELD=VALUE with a field of {', '.join(known)}."
                f"{did_you_mean(key, known)}"
            )
        result[key] = value
    return LevelOfTheory.from_dict(result)
