"""Draw, relax and write the structures of the cathode data.

    python recipes/cathode/structures.py recipes/cathode/cathode.extxyz

Layered Li(x)(Ni,Mn,Co)O2, space group R-3m: metal and lithium/vacancy sites of the supercells in
`composition.py` are occupied at random (uniform Monte Carlo, fixed seeds) at each composition.
Occupations that a symmetry operation of the parent lattice maps onto an earlier one, in whatever
supercell, are dropped, and so are those that repeat within their supercell. What is left is relaxed
with CHGNet, cell and positions, its symmetry kept; CHGNet's magnetic moments become the initial
moments. Relaxed structures are kept beside the output until all are done, so that a run that was
ended goes on; frames are ordered so that any beginning of the file has all kinds of cells and all
parts of the split in proportion. Needs chgnet, pymatgen and spglib.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import ase.io
import numpy as np
import spglib
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from composition import CELLS, DESIGN, Composition
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

A, C = 2.85, 14.15
"""Hexagonal lattice constants to start from, Å."""
OXYGEN = 0.2604
"""Fractional height of oxygen over the metal at the origin, in units of C."""
FORCE = 0.05
"""Forces (and stress times volume, per atom) to relax to, eV/Å."""
STEPS = 400
PLACES = {"stacked": (0.0, 0.6), "planar": (0.0, 0.6), "quadruple": (0.5, 1.0)}
"""Where in the order cells are, and over what length; others from 0 to 1."""
DRAWS = 200
"""Draws before a composition is given up as having no further distinct occupation."""


def parent(cell: str) -> Atoms:
    """Return a supercell with every site occupied: metals as Co, then lithium, then oxygen."""
    hexagonal = np.array([[A, 0, 0], [-A / 2, A * np.sqrt(3) / 2, 0], [0, 0, C]])
    a1, a2, c = hexagonal
    step = (2 * a1 + a2 + c) / 3
    vectors = np.array(CELLS[cell]) @ np.array([a1, a2, step])
    basis = {"Co": [0.0], "Li": [0.5], "O": [OXYGEN, -OXYGEN]}
    lattice = np.array([a1, a2, step])
    span = np.array(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij")).reshape(3, -1).T @ lattice
    symbols, positions = [], []
    for symbol, heights in basis.items():
        for height in heights:
            points = span + height * c
            scaled = points @ np.linalg.inv(vectors)
            inside = ((scaled > -1e-6) & (scaled < 1 - 1e-6)).all(axis=1)
            symbols += [symbol] * int(inside.sum())
            positions.append(points[inside])
    atoms = Atoms(symbols, np.concatenate(positions), cell=vectors, pbc=True)
    assert len(atoms) == 4 * round(abs(np.linalg.det(CELLS[cell])))
    return atoms


def draw(composition: Composition, generator: np.random.Generator) -> Atoms:
    """Return one random occupation."""
    atoms = parent(composition.cell)
    metals = np.flatnonzero(atoms.symbols == "Co")
    chosen = np.repeat(["Ni", "Mn", "Co"], composition.metals)
    atoms.symbols[metals] = generator.permutation(chosen)
    sites = generator.permutation(np.flatnonzero(atoms.symbols == "Li"))
    del atoms[sites[composition.lithium :].tolist()]
    return atoms


def occupations() -> Iterator[tuple[Composition, Atoms]]:
    """Yield the distinct occupations of the whole design, unrelaxed.

    Raises:
        ValueError: if a composition has fewer than wanted.
    """
    matcher = StructureMatcher(ltol=0.01, stol=0.02, angle_tol=0.5, attempt_supercell=False)
    seen: dict[str, list[Structure]] = defaultdict(list)
    for row, composition in enumerate(DESIGN):
        generator = np.random.default_rng([20261125, row])
        found = 0
        for _ in range(DRAWS):
            atoms = draw(composition, generator)
            if _repeats(atoms):
                continue
            structure = AseAtomsAdaptor.get_structure(atoms)
            if any(matcher.fit(structure, other) for other in seen[composition.key]):
                continue
            seen[composition.key].append(structure)
            yield composition, atoms
            found += 1
            if found == composition.count:
                break
        else:
            raise ValueError(f"{composition} has only {found} distinct occupations.")


def _repeats(atoms: Atoms) -> bool:
    primitive = spglib.find_primitive(_spglib_cell(atoms), symprec=1e-3)
    assert primitive is not None
    return len(primitive[2]) < len(atoms)


def _spglib_cell(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers


def relax(atoms: Atoms, calculator: Calculator) -> Atoms:
    """Return the relaxed structure with CHGNet's energy and moments; symmetry is kept.

    Raises:
        RuntimeError: if it does not converge.
    """
    relaxed = atoms.copy()
    relaxed.calc = calculator
    relaxed.set_constraint(FixSymmetry(relaxed, symprec=1e-4))
    optimiser = FIRE(FrechetCellFilter(relaxed), logfile=None)
    if not optimiser.run(fmax=FORCE, steps=STEPS):
        raise RuntimeError(f"{atoms.get_chemical_formula()} did not relax in {STEPS} steps.")
    moments = np.abs(relaxed.calc.results["magmoms"]).astype(np.float64)
    energy = relaxed.get_potential_energy()
    relaxed.set_constraint()
    relaxed.wrap()
    relaxed.set_initial_magnetic_moments(np.round(moments, 2))
    relaxed.calc = SinglePointCalculator(relaxed, energy=float(energy))
    relaxed.info["chgnet_steps"] = optimiser.nsteps
    return relaxed


def ordered(frames: list[Atoms]) -> list[Atoms]:
    """Return the frames so that every beginning has cells and parts in proportion.

    Small cells, which cost least, come somewhat sooner; the largest start half way.
    """
    groups: dict[tuple[str, str], list[Atoms]] = defaultdict(list)
    for frame in frames:
        groups[frame.info["cell"], frame.info["part"]].append(frame)
    ranked = []
    for (cell, _), members in groups.items():
        first, length = PLACES.get(cell, (0.0, 1.0))
        for number, frame in enumerate(members):
            rank = first + length * (number + 0.5) / len(members)
            ranked.append((rank, len(ranked), frame))
    return [frame for _, _, frame in sorted(ranked, key=lambda entry: entry[:2])]


def main(output: Path) -> None:
    """Write the structures."""
    from chgnet.model import CHGNetCalculator

    warnings.filterwarnings("ignore", category=UserWarning)
    partial = output.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    calculator = CHGNetCalculator(use_device="cpu", on_isolated_atoms="ignore")
    frames = []
    for number, (composition, atoms) in enumerate(occupations()):
        path = partial / f"{number:02d}.extxyz"
        if not path.exists():
            relaxed = relax(atoms, calculator)
            relaxed.info |= {
                "cell": composition.cell,
                "composition": composition.key,
                "part": composition.part,
                "potential": f"CHGNet {version('chgnet')}",
            }
            temporary = path.with_suffix(".tmp")
            ase.io.write(temporary, relaxed, format="extxyz")
            temporary.replace(path)
        frames.append(ase.io.read(path))
        print(number, composition.key, composition.cell, len(atoms), flush=True)
    frames = ordered(frames)
    ase.io.write(output, frames, format="extxyz")
    for path in partial.iterdir():
        path.unlink()
    partial.rmdir()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
