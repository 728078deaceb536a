"""How long well-known crystals take from the command to the CHGCAR, beside `import torch`.

Eight files as the Crystallography Open Database and pymatgen write them (examples/crystals):
conventional cells, symmetry in the file. Processes are started in turn; the time that the same
process spends on the points of the grid is measured inside of it.

    python benchmarks/crystal_files.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from reporting import add_output_option, write_result
from start_up import PREDICT, Run, run

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "crystals"
NAMES = ("NaCl", "Si", "GaAs", "MgO", "Cu", "SrTiO3", "graphite", "quartz")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--crystals", nargs="*", default=NAMES, choices=NAMES)
    add_output_option(parser)
    options = parser.parse_args()
    common = ("--device", "cpu", "--threads", "1", "-o", "CHGCAR")
    commands: dict[str, tuple[str, ...]] = {"import torch": ("-c", "import torch")}
    for name in options.crystals:
        commands[name] = ("-c", PREDICT, str(FOLDER / f"{name}.cif"), *common)
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        run(*commands[options.crystals[0]], folder=folder)  # compiles what is not compiled yet
        for _ in range(options.repetitions):
            for name, arguments in commands.items():
                runs[name].append(run(*arguments, folder=folder))
        assert Path(folder, "CHGCAR").exists()
    torch = median(found.wall for found in runs["import torch"])
    rows = [("import torch", f"{torch:.2f} s")]
    figures = {"import_torch_s": torch}
    for name in options.crystals:
        whole = median(found.wall for found in runs[name])
        points = median(found.points for found in runs[name])
        beside = median(found.wall - found.points for found in runs[name])
        rows.append((
            f"{name} to CHGCAR",
            f"{whole:.2f} s, of which points {points:.2f} s; the rest {beside / torch:.2f} of "
            "import torch (at most 1)",
        ))  # fmt: skip
        figures |= {f"{name}_s": whole, f"{name}_beside_per_import_torch": beside / torch}
    for what, value in rows:
        print(f"{what:20s} {value}")
    write_result(options, "crystal_files", rows, figures)


if __name__ == "__main__":
    main()
