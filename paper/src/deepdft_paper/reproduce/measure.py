"""Errors of a model and of superposed atoms, structure by structure, kept as they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from ase import Atoms

from deepdft.data import DensityDataset
from deepdft.errors import ConfigurationError
from deepdft.evaluation.evaluate import AtomicSuperposition, Predictor, evaluate
from deepdft.storage.whole_files import AtomicFile


@dataclass(frozen=True)
class Measured:
    """Errors on one structure.

    Attributes:
        name: of the structure.
        formula: chemical formula.
        atoms: number of atoms.
        group: the independent group it belongs to.
        points: grid points.
        electrons: integral of the reference.
        predicted_electrons: integral of the model's density.
        eps_mae: eq. (7) of the model, a fraction.
        eps_mae_atoms: eq. (7) of superposed atomic densities, a fraction.
    """

    name: str
    formula: str
    atoms: int
    group: str
    points: int
    electrons: float
    predicted_electrons: float
    eps_mae: float
    eps_mae_atoms: float


class Results:
    """Measured errors in a JSON file, written anew after every structure.

    Args:
        path: the file; it need not exist.
        settings: what decides the numbers; a file holds one choice.

    Raises:
        ConfigurationError: if the file is damaged or was made with other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings
        self.structures: dict[str, Measured] = {}
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = content["settings"]
            self.structures = {row["name"]: Measured(**row) for row in content["structures"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is damaged ({error}); remove it.") from None
        for key in {*settings, *known}:
            if settings.get(key) != known.get(key):
                raise ConfigurationError(
                    f"{path} was measured with {key} {known.get(key)}, not {settings.get(key)}; "
                    "name another output folder, or remove the file."
                )

    def add(self, row: Measured) -> None:
        """Keep a structure's errors."""
        self.structures[row.name] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "settings": self.settings,
            "structures": [asdict(row) for row in self.structures.values()],
        }
        with AtomicFile(self.path) as file:
            file.write((json.dumps(content, indent=1) + "\n").encode())


def measure(
    model: Predictor,
    dataset: DensityDataset,
    results: Results,
    *,
    group: Callable[[Atoms], str] | None,
    spacing: float,
    margin: float,
    progress: Callable[[str], None],
) -> list[Measured]:
    """Measure what `results` does not have yet.

    Args:
        model: what is measured beside superposed atoms.
        dataset: reference densities.
        results: what is known.
        group: which independent group a structure belongs to; each is its own if None.
        spacing: of the grid for densities given by orbitals, Å.
        margin: reach of that grid beyond the nuclei, Å.
        progress: called with a structure's name after it is done, or was done before.

    Returns:
        One entry a structure, in the order of the dataset.

    Raises:
        LevelOfTheoryError: if model and densities differ in their level of theory.
    """
    predictors: list[Predictor] = [model, AtomicSuperposition.fitting(dataset)]
    names = dataset.names
    for index, name in enumerate(names):
        if name not in results.structures:
            alone = dataset.subset([index])
            first, second = evaluate(predictors, alone, spacing=spacing, margin=margin)
            found, atoms = first.rows[0], alone.atoms(0)
            results.add(
                Measured(
                    name=name,
                    formula=found.formula,
                    atoms=found.atoms,
                    group=name if group is None else group(atoms),
                    points=found.points,
                    electrons=cast(float, found.reference["electrons"]),
                    predicted_electrons=cast(float, found.predicted["electrons"]),
                    eps_mae=found.eps_mae,
                    eps_mae_atoms=second.rows[0].eps_mae,
                )
            )
        progress(name)
    return [results.structures[name] for name in names]
