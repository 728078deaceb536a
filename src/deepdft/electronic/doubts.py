"""Reasons to begin a calculation as the program does, and not from a predicted density."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from deepdft.errors import ConfigurationError, StaleErrorModelError
from deepdft.prediction.trained_model import TrainedModel

LARGEST_EXPECTED_ERROR = 0.02
"""Expected error of the density (eps_mae, a fraction) above which a start does not pay."""

SMALLEST_GAP = 0.5
"""Gap of the first diagonalisation, eV, below which it does not."""

LARGEST_BRACKET = 0.005
"""Kohn-Sham minus Harris energy, eV an atom, above which it does not.

Of 22 validation molecules of QM9 21 have 0.0003 at most. The other one, for which the start saves
nothing, has 0.02.
"""


def doubt_of_structure(model: TrainedModel, engine: Any) -> str | None:
    """Return why a start from a model's density would not pay, or None.

    Args:
        model: the model.
        engine: its engine of the structure.
    """
    try:
        expected = model.uncertainty_of_encoded(engine.atoms, engine.senders)
    except (StaleErrorModelError, ConfigurationError):
        return None
    warning = expected.warning()
    if warning is not None:
        return warning
    if expected.eps_mae > LARGEST_EXPECTED_ERROR:
        return (
            f"An error of {100 * expected.eps_mae:.1f} % is to be expected of the density of "
            f"{engine.atoms.get_chemical_formula()}"
        )
    return None


def doubt_of_gap(gap: float) -> str | None:
    """Return why orbitals with a gap, eV, are no good start, or None."""
    if gap < SMALLEST_GAP:
        return f"The gap of the first diagonalisation is {gap:.2f} eV"
    return None


def doubt_of_bracket(bracket: float, atoms: Atoms) -> str | None:
    """Return why the orbitals whose energies are so far apart, eV, are no good start, or None."""
    if abs(bracket) > LARGEST_BRACKET * len(atoms):
        return (
            f"The two energies of the first diagonalisation are {1000 * abs(bracket):.0f} meV "
            "apart, so the predicted density is far from the converged one"
        )
    return None
