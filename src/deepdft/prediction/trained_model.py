"""A trained model, ready to predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

import deepdft
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, StaleErrorModelError, UnsupportedStructureError
from deepdft.levels import LevelOfTheory
from deepdft.models.bundled import find_model, open_checkpoint
from deepdft.models.checkpoint import Checkpoint
from deepdft.prediction.devices import choose_device
from deepdft.prediction.electrons import ElectronTarget
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.evaluated_checkpoint import EvaluatedCheckpoint
from deepdft.structures import Coverage, charge_and_multiplicity

if TYPE_CHECKING:
    from deepdft.electronic.properties import Properties
    from deepdft.models.expected_errors.calibration import Excess
    from deepdft.models.expected_errors.error_model import ErrorModel
    from deepdft.models.expected_errors.expected import Uncertainty


class TrainedModel(EvaluatedCheckpoint):
    """A model with its atomic baseline, level of theory and card.

    Args:
        checkpoint: description and weights.
        name: bundled name or folder.
        folder: where it was loaded from, or None.
        settings: how it is evaluated; default: from tables, in the type of its weights.
        device: torch's name of where it computes.

    Attributes:
        checkpoint: description and weights.
        name: bundled name or folder.
        baseline: atomic densities below the network, or None.
        level: level of theory of the densities it predicts.
        card: the model card.
        folder: where it was loaded from, or None.
        error_model: what errors to expect, or None: then what the folder holds is loaded when it
            is first needed.
        threads: CPU threads; None for all that this process may use.
        exact_electrons: whether densities are corrected to have as many electrons as they should,
            where the model knows how, see `deepdft.prediction.electrons`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str,
        folder: Path | None = None,
        *,
        settings: EvaluationSettings | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(checkpoint, settings, device)
        self.name = name
        self.folder = folder
        self.error_model: ErrorModel | None = None
        self.level: LevelOfTheory = checkpoint.level
        self.card: dict[str, Any] = checkpoint.card
        self.baseline = checkpoint.tables
        self.threads: int | None = None
        self.exact_electrons = True

    def warm_up(self) -> None:
        """Compile what the first prediction would compile, so that rates shown are true ones."""
        atom = Atoms(numbers=[self.checkpoint.elements[0]], positions=[(0.0, 0.0, 0.0)])
        electrons = self.electron_target(atom)
        engine = ProbeEngine(self.evaluator, self.baseline, atom, self.threads, electrons=electrons)
        engine.at([(0.0, 0.0, 0.5), (0.0, 0.5, 0.0)])
        engine.box(Grid(np.eye(3), (2, 2, 2)), (0, 0, 0), (2, 2, 2))

    def engine(self, atoms: Atoms, *, exact_electrons: bool = True) -> ProbeEngine:
        """Return the engine for one structure: its atoms encoded, ready for any probes.

        Where the number of electrons is corrected, they are counted when the first value is asked
        for.

        Args:
            atoms: the structure.
            exact_electrons: False leaves out that correction.

        Raises:
            UnsupportedStructureError: see `check`.
        """
        self.check(atoms)
        target = self.electron_target(atoms) if exact_electrons else None
        return ProbeEngine(
            self.evaluator, self.baseline, atoms, self.threads, level=self.level, electrons=target
        )

    def electron_target(self, atoms: Atoms, *, always: bool = False) -> ElectronTarget | None:
        """Return how many electrons a density is corrected to have; None where it is not.

        Args:
            atoms: the structure.
            always: also where the correction is turned off.
        """
        shapes, charges = self.checkpoint.electron_shapes, self.core_charges(atoms)
        if not (self.exact_electrons or always) or shapes is None or charges is None:
            return None
        if not set(atoms.symbols) <= set(shapes.elements):
            return None
        charge = charge_and_multiplicity(atoms)[0]
        # No point feels atoms that are further apart.
        return ElectronTarget(charges, charge, shapes, 2.0 * self.cutoff)

    def density_at(self, atoms: Atoms, points: ArrayLike) -> FloatArray:
        """Return the density at points.

        Args:
            atoms: the structure.
            points: (n, 3) Å.

        Returns:
            (n,) e/Å^3.

        Raises:
            UnsupportedStructureError: see `check`.
            ConfigurationError: if the points have another shape or are not finite.
        """
        return self.engine(atoms).at(points)

    def gradient_at(self, atoms: Atoms, points: ArrayLike) -> FloatArray:
        """Return the gradient of the density at points (n, 3) in Å: (n, 3) e/Å^4.

        Analytic, and zero with no atom in reach. See `deepdft.architectures.derivatives` for its
        value on a nucleus.

        Raises:
            UnsupportedStructureError: see `check`.
            ConfigurationError: if the points have another shape or are not finite.
        """
        return self.engine(atoms).at(points, 1).gradient

    def hessian_at(self, atoms: Atoms, points: ArrayLike) -> FloatArray:
        """Return the Hessian of the density at points (n, 3) in Å: (n, 3, 3) e/Å^5.

        As `gradient_at`.
        """
        hessian = self.engine(atoms).at(points, 2).hessian
        assert hessian is not None
        return hessian

    def properties(self, atoms: Any, **options: Any) -> Properties:
        """Return charges, moments, energies and more of a structure; see `deepdft.properties`."""
        # What makes them stands above this module and knows it; the package's front door knows it.
        return deepdft.properties(atoms, self, **options)

    def uncertainty(self, atoms: Atoms, engine: ProbeEngine | None = None) -> Uncertainty:
        """Return what error to expect of the density of a structure.

        Args:
            atoms: the structure.
            engine: of the same structure, where there is one: its atoms are not encoded again.

        Raises:
            UnsupportedStructureError: see `check`, or if the error model lacks an element.
            ConfigurationError: if the model has no error model, or one of other weights.
            FileFormatError: if its file is damaged.
        """
        self.check(atoms)
        # First: a model without one is refused before anything is computed.
        self.require_error_model()
        engine = self.engine(atoms) if engine is None else engine
        return self.uncertainty_of_encoded(atoms, engine.senders, self.excess(engine))

    def excess(self, engine: ProbeEngine) -> Excess | None:
        """Return by how many electrons the network is off for a structure, None if not known.

        Args:
            engine: of the structure.
        """
        count = engine.electron_count
        if count is None and self.checkpoint.electron_shapes is not None:
            # The correction is turned off; what it says of the error is not.
            target = self.electron_target(engine.atoms, always=True)
            count = ProbeEngine(
                self.evaluator, self.baseline, engine.atoms, self.threads, engine.senders,
                self.level, target,
            ).electron_count  # fmt: skip
        return None if count is None else count.excess

    def warning(self, engine: ProbeEngine, expected: Uncertainty | None = None) -> str | None:
        """Return sentences where a structure lies outside what the model knows, else None.

        One is about its surroundings, one about its charge and number of electrons. A model that
        does not know its errors, or not those of an element, says nothing of surroundings; one
        whose weights have changed since its errors were looked at says so.

        Args:
            engine: of the structure, from `engine`.
            expected: what error to expect, where that is known.

        Raises:
            FileFormatError: if the file of the error model is damaged.
        """
        surroundings = self._warning(engine) if expected is None else expected.warning()
        count = engine.electron_count
        found = [surroundings, None if count is None else count.warning()]
        return "; ".join(sentence for sentence in found if sentence) or None

    def _warning(self, engine: ProbeEngine) -> str | None:
        try:
            return self.uncertainty_of_encoded(engine.atoms, engine.senders).warning()
        except StaleErrorModelError as error:
            return f"{error} Until then no structure is found to be unusual."
        except (ConfigurationError, UnsupportedStructureError):
            return None

    def uncertainty_of_encoded(
        self, atoms: Atoms, senders: Any, excess: Excess | None = None
    ) -> Uncertainty:
        """Return what `uncertainty` does, from what the atoms send to probes.

        Args:
            atoms: the structure.
            senders: what the evaluator's `encode` returned.
            excess: from `excess`; None leaves out what it would say of the error.
        """
        from deepdft.models.expected_errors.expected import Uncertainty

        electrons = self.expected_electrons(atoms)
        error_model = self.require_error_model()
        return Uncertainty(
            error_model, atoms, self.evaluator, senders, electrons, excess, self.threads
        )

    def require_error_model(self) -> ErrorModel:
        """Return what errors to expect, loaded when it is first needed.

        Raises:
            ConfigurationError: if there is no error model, or one of other weights.
            FileFormatError: if its file is damaged.
        """
        from deepdft.models.expected_errors.error_model import require_error_model

        if self.error_model is None:
            self.error_model = require_error_model(self.folder, self.name)
        return self.error_model

    @property
    def coverage(self) -> Coverage:
        """What structures the model was made for."""
        return Coverage.of_card(self.name, self.elements, self.card)

    def check(self, atoms: Atoms) -> None:
        """Refuse structures that the model cannot treat.

        Raises:
            UnsupportedStructureError: see `deepdft.structures.Coverage.check`.
        """
        self.coverage.check(atoms)

    def expected_electrons(self, atoms: Atoms) -> int | None:
        """Return the number of electrons the density should hold, or None if not known."""
        charges = self.core_charges(atoms)
        if charges is None:
            return None
        return int(charges.sum()) - charge_and_multiplicity(atoms)[0]

    def core_charges(self, atoms: Atoms) -> FloatArray | None:
        """Return the charges (atoms,) of nuclei with their cores, or None if not known.

        They are the numbers of electrons that neutral atoms bring to the density.
        """
        counts = self.card.get("electrons") or {}
        symbols = atoms.get_chemical_symbols()
        # A fine-tuned model knows elements that its own training data may lack.
        if not set(symbols) <= set(counts):
            return None
        return np.array([counts[symbol] for symbol in symbols], dtype=np.float64)


def load_model(name_or_path: str | Path = "default", device: str = "auto") -> TrainedModel:
    """Load a bundled model by name, a model folder, a run directory or a released checkpoint.

    >>> from ase.build import molecule
    >>> model = load_model("default")
    >>> {"C", "H", "O"} <= set(model.elements)
    True
    >>> model.density_at(molecule("H2O"), [[0.0, 0.0, 0.0], [0.0, 0.0, 9.0]]).round(1).tolist()
    [4.3, 0.0]

    Nothing in these files can run code: safetensors and JSON; of the authors' released code, JSON
    and a file that torch opens for plain tensors alone.

    Args:
        name_or_path: "default", another bundled name, or a folder.
        device: "cpu", "cuda", "cuda:1", ... or "auto" (a GPU where there is one).

    Raises:
        ConfigurationError: if there is no such model or device.
        FileFormatError: if the model's files are damaged.
        MissingDependencyError: for a GPU or a released checkpoint, if torch is not installed.
    """
    folder = find_model(name_or_path)
    return TrainedModel(
        open_checkpoint(folder), str(name_or_path), folder, device=choose_device(device)
    )
