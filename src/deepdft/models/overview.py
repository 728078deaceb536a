"""What each bundled model is for, how good it is, and at which level of theory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdft.levels import LevelOfTheory
from deepdft.models.bundled import bundled_models
from deepdft.models.folder import read_description
from deepdft.structures.coverage import Coverage


@dataclass(frozen=True)
class ModelOverview:
    """One model in a few words.

    Attributes:
        coverage: structures that it was made for, and its name.
        level: level of theory of its densities.
        error: mean eps_mae, %, or None where it has not been measured.
        part: of the data that it was measured on, "test" or "validation".
        electrons_off: mean difference of a density's electrons from their number, on that part.
        electrons: that an atom brings to the density, by chemical symbol.
        data: what it was trained on.
    """

    coverage: Coverage
    level: LevelOfTheory
    error: float | None
    part: str
    electrons_off: float | None
    electrons: dict[str, int]
    data: str

    @classmethod
    def of_folder(cls, name: str, folder: str | Path) -> ModelOverview:
        """Return what a model folder's description says.

        Raises:
            FileFormatError: if it is damaged.
        """
        description = read_description(folder)
        card: dict[str, Any] = description.get("card", {})
        part = "test" if "test" in card else "validation"
        measured: dict[str, Any] = card.get(part, {})
        return cls(
            Coverage.of_card(name, description["elements"], card),
            LevelOfTheory.from_dict(description["level"]),
            measured.get("eps_mae_percent"),
            part,
            measured.get("mean_absolute_electron_error"),
            {str(symbol): int(count) for symbol, count in (card.get("electrons") or {}).items()},
            str(card.get("data", "")),
        )

    @property
    def charges(self) -> str:
        """The net charges that it knows, as text: "-1, 0, +1"."""
        return ", ".join(f"{q:+d}" if q else "0" for q in self.coverage.charges)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; the error in per cent."""
        coverage = self.coverage
        return {
            "name": coverage.model,
            "for": coverage.made_for,
            "elements": list(coverage.elements),
            "charges": list(coverage.charges),
            "level_of_theory": self.level.to_dict(),
            "eps_mae_percent": self.error,
            "measured_on": None if self.error is None else self.part,
            "electrons_off": self.electrons_off,
            "electrons": self.electrons,
            "data": self.data,
        }


def bundled_overviews() -> list[ModelOverview]:
    """Return what there is to say of each bundled model, 'default' first."""
    return [ModelOverview.of_folder(name, path) for name, path in bundled_models().items()]
