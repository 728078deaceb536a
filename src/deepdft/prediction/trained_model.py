"""A trained model, ready to predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike
from torch import Tensor

from deepdft.density import FloatArray, Grid
from deepdft.errors import ConfigurationError, StaleErrorModelError, UnsupportedStructureError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.levels import LevelOfTheory
from deepdft.models.bundled import find_model, open_checkpoint
from deepdft.models.checkpoint import Checkpoint
from deepdft.prediction.atom_states import encode_atoms
from deepdft.prediction.engine import ProbeEngine
from deepdft.structures import Coverage, charge_and_multiplicity

if TYPE_CHECKING:
    from deepdft.uncertainty.error_model import ErrorModel
    from deepdft.uncertainty.expected import Uncertainty


class TrainedModel:
    """A network with its atomic baseline, level of theory and card.

    Attributes:
        name: bundled name or folder.
        network: the network, in evaluation mode.
        baseline: atomic densities below the network, or None.
        level: level of theory of the densities it predicts.
        card: the model card.
        folder: where it was loaded from, or None.
        error_model: what errors to expect, or None: then what the folder holds is loaded when it
            is first needed.
    """

    def __init__(self, checkpoint: Checkpoint, name: str, folder: Path | None = None) -> None:
        self.name = name
        self.folder = folder
        self.error_model: ErrorModel | None = None
        self.network = checkpoint.network
        self.level: LevelOfTheory = checkpoint.level
        self.card: dict[str, Any] = checkpoint.card
        self.baseline = (
            None if checkpoint.baseline is None else AtomicDensityTables.load(checkpoint.baseline)
        )
        self.threads: int | None = None

    @property
    def elements(self) -> list[str]:
        """Chemical symbols that the model knows."""
        return [chemical_symbols[z] for z in self.network.elements]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TrainedModel:
        """Move the network to a device, optionally to another floating type; return self."""
        self.network.to(device=device, dtype=dtype)
        return self

    @property
    def network_device(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    def warm_up(self) -> None:
        """Compile what the first prediction would compile, so that rates shown are true ones."""
        atom = Atoms(numbers=[self.network.elements[0]], positions=[(0.0, 0.0, 0.0)])
        engine = ProbeEngine(self.network, self.baseline, atom, self.threads)
        engine.at([(0.0, 0.0, 0.5), (0.0, 0.5, 0.0)])
        engine.box(Grid(np.eye(3), (2, 2, 2)), (0, 0, 0), (2, 2, 2))

    def engine(self, atoms: Atoms) -> ProbeEngine:
        """Return the engine for one structure: its atoms encoded, ready for any probes.

        Raises:
            UnsupportedStructureError: see `check`.
        """
        self.check(atoms)
        return ProbeEngine(self.network, self.baseline, atoms, self.threads, level=self.level)

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
        return self.engine(atoms).at(points, order=1).gradient

    def hessian_at(self, atoms: Atoms, points: ArrayLike) -> FloatArray:
        """Return the Hessian of the density at points (n, 3) in Å: (n, 3, 3) e/Å^5.

        As `gradient_at`.
        """
        hessian = self.engine(atoms).at(points, order=2).hessian
        assert hessian is not None
        return hessian

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
        senders = (
            encode_atoms(self.network, atoms, self.threads) if engine is None else engine.senders
        )
        return self.uncertainty_of_encoded(atoms, senders)

    def warning(self, engine: ProbeEngine) -> str | None:
        """Return a sentence where a structure lies outside what the model knows, else None.

        A model that does not know its errors, or not those of an element, says nothing; one whose
        weights have changed since its errors were looked at says so.

        Args:
            engine: of the structure, from `engine`.

        Raises:
            FileFormatError: if the file of the error model is damaged.
        """
        try:
            return self.uncertainty_of_encoded(engine.atoms, engine.senders).warning()
        except StaleErrorModelError as error:
            return f"{error} Until then no structure is found to be unusual."
        except (ConfigurationError, UnsupportedStructureError):
            return None

    def uncertainty_of_encoded(self, atoms: Atoms, senders: Tensor) -> Uncertainty:
        """Return what `uncertainty` does, from what the atoms send to probes."""
        from deepdft.uncertainty.expected import Uncertainty

        electrons = self.expected_electrons(atoms)
        error_model = self.require_error_model()
        return Uncertainty(error_model, atoms, self.network, senders, electrons, self.threads)

    def require_error_model(self) -> ErrorModel:
        """Return what errors to expect, loaded when it is first needed.

        Raises:
            ConfigurationError: if there is no error model, or one of other weights.
            FileFormatError: if its file is damaged.
        """
        from deepdft.uncertainty.error_model import require_error_model

        if self.error_model is None:
            self.error_model = require_error_model(self.folder, self.name)
        return self.error_model

    @property
    def coverage(self) -> Coverage:
        """What structures the model was made for."""
        return Coverage(
            self.name,
            tuple(self.elements),
            charges=tuple(self.card.get("charges") or (0,)),
            open_shells=bool(self.card.get("spin")),
        )

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
    [4.4, 0.0]

    Nothing in these files can run code: safetensors and JSON; of the authors' released code, JSON
    and a file that torch opens for plain tensors alone.

    Args:
        name_or_path: "default", another bundled name, or a folder.
        device: "cpu", "cuda", "cuda:1", ... or "auto" (a GPU where there is one).

    Raises:
        ConfigurationError: if there is no such model or device.
        FileFormatError: if the model's files are damaged.
    """
    folder = find_model(name_or_path)
    model = TrainedModel(open_checkpoint(folder), str(name_or_path), folder)
    return model.to(choose_device(device))


def choose_device(device: str) -> torch.device:
    """Return the torch device for a name, "auto" being a GPU where there is one.

    Raises:
        ConfigurationError: if the device does not exist here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigurationError(
            f"There is no device '{device}' here; use 'auto', 'cpu' or, with a GPU, 'cuda'."
        ) from None
    return chosen
