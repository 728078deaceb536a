"""Charges, dipole and energy along reactions, against DFT.

    python examples/reactions.py DATA --key '[Br-].CBr' --key 'Br.O'

DATA are archives of orbitals (docs/data.md) with reactions: structures with one `key` are places
along one path. A proton transfer is cut by the distance of donor and acceptor into paths of their
own. For every place the charges of the predicted density are compared with those of the DFT
density. The barrier is the place with the highest DFT energy. `--energies` adds the energy of one
diagonalisation from the predicted density, with PySCF.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import deepdft
from deepdft.electronic.charges import ChargesAndMoments, charges_and_moments_over
from deepdft.electronic.properties import energies_of
from deepdft.fields.orbitals import OrbitalArchive
from deepdft.geometry.grids import choose_grid


def main() -> None:
    """Print a table for every path."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path, help="archives of orbitals")
    parser.add_argument("--key", action="append", required=True, help="of a reaction (repeat)")
    parser.add_argument("--model", default="default")
    parser.add_argument("--spacing", type=float, default=0.15)
    parser.add_argument("--energies", action="store_true")
    options = parser.parse_args()
    model = deepdft.load_model(options.model, "cpu")
    archive = OrbitalArchive(options.data)
    for key in options.key:
        places = [
            position
            for position in range(len(archive))
            if archive[position].atoms.info.get("key") == key
        ]
        rows = [place(model, archive, position, options) for position in places]
        print_path(key, sorted(rows, key=lambda row: row["name"]))


def place(model: Any, archive: Any, position: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return what is known of one place along a path."""
    reference = archive[position]
    atoms = reference.atoms
    grid = choose_grid(atoms, spacing=options.spacing, vacuum=4.0)
    cores = model.core_charges(atoms)
    engine = model.engine(atoms)
    ours, theirs = (
        charges_and_moments_over(field, atoms, model.level, grid, cores)
        for field in (engine, reference)
    )
    row = {
        "name": str(atoms.info["name"]),
        "energy": float(atoms.info["energy"]),
        "symbols": list(atoms.symbols),
        "ours": ours,
        "theirs": theirs,
    }
    if options.energies:
        found = energies_of(engine)
        row |= {"predicted": found.energy, "bracket": found.bracket}
    return row


def print_path(key: str, rows: list[dict[str, Any]]) -> None:
    """Print the places of a path, and what is wrong at its barrier."""
    if not rows:
        print(f"{key}: not in the data")
        return
    lowest = min(row["energy"] for row in rows)
    print(f"\n{key}: {len(rows)} places, {' '.join(rows[0]['symbols'])}")
    columns = f"{'charge error / e':>17} {'largest':>8} {'dipole error / D':>17}"
    print(f"{'':>12} {'energy / eV':>12} {columns}")
    for row in rows:
        mean, largest, dipole = deviations(row["ours"], row["theirs"])
        energy = f"{row['energy'] - lowest:12.3f}"
        text = f"{row['name']:>12} {energy} {mean:17.4f} {largest:8.4f} {dipole:17.3f}"
        if "predicted" in row:
            error = 1000 * (row["predicted"] - row["energy"])
            text += f"   energy {error:+8.2f} meV, bracket {1000 * row['bracket']:.2f} meV"
        print(text)
    top = max(rows, key=lambda row: row["energy"])
    mean, largest, _ = deviations(top["ours"], top["theirs"])
    print(f"at the barrier ({top['name']}): charges within {mean:.4f} e, at most {largest:.4f} e")
    if "predicted" in top:
        start = min(rows, key=lambda row: row["energy"])
        barrier = top["energy"] - start["energy"]
        predicted = top["predicted"] - start["predicted"]
        print(f"barrier {barrier:.3f} eV, predicted {predicted:.3f} eV")


def deviations(ours: ChargesAndMoments, theirs: ChargesAndMoments) -> tuple[float, float, float]:
    """Return mean and largest error of the charges, e, and the error of the dipole, D."""
    charges = np.abs(ours.charges - theirs.charges)
    assert ours.dipole is not None
    assert theirs.dipole is not None
    dipole = 4.80320 * float(np.linalg.norm(ours.dipole - theirs.dipole))
    return float(charges.mean()), float(charges.max()), dipole


if __name__ == "__main__":
    main()
