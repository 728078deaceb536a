"""Levels of theory of many densities, not all of which know theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
    """Return a level of theory with unknown fields filled in.

    The code is not filled in: who computed a density is a matter of fact, not of agreement.
    """
    fields = known.to_dict()
    for name, value in assumed.to_dict().items():
        if name != "code":
            fields[name] = fields[name] or value
    return LevelOfTheory.from_dict(fields)


def parse_level(entries: Sequence[str]) -> Mapping[str, str]:
    """Return the fields of a level of theory from texts such as "functional=PBE".

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
    return result
