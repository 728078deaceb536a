"""What a predicted density saves: energies without SCF, and SCF calculations that begin with it.

    OMP_NUM_THREADS=1 python benchmarks/electronic.py                   # two bundled test molecules
    OMP_NUM_THREADS=1 python benchmarks/electronic.py --molecules 78 --results table.jsonl
    OMP_NUM_THREADS=1 python benchmarks/electronic.py --peptides 5 8 14 --results peptides.jsonl
    OMP_NUM_THREADS=1 python benchmarks/electronic.py DATA --part validation --model default
    OMP_NUM_THREADS=1 python benchmarks/electronic.py --functional PBE0 --grid default
    OMP_NUM_THREADS=1 python benchmarks/electronic.py --basis gth-tzvp

DATA is an archive of occupied orbitals or a folder of them with `split.json`; without it, the test
molecules of QM9 that come with the package. `--peptides` takes chains of as many glycines instead
(5, 8 and 14 have 38, 59 and 101 atoms). With `--results`, finished molecules are kept and not
calculated again. Where molecules differ in size, a table of times against atoms comes last.

Of every molecule: an SCF calculation as PySCF does it and one with kept orbitals and NumPy's
products (`deepdft.dft.pyscf_integration`), from PySCF's guess and from ours; the energy without
SCF; and PySCF's other guesses, each with one diagonalisation and both energies, at the same number
of Fock matrices. Density fitting is built and counted in every time, the start counted where it
serves. Times are those of the processor, one thread. Energies, levels and densities are compared
with the SCF on the same grid, converged to 1e-10 Ha.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule as ase_molecule

import deepdft
from deepdft.dft.functionals import libxc_code
from deepdft.dft.pyscf import PySCFSettings
from deepdft.dft.pyscf_integration import KeptFunctions
from deepdft.electronic import from_density, initial_guess
from deepdft.electronic.fitting import SharedFitting
from deepdft.electronic.from_density import KOHN_SHAM_SHARE, LEVEL_SHARE
from deepdft.electronic.one_step import FockBuilder
from deepdft.electronic.theory import semilocal_kind
from deepdft.fields.orbitals import OrbitalArchive
from deepdft.structures import charge_and_multiplicity
from deepdft.units import BOHR, HARTREE

BASIS = "gth-dzvp"
GUESSES = ("minao", "atom", "huckel", "sap")
BUNDLED = Path(deepdft.__file__).parent / "bundled" / "densities" / "qm9_test" / "molecules.npz"
MEV = 1000 * HARTREE


def main() -> None:
    options = parsed()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("Times are those of one thread: set OMP_NUM_THREADS=1.")
    model = deepdft.load_model(options.model, device="cpu")
    model.threads = 1
    model.warm_up()
    done = finished(options.results)
    rows = []
    for number, (name, atoms) in enumerate(molecules(options)):
        key = f"{name} {options.functional} {options.grid} {options.model}"
        if options.basis != BASIS:
            key += f" {options.basis}"
        if number == 0 and key not in done:
            measured(ase_molecule("CH3OH"), model, options)  # compiles, and is not counted
        row = done.get(key) or {"key": key, **measured(atoms, model, options)}
        if key not in done and options.results is not None:
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        rows.append(row)
        print_row(name, row)
    print_summary(rows)
    if len({row["atoms"] for row in rows}) > 1:
        print_times(rows)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=None)
    parser.add_argument("--part", default="test", help="of split.json beside DATA")
    parser.add_argument("--names", nargs="*", default=None, help="names or numbers in DATA")
    parser.add_argument("--molecules", type=int, default=2)
    parser.add_argument("--peptides", type=int, nargs="*", default=None, metavar="GLYCINES")
    parser.add_argument("--model", default="qm9")
    parser.add_argument("--functional", default="PBE", help="of the SCF calculations")
    parser.add_argument("--basis", default=BASIS, help="of the SCF calculations")
    parser.add_argument(
        "--grid", choices=("data", "default"), default="data",
        help="of the SCF calculations: that of the model's data, or PySCF's default",
    )  # fmt: skip
    parser.add_argument(
        "--guesses", nargs="*", default=GUESSES, metavar="GUESS",
        help="of PySCF's that are compared as well: minao, atom, huckel, sap",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, default=None, help="file of one JSON text a line")
    return parser.parse_args()


def molecules(options: argparse.Namespace) -> Iterator[tuple[str, Atoms]]:
    if options.peptides:
        yield from ((f"glycine {n}", peptide(n)) for n in options.peptides)
        return
    archive = OrbitalArchive(options.data or BUNDLED)
    names = options.names
    if names is None and options.data is not None:
        folder = options.data if options.data.is_dir() else options.data.parent
        names = json.loads((folder / "split.json").read_text(encoding="utf-8"))[options.part]
    places = {label: place for place, label in enumerate(archive.labels)}
    chosen = range(len(archive)) if names is None else [places[str(name)] for name in names]
    for place in chosen[: options.molecules]:
        yield archive.labels[place], archive[place].atoms


def peptide(glycines: int) -> Atoms:
    """A chain of glycines in a shape that a force field likes."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    chain = Chem.AddHs(Chem.MolFromSmiles("NCC(=O)" * glycines + "O"))
    AllChem.EmbedMolecule(chain, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(chain, maxIters=5000)
    numbers = [atom.GetAtomicNum() for atom in chain.GetAtoms()]
    return Atoms(numbers, chain.GetConformer().GetPositions())


class Program:
    """A calculation of PySCF: fresh, with nothing built but the density fitting."""

    def __init__(self, atoms: Atoms, options: argparse.Namespace, kept: bool) -> None:
        from pyscf import dft, gto

        settings = PySCFSettings(functional=options.functional)
        charge, _ = charge_and_multiplicity(atoms)
        basis = {
            symbol: "gth-dzvp-molopt-sr"
            if symbol in ("K", "Ca", "Zn", "Br", "I")
            else options.basis
            for symbol in set(atoms.get_chemical_symbols())
        }
        structure = zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
        molecule = gto.M(
            atom=list(structure), basis=basis, pseudo="gth-pbe", charge=charge, verbose=0
        )
        self.field = dft.RKS(molecule)
        self.field.xc = libxc_code(options.functional)
        hybrid = dft.libxc.is_hybrid_xc(self.field.xc)
        fitting = "def2-universal-jkfit" if hybrid else settings.auxiliary_basis
        self.field = self.field.density_fit(fitting)
        self.field.conv_tol = 1e-8
        if options.grid == "data":
            symbols = set(atoms.get_chemical_symbols())
            self.field.grids.atom_grid = {symbol: settings.grid_of(symbol) for symbol in symbols}
        if kept:
            self.field._numint = KeptFunctions()
        # Otherwise PySCF computes the integrals anew in every iteration.
        self.field.with_df.build()

    def converge(self, start: np.ndarray | None = None) -> int:
        """Return the number of iterations."""
        self.field.kernel(dm0=start)
        if not self.field.converged:
            raise SystemExit("PySCF has not converged.")
        return int(self.field.cycles)


def measured(atoms: Atoms, model: deepdft.prediction.TrainedModel, options) -> dict:
    row: dict = {"atoms": len(atoms)}
    times: dict[str, float] = {}
    iterations: dict[str, int] = {}
    for kind, kept in (("as it comes", False), ("best", True)):
        with timed(times, f"SCF {kind}"):
            program = Program(atoms, options, kept)
            iterations[f"SCF {kind}"] = program.converge()
        with timed(times, f"SCF {kind}, our start"):
            program = Program(atoms, options, kept)
            with warnings.catch_warnings(record=True) as refused:
                warnings.simplefilter("always")
                start = initial_guess(program.field, model)
            iterations[f"SCF {kind}, our start"] = program.converge(start)
    points = program.field.grids.coords * BOHR
    with timed(times, "density alone"):
        model.engine(atoms).at(points)
    row |= {"times": times, "iterations": iterations, "refused": bool(refused)}
    program.field.conv_tol = 1e-10
    program.converge(program.field.make_rdm1())
    row["errors"] = {}
    same = options.functional.casefold() == model.level.functional.casefold()
    if same and options.basis == BASIS:
        with timed(times, "energy without SCF"):
            from_density(model.engine(atoms))
        row["errors"] = errors_of_starts(program, model.engine(atoms), iterations, options.guesses)
    return row


def errors_of_starts(
    program: Program, field, iterations: dict[str, int], guesses: Sequence[str]
) -> dict[str, dict]:
    """Errors of one diagonalisation that begins with the model's density or PySCF's guesses."""
    reference = program.field
    builder = FockBuilder(
        reference.mol, SharedFitting(reference.with_df), reference.grids, reference._numint,
        reference.xc, semilocal_kind(reference.xc), reference.max_memory,
    )  # fmt: skip
    exact = builder.of_matrix(reference.make_rdm1())
    weights, electrons = reference.grids.weights, reference.mol.nelectron
    occupied = reference.mo_occ > 0
    energy, levels = reference.e_tot, reference.mo_energy[occupied]
    moment = reference.dip_moment(unit="Debye", verbose=0)

    def density_error(density) -> float:
        return float(weights @ abs(density.values[0] - exact.values[0])) / electrons

    def of(given) -> dict[str, float]:
        step = builder.diagonalised(given)
        found = builder.of_matrix(step.matrix)
        kohn_sham = builder.kohn_sham(step.matrix, found)
        mix = KOHN_SHAM_SHARE * kohn_sham + (1 - KOHN_SHAM_SHARE) * step.harris
        ours = step.energies + LEVEL_SHARE * builder.level_shifts(step, given, found)
        dipole = reference.dip_moment(dm=np.asarray(step.matrix), unit="Debye", verbose=0)
        return {
            "energy": MEV * (mix - energy),
            "Kohn-Sham": MEV * (kohn_sham - energy),
            "Harris": MEV * (step.harris - energy),
            "levels": MEV * float(abs(ours[: occupied.sum()] - levels).mean()),
            "dipole": float(np.linalg.norm(dipole - moment)),
            "density": density_error(given),
            "density after": density_error(found),
        }

    errors = {"deepdft": of(builder.of_field(field))}
    for guess in guesses:
        try:
            matrix = np.asarray(reference.get_init_guess(key=guess))
            errors[guess] = of(builder.of_matrix(matrix))
            reference.conv_tol = 1e-8
            step = builder.diagonalised(builder.of_matrix(matrix))
            iterations[f"{guess} and one step"] = program.converge(step.matrix)
            iterations[guess] = program.converge(matrix)
        except (KeyError, RuntimeError, AssertionError, ValueError, np.linalg.LinAlgError) as error:
            print(f"PySCF's guess {guess} is not to be had here: {type(error).__name__}.")
    return errors


@contextmanager
def timed(times: dict[str, float], name: str) -> Iterator[None]:
    """Measure the processor time of a block."""
    started = time.process_time()
    yield
    times[name] = time.process_time() - started


def finished(results: Path | None) -> dict[str, dict]:
    if results is None or not results.exists():
        return {}
    lines = results.read_text(encoding="utf-8").splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


def print_row(name: str, row: dict) -> None:
    times = ", ".join(f"{key} {value:.2f} s" for key, value in row["times"].items())
    counts = ", ".join(f"{key} {value}" for key, value in row["iterations"].items())
    refused = ", no start: PySCF's own guess" if row["refused"] else ""
    print(f"{name}: {row['atoms']} atoms{refused}\n  {times}\n  iterations: {counts}", flush=True)


def print_times(rows: list[dict]) -> None:
    """Print processor times, s, with the iterations, by number of atoms."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["times"]))
    print(f"\n{'atoms':>5} " + " ".join(f"{kind:>26}" for kind in kinds))
    for row in sorted(rows, key=lambda row: row["atoms"]):
        cells = []
        for kind in kinds:
            counted = row["iterations"].get(kind)
            time_taken = f"{row['times'][kind]:.2f}" if kind in row["times"] else "-"
            cells.append(time_taken + (f" ({counted})" if counted else ""))
        print(f"{row['atoms']:5} " + " ".join(f"{cell:>26}" for cell in cells))


def print_summary(rows: list[dict]) -> None:
    print(f"\n{len(rows)} molecules of {np.mean([row['atoms'] for row in rows]):.1f} atoms")
    for kind, unit in (("times", "s"), ("iterations", "")):
        for key in rows[0][kind]:
            values = [row[kind][key] for row in rows if key in row[kind]]
            print(f"{kind}, {key:26} {np.mean(values):8.2f} {unit} on average")
    for before in ("SCF as it comes", "SCF best"):
        saved = [
            row["iterations"][before] - row["iterations"][f"{before}, our start"] for row in rows
        ]
        spent = [sum(row["times"][key] for row in rows) for key in (before, f"{before}, our start")]
        print(
            f"{before}: {np.mean(saved):.1f} iterations saved, {min(saved)} at least; "
            f"{100 * (1 - spent[1] / spent[0]):.0f} % of the time saved"
        )
    for start in rows[0]["errors"]:
        found = [row for row in rows if start in row["errors"]]
        values = {
            key: np.array([row["errors"][start][key] for row in found])
            for key in found[0]["errors"][start]
        }
        per_atom = abs(values["energy"]) / [row["atoms"] for row in found]
        print(
            f"{start:8} energy {per_atom.mean():.4f} meV/atom (median {np.median(per_atom):.4f}, "
            f"max {per_atom.max():.4f}), bracket {values['Harris'].mean():.3f} to "
            f"{values['Kohn-Sham'].mean():.3f} meV, levels {values['levels'].mean():.1f} meV, "
            f"dipole {values['dipole'].mean():.3f} D, density {100 * values['density'].mean():.3f} "
            f"to {100 * values['density after'].mean():.3f} %"
        )


if __name__ == "__main__":
    main()
