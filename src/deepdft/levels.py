"""How densities were computed, and the only place where that is compared."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from deepdft.errors import ConfigurationError, LevelOfTheoryError, did_you_mean


@dataclass(frozen=True)
class LevelOfTheory:
    """How a density was computed. A field that is not known is an empty string.

    >>> pbe = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")
    >>> print(pbe)
    PBE/GTH-PBE/gth-dzvp (PySCF 2.14)
    >>> pbe.conflicts_with(LevelOfTheory("SCAN", code="VASP"))
    ['functional']

    Attributes:
        functional: exchange-correlation functional, for example "PBE".
        core: treatment of the core electrons, for example "GTH-PBE", "PAW" or "all-electron".
        basis: orbital basis or plane-wave cutoff, for example "gth-dzvp" or "400 eV".
        code: program, for example "PySCF 2.14".
    """

    functional: str = ""
    core: str = ""
    basis: str = ""
    code: str = ""

    def __str__(self) -> str:
        known = [value for value in (self.functional, self.core, self.basis) if value]
        text = "/".join(known) if known else "unknown level of theory"
        return f"{text} ({self.code})" if self.code else text

    @property
    def is_nonnegative(self) -> bool:
        """Whether a density of this level is known to be nowhere negative: a sum of |orbital|^2.

        Densities of PAW and ultrasoft potentials hold compensation charges and are negative in
        places; of a level that is not known nothing is assumed.
        """
        norm_conserving = ("gth", "hgh", "ecp", "pseudodojo nc")
        return self.core.casefold().startswith(("all-electron", *norm_conserving))

    def conflicts_with(self, other: LevelOfTheory) -> list[str]:
        """Return the fields that are known on both sides and differ.

        The code is left out: two programs at the same functional, core treatment and basis agree.
        """
        return [
            name
            for name in ("functional", "core", "basis")
            if _differ(getattr(self, name), getattr(other, name))
        ]

    def require_match(self, other: LevelOfTheory, what: str) -> None:
        """Raise `LevelOfTheoryError` if the two levels of theory are known to differ."""
        conflicts = self.conflicts_with(other)
        if conflicts:
            differ = "differs" if len(conflicts) == 1 else "differ"
            raise LevelOfTheoryError(
                f"{what}: the {' and the '.join(conflicts)} {differ} ({self} against {other}); "
                "pass --mix-levels (mix_levels=True) to compare all the same."
            )

    def to_dict(self) -> dict[str, str]:
        """Return the fields as a plain dictionary (for JSON and YAML)."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LevelOfTheory:
        """Build from a dictionary as written by `to_dict`; unknown keys are ignored.

        Raises:
            ConfigurationError: if it is no dictionary, or a field is neither text nor a number.
        """
        if not isinstance(values, Mapping):
            raise ConfigurationError(
                "A level of theory must tell functional, core, basis and code, each by its name."
            )
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        for name, value in known.items():
            if not isinstance(value, str | int | float):
                raise ConfigurationError(f"The {name} of a level of theory must be text.")
        return cls(**{name: str(value) for name, value in known.items()})


def _differ(left: str, right: str) -> bool:
    return bool(left) and bool(right) and left.casefold() != right.casefold()


class SharedLevel:
    """The level of theory that densities share, as far as it is known from those seen so far.

    Every density is compared with all that came before it. Comparing each with the first would not
    do: an unknown level fits two that differ.

    Attributes:
        level: what is known of it.
    """

    def __init__(self, level: LevelOfTheory | None = None) -> None:
        self.level = level or LevelOfTheory()
        self._lock = threading.Lock()

    def add(self, level: LevelOfTheory, what: str) -> None:
        """Take in the level of theory of one more density.

        Raises:
            LevelOfTheoryError: if it is known to differ from one before; `what` begins the message.
        """
        with self._lock:
            self.level.require_match(level, what)
            self.level = completed_level(self.level, level)


def common_level(levels: Iterable[LevelOfTheory], what: str) -> LevelOfTheory:
    """Return what is known about the level of theory that all share, compared all with all.

    Raises:
        LevelOfTheoryError: if two of them are known to differ; `what` begins the message.
    """
    shared = SharedLevel()
    for level in levels:
        shared.add(level, what)
    return shared.level


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
