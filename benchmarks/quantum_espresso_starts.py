"""pw.x begun from a model's density instead of superposed atoms, and bands without iterations.

    python benchmarks/quantum_espresso_starts.py crystals_pbe_nc -o runs/starts

For every crystal of the validation part (at the very end, once: --part test), cheap ones first,
until --hours are over: pw.x from its own atoms and from the model's density, to the same end:
iterations and time of processors, that of the prediction and of the run that lays out the file
included; and `nscf` from the model's density against `nscf` from the converged one: the band gap,
and how far bands near it are off. Spin-polarised crystals are left out by name, for only the total
density is known. Pseudopotentials are found by ESPRESSO_PSEUDO. Each crystal is kept as JSON;
interrupted, it goes on. Writes `gaps.json` and, with the settings of the data, `starts.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from deepdft.data import DensityDataset, open_dataset
from deepdft.density import Density, Grid
from deepdft.dft.pseudopotentials import pseudopotential_folder, pseudopotentials_for
from deepdft.dft.quantum_espresso import converge, iterations, processor_seconds, total_energy
from deepdft.dft.quantum_espresso_bands import compare_bands
from deepdft.dft.quantum_espresso_input import QuantumEspressoSettings
from deepdft.dft.quantum_espresso_start import bands_of_density, prepare_start
from deepdft.errors import CalculationError
from deepdft.prediction import TrainedModel, load_model, predict
from deepdft.storage.whole_files import replace_file
from deepdft.uncertainty.costs import guessed_costs
from reporting import add_output_option, write_result

COARSE = ("ionic", "oxide", "molecular")
Row = dict[str, Any]


def of_part(data: DensityDataset, part: str) -> Iterator[int]:
    """Yield the crystals of a part of the split, which goes by formula."""
    for index in range(len(data)):
        key = str(data.preview(index).info["key"])
        remainder = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 20
        if {0: "test", 1: "validation"}.get(remainder, "train") == part:
            yield index


def measured(atoms: Atoms, model: TrainedModel, folder: Path, cutoff: float) -> Row:
    """Run pw.x four times and return what is to be said of a crystal."""
    spacing = 0.55 if atoms.info.get("group") in COARSE else 0.35
    settings = QuantumEspressoSettings(kpoint_spacing=spacing, cutoff=cutoff)
    files = pseudopotentials_for([atoms], pseudopotential_folder(None))
    usual, ours = folder / "atoms", folder / "model"
    shutil.rmtree(folder, ignore_errors=True)
    usual.mkdir(parents=True)
    text, tried = converge(atoms, settings, files, usual)
    reference = bands_of_density(atoms, settings, files, usual)
    spent = 0.0

    def on_grid(grid: Grid) -> Density:
        nonlocal spent
        before = time.process_time()
        found = predict(atoms, model, grid=grid)
        spent = time.process_time() - before
        return found

    prepared = prepare_start(atoms, on_grid, settings, ours)
    layout = processor_seconds((ours / "layout.out").read_text())
    bands = bands_of_density(atoms, settings, files, ours)
    begun, begun_tried = converge(atoms, settings, files, ours, density_from_file=True)
    difference = compare_bands(bands, reference)
    return {
        "formula": atoms.get_chemical_formula(), "electrons": prepared.electrons,
        "iterations": iterations(text), "iterations_from_model": iterations(begun),
        "mixings": [tried, begun_tried], "seconds": processor_seconds(text),
        "seconds_from_model": processor_seconds(begun) + layout + spent,
        "seconds_of_prediction": spent, "seconds_of_layout": layout,
        "energy_difference": total_energy(begun) - total_energy(text),
        "gap": reference.gap, "gap_from_model": bands.gap,
        "bands_off": difference.near, "bands_shift": difference.shift, "compared": difference.count,
    }  # fmt: skip


def told(rows: dict[str, Row]) -> list[tuple[str, str]]:
    """Return what is to be printed, name by name and together."""
    lines = []
    for name, row in rows.items():
        if "error" in row:
            lines.append((name, row["error"]))
            continue
        gap = "metal" if row["gap"] == 0.0 else f"gap {row['gap']:.3f} eV"
        off = 1000 * (row["gap_from_model"] - row["gap"])
        lines.append((
            name,
            f"{row['iterations']} -> {row['iterations_from_model']} iterations, "
            f"{row['seconds']:.1f} -> {row['seconds_from_model']:.1f} s; {gap}"
            + (f" {off:+.0f} meV" if row["gap"] or row["gap_from_model"] else "")
            + f", bands {1000 * row['bands_off']:.0f} meV",
        ))  # fmt: skip
    some = [row for row in rows.values() if "error" not in row]
    if some:
        before, after = (sum(row[k] for row in some) for k in ("seconds", "seconds_from_model"))
        counts = np.array([[row["iterations"], row["iterations_from_model"]] for row in some])
        mean = counts.mean(axis=0)
        lines.append(("iterations, mean", f"{mean[0]:.1f} -> {mean[1]:.1f}"))
        lines.append(("whole time", f"{before:.0f} -> {after:.0f} s ({after / before:.2f})"))
        off = [1000 * row["bands_off"] for row in some]
        lines.append(("bands near the gap", f"{np.mean(off):.0f} meV, median {np.median(off):.0f}"))
        gapped = [row for row in some if row["gap"] > 0]
        if gapped:
            gaps = [1000 * abs(row["gap_from_model"] - row["gap"]) for row in gapped]
            lines.append((
                f"gaps of {len(gapped)}", f"{np.mean(gaps):.0f} meV off, median "
                f"{np.median(gaps):.0f}",
            ))  # fmt: skip
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", help="folders of archives of plane waves")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--model", default="crystals", help="bundled name or model folder")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--hours", type=float, default=1.0, help="begin nothing after that")
    parser.add_argument("--cutoff", type=float, default=80.0, help="of the orbitals, Ry")
    parser.add_argument("--crystals", nargs="*", help="names; default: all of the part")
    add_output_option(parser)
    options = parser.parse_args()
    model = load_model(options.model, "cpu")
    data = open_dataset(options.data)
    chosen = list(of_part(data, options.part))
    if options.crystals:
        chosen = [i for i in chosen if data.names[i] in options.crystals]
    magnetic = [data.names[i] for i in chosen if data.preview(i).info["magnetic"]]
    chosen = [i for i in chosen if data.names[i] not in magnetic]
    print(f"left out, spin-polarised: {', '.join(magnetic) or 'none'}")
    structures = [data.atoms(i) for i in chosen]
    costs = guessed_costs(structures, [float(data.preview(i).info["electrons"]) for i in chosen])
    model.warm_up()  # so that the first prediction takes no longer than the others
    began = time.monotonic()
    rows: dict[str, Row] = {}
    for position in np.argsort(costs):
        atoms, name = structures[position], data.names[chosen[position]]
        path = options.output / f"{name}.json"
        if not path.exists():
            if time.monotonic() - began > 3600 * options.hours:
                print(f"no time: {name}")
                continue
            folder = options.output / "work" / name
            try:
                row = measured(atoms, model, folder, options.cutoff)
            except CalculationError as error:
                row = {"error": str(error)}
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, (json.dumps(row, indent=1) + "\n").encode())
            shutil.rmtree(folder, ignore_errors=True)
        rows[name] = json.loads(path.read_text())
        print(f"{name}: {told({name: rows[name]})[0][1]}", flush=True)
    gaps = {name: row["gap"] for name, row in rows.items() if "error" not in row}
    replace_file(options.output / "gaps.json", (json.dumps(gaps, indent=1) + "\n").encode())
    lines = told(rows)
    for what, value in lines[len(rows) :]:
        print(f"{what:24s} {value}")
    write_result(options, "quantum_espresso_starts", lines, rows)


if __name__ == "__main__":
    main()
