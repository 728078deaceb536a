"""What a predicted density saves CP2K: iterations and time, configuration by configuration.

    python benchmarks/cp2k_starts.py --results starts.jsonl
    python benchmarks/cp2k_starts.py structures/*.extxyz --results starts.jsonl
    python benchmarks/cp2k_starts.py --part test --molecules 16 --results test.jsonl

Configurations of liquid ethylene carbonate, four molecules in a cell: by default those of the
packing on which the model was validated, as they come with the project. Files are those of
`recipes/ethylene_carbonate/structures.py` with other packings (`--first 15 --packings 1`; packings
were split by their number, see `collect.py` there). Diagonalisation with Broyden mixing at the
settings of the model's data, from superposed atoms and from orbitals of the predicted density, to
the same convergence. What is in the results is not calculated again.

Iterations do not depend on the machine. Times are of the processor, of one thread, in seconds; the
start's is that of the density, its Fock matrix and the file. Needs cp2k and PySCF.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

import deepdft
from deepdft.dft.cp2k import CP2KSettings, execute, input_text, parse_output
from deepdft.electronic import cp2k_start, orbitals_at_gamma
from deepdft.fields.orbitals import OrbitalArchive

DATA = Path(__file__).parents[1] / "paper/src/deepdft_paper/densities/ethylene_carbonate"
ATOMS, OURS = "from atoms", "from our start"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("structures", type=Path, nargs="*", help="files that ASE reads")
    parser.add_argument("--part", default="validation", help="of the project's configurations")
    parser.add_argument("--molecules", type=int, default=None, help="configurations, at most")
    parser.add_argument("--model", default="ethylene-carbonate")
    parser.add_argument("--results", type=Path, default=Path("cp2k_starts.jsonl"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    model = deepdft.load_model(options.model, device="cpu")
    model.threads = 1
    done = finished(options.results)
    for name, atoms in list(configurations(options))[: options.molecules]:
        if name not in done:
            if not done:
                orbitals_at_gamma(model.engine(atoms))  # compiles, and is not counted
            done[name] = {"name": name, **measured(atoms, model)}
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[name]) + "\n")
        print_row(done[name])
    print_summary(list(done.values()))


def configurations(options: argparse.Namespace) -> Iterator[tuple[str, Atoms]]:
    if options.structures:
        for path in options.structures:
            for atoms in ase.io.read(path, index=":"):
                yield f"{path.stem}_{atoms.info.get('frame', 0)}", atoms
        return
    archive = OrbitalArchive(DATA / "configurations.npz")
    split = json.loads((DATA / "split.json").read_text(encoding="utf-8"))
    for name in split[options.part]:
        yield name, archive[archive.names.index(name)].atoms


def finished(results: Path) -> dict[str, dict]:
    if not results.exists():
        return {}
    return {row["name"]: row for row in map(json.loads, results.read_text().splitlines())}


def measured(atoms: Atoms, model: deepdft.prediction.TrainedModel) -> dict:
    row: dict = {"atoms": len(atoms), "iterations": {}, "seconds": {}, "energy": {}}
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        cp2k_start(orbitals_at_gamma(model.engine(atoms)), Path(folder) / "start.wfn")
        row["start"] = time.process_time() - started
        for kind, file in ((ATOMS, None), (OURS, "start.wfn")):
            # What is kept of the density costs nothing that a calculation would not spend.
            text = input_text(atoms, CP2KSettings(density="grid"), file)
            (Path(folder) / "input.inp").write_text(text)
            before = seconds_of_children()
            output = execute(Path(folder))
            row["seconds"][kind] = seconds_of_children() - before
            energy, iterations = parse_output(output, Path(folder) / "output.out")
            row["energy"][kind], row["iterations"][kind] = energy, iterations
    return row


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def print_row(row: dict) -> None:
    counts, seconds = row["iterations"], row["seconds"]
    print(
        f"{row['name']}: {counts[ATOMS]} iterations in {seconds[ATOMS]:.0f} s, from our start "
        f"{counts[OURS]} in {seconds[OURS]:.0f} s and {row['start']:.0f} s for the start; energies "
        f"{1000 * abs(row['energy'][OURS] - row['energy'][ATOMS]):.2f} meV apart",
        flush=True,
    )


def print_summary(rows: list[dict]) -> None:
    saved = np.array([row["iterations"][ATOMS] - row["iterations"][OURS] for row in rows])
    own = sum(row["seconds"][ATOMS] for row in rows)
    ours = sum(row["seconds"][OURS] + row["start"] for row in rows)
    mean = np.mean([row["iterations"][ATOMS] for row in rows])
    print(
        f"{len(rows)} configurations: {saved.mean():.1f} of {mean:.1f} iterations saved "
        f"({saved.min()} to {saved.max()}); {100 * (1 - ours / own):.0f} % of the time, start "
        "included"
    )


if __name__ == "__main__":
    main()
