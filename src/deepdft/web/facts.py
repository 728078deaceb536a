"""Numbers of a density, each with a sentence on what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepdft.density import Density
from deepdft.web.results import AtomFact, Fact

if TYPE_CHECKING:
    from deepdft.comparison import DensityComparison
    from deepdft.models.expected_errors.expected import Uncertainty

_VALENCE = "; the innermost electrons of the atoms are left out, as in the training data"


def facts_of(
    density: Density, expected: Uncertainty | None = None, electrons: int | None = None
) -> tuple[Fact, ...]:
    """Return the facts on a density.

    Args:
        density: with the results of reductions in its metadata where it was predicted.
        expected: what error to expect, where it was predicted.
        electrons: how many electrons it should hold, or None.
    """
    found = [_electrons(density, electrons)]
    dipole: Any = density.metadata.get("properties", {}).get("dipole")
    if dipole is not None:
        found.append(dipole_fact(dipole["debye"]))
    if expected is not None:
        low, high = (100 * end for end in expected.eps_mae_range)
        found.append(
            Fact(
                "expected_error",
                "Expected error",
                100 * expected.eps_mae,
                "%",
                "The share of the electrons that is probably in the wrong place, compared with a "
                f"DFT calculation (8 of 10 known structures: {low:.2g} to {high:.2g} %).",
            )
        )
    return tuple(found)


def dipole_fact(debye: float) -> Fact:
    """Return what a dipole moment is and means."""
    return Fact(
        "dipole",
        "Dipole moment",
        debye,
        "D",
        "How far the centres of positive and negative charge lie apart, times the charge; water "
        "has 1.8.",
    )


def _electrons(density: Density, expected: int | None) -> Fact:
    words = "The density added up over space"
    if expected is not None:
        words += f"; {expected} are expected"
        if expected < int(density.atoms.numbers.sum()) - 1:
            words += _VALENCE
    found: Any = density.metadata.get("properties", {}).get("electrons", density.n_electrons)
    return Fact("electrons", "Electrons", float(found), "", f"{words}.", 3)


def atom_facts(expected: Uncertainty | None) -> tuple[AtomFact, ...]:
    """Return what is known of each atom."""
    if expected is None:
        return ()
    return tuple(AtomFact(error=float(share)) for share in expected.shares)


def facts_of_comparison(found: DensityComparison) -> tuple[Fact, ...]:
    """Return the facts on how far a density is from a reference."""
    statistics = found.statistics
    reference, other = statistics.electrons
    return (
        Fact(
            "eps_mae",
            "Difference",
            100 * statistics.eps_mae,
            "%",
            "The integral of the magnitude of the difference, as a share of the reference's "
            "electrons (eq. 7 of the paper).",
            3,
        ),
        Fact(
            "largest",
            "Largest difference",
            statistics.max_absolute,
            "e/Å³",
            f"At ({', '.join(f'{x:.2f}' for x in found.largest_at)}) Å.",
            4,
        ),
        Fact("electrons", "Electrons", other, "", "The density added up over the grid.", 3),
        Fact(
            "reference_electrons",
            "Electrons of the reference",
            reference,
            "",
            "The reference added up over the same grid.",
            3,
        ),
    )
