"""Settings and input of Quantum ESPRESSO's pw.x."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from ase import Atoms
from pydantic import Field

from deepdft.dft.calculation import CalculationSettings
from deepdft.dft.pseudopotentials import Pseudopotential

PREFIX = "deepdft"


class QuantumEspressoSettings(CalculationSettings):
    """Settings of a calculation with pw.x; defaults are those of the crystals' data."""

    pseudopotentials: str | None = Field(
        None, description="Folder with a UPF file an element; None takes ESPRESSO_PSEUDO."
    )
    core: str = Field(
        "PseudoDojo NC-SR 0.4", description="What the level of theory calls the pseudopotentials."
    )
    functional: str = Field("PBE", description="input_dft; that of the pseudopotentials' files.")
    cutoff: float = Field(80.0, gt=0, description="Plane-wave cutoff of the orbitals, Ry.")
    density_cutoff: float | None = Field(
        None, gt=0, description="That of the density, Ry; None is four times `cutoff`."
    )
    kpoints: tuple[int, int, int] | None = Field(
        None, description="Divisions of a Gamma-centred mesh; None follows kpoint_spacing."
    )
    kpoint_spacing: float = Field(
        0.35, gt=0, description="Largest distance between k-points, 1/Å (2 pi included)."
    )
    smearing: Literal["marzari-vanderbilt", "gaussian", "methfessel-paxton", "fermi-dirac"] = Field(
        "marzari-vanderbilt", description="How occupations are smeared."
    )
    smearing_width: float = Field(0.015, gt=0, description="Width of the smearing, Ry.")
    spin_polarised: bool | None = Field(
        None, description="Collinear spins; None: where the structure has initial moments."
    )
    convergence: float = Field(1e-8, gt=0, description="Estimated error an electron, Ry.")
    mixing: tuple[float, ...] = Field(
        (0.5, 0.2, 0.08),
        description="Mixing of the density, fraction; the next one where one does not converge.",
    )
    max_iterations: int = Field(80, ge=1, description="Iterations before the next mixing.")
    charge: int = Field(0, description="Net charge of the cell, e.")


def is_spin_polarised(atoms: Atoms, settings: QuantumEspressoSettings) -> bool:
    """Return whether spins are distinguished."""
    if settings.spin_polarised is not None:
        return settings.spin_polarised
    return bool(np.abs(atoms.get_initial_magnetic_moments()).max(initial=0) > 1e-3)


def kpoints(atoms: Atoms, settings: QuantumEspressoSettings) -> tuple[int, int, int]:
    """Return the divisions of the mesh of k-points."""
    if settings.kpoints is not None:
        return settings.kpoints
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(np.asarray(atoms.cell)), axis=0)
    counts = np.maximum(np.ceil(lengths / settings.kpoint_spacing - 1e-6).astype(int), 1)
    return int(counts[0]), int(counts[1]), int(counts[2])


def input_text(
    atoms: Atoms,
    settings: QuantumEspressoSettings,
    files: Mapping[str, Pseudopotential],
    *,
    mixing: float,
    calculation: str = "scf",
    density_from_file: bool = False,
    bands: int | None = None,
) -> str:
    """Return the input of pw.x.

    Args:
        atoms: the structure.
        settings: the settings in force.
        files: pseudopotential of each element.
        mixing: mixing_beta.
        calculation: "scf" or "nscf".
        density_from_file: begin with the density in the save folder (startingpot = 'file').
        bands: number of bands; pw.x's own choice by default.
    """
    species, labels = _species(atoms, settings, files)
    spin = is_spin_polarised(atoms, settings)
    electrons = sum(files[symbol].valence for symbol in atoms.get_chemical_symbols())
    system = [
        "ibrav = 0",
        f"nat = {len(atoms)}",
        f"ntyp = {len(species)}",
        f"ecutwfc = {settings.cutoff}",
        f"ecutrho = {settings.density_cutoff or 4 * settings.cutoff}",
        "occupations = 'smearing'",
        f"smearing = '{settings.smearing}'",
        f"degauss = {settings.smearing_width}",
        f"tot_charge = {settings.charge}",
        f"input_dft = '{settings.functional}'",
    ]
    if bands is not None:
        system.append(f"nbnd = {bands}")
    if spin:
        system.append("nspin = 2")
        system += [
            f"starting_magnetization({number}) = {entry.magnetization:.6f}"
            for number, entry in enumerate(species, start=1)
        ]
    electrons_section = [
        f"conv_thr = {settings.convergence * max(electrons, 1.0):.3e}",
        f"mixing_beta = {mixing}",
        f"electron_maxstep = {settings.max_iterations}",
    ]
    if density_from_file:
        electrons_section.append("startingpot = 'file'")
    control = [
        f"calculation = '{calculation}'",
        f"prefix = '{PREFIX}'",
        "outdir = '.'",
        f"pseudo_dir = '{next(iter(files.values())).path.parent}'",
        "disk_io = 'low'",
    ]
    sections = (("control", control), ("system", system), ("electrons", electrons_section))
    mesh = " ".join(str(n) for n in kpoints(atoms, settings))
    rows = "\n".join(" ".join(f"{x:.12f}" for x in vector) for vector in np.asarray(atoms.cell))
    places = "\n".join(
        f"{label} " + " ".join(f"{x:.12f}" for x in position)
        for label, position in zip(labels, atoms.positions, strict=True)
    )
    kinds = "\n".join(f"{entry.label} 1.0 {entry.file}" for entry in species)
    return "".join(f"&{name}\n  " + "\n  ".join(lines) + "\n/\n" for name, lines in sections) + (
        f"ATOMIC_SPECIES\n{kinds}\nCELL_PARAMETERS angstrom\n{rows}\n"
        f"ATOMIC_POSITIONS angstrom\n{places}\nK_POINTS automatic\n{mesh} 0 0 0\n"
    )


class _Species(NamedTuple):
    """One ATOMIC_SPECIES entry: atoms of one element that begin with one moment."""

    label: str
    file: str
    magnetization: float


def _species(
    atoms: Atoms, settings: QuantumEspressoSettings, files: Mapping[str, Pseudopotential]
) -> tuple[list[_Species], list[str]]:
    spin = is_spin_polarised(atoms, settings)
    moments = atoms.get_initial_magnetic_moments() if spin else np.zeros(len(atoms))
    known: dict[tuple[str, float], _Species] = {}
    labels = []
    for symbol, moment in zip(atoms.get_chemical_symbols(), moments, strict=True):
        key = (symbol, round(float(moment), 2))
        if key not in known:
            count = sum(other == symbol for other, _ in known)
            label = symbol if count == 0 else f"{symbol}{count}"
            share = float(np.clip(moment / files[symbol].valence, -1.0, 1.0))
            known[key] = _Species(label, files[symbol].path.name, share)
        labels.append(known[key].label)
    return list(known.values()), labels
