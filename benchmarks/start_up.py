"""How long a small prediction takes beside its points, and what it needs of memory.

Processes are started in turn: `python -c "import torch"` as the yardstick, `deepdft predict` of a
molecule of 17 atoms from the command to the file, and `deepdft --help`. The time that the same
process spends on the points of the grid is measured inside of it and taken off.

    python benchmarks/start_up.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import median

from reporting import add_output_option, write_result

_PREDICT = """
import sys, time
import deepdft.prediction.engine as engine
spent = 0.0
box = engine.ProbeEngine.box
def timed(self, *arguments, **options):
    global spent
    start = time.perf_counter()
    found = box(self, *arguments, **options)
    spent += time.perf_counter() - start
    return found
engine.ProbeEngine.box = timed
from deepdft.cli import main
sys.argv = ["deepdft", "predict", *sys.argv[1:]]
try:
    main()
except SystemExit as left:
    assert not left.code
print("points", spent, file=sys.stderr)
"""


@dataclass(frozen=True)
class Run:
    """What one process took: seconds, seconds of processors, MiB, seconds of its points."""

    wall: float
    cpu: float
    memory: float
    points: float = 0.0


def run(*arguments: str, folder: str) -> Run:
    """Run a process to its end."""
    import time

    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{arguments} failed:\n{errors}")
    words = errors.split()
    points = float(words[words.index("points") + 1]) if "points" in words else 0.0
    memory = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Run(wall, usage.ru_utime + usage.ru_stime, memory, points)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    add_output_option(parser)
    options = parser.parse_args()
    molecule = str(files("deepdft") / "bundled" / "molecules" / "C6H9NO.xyz")
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "import torch": ("-c", "import torch"),
            "predict": ("-c", _PREDICT, molecule, "--device", "cpu", "-o", "density.cube"),
            "help": ("-m", "deepdft", "--help"),
        }
        run(*commands["predict"], folder=folder)  # compiles what is not compiled yet
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in range(options.repetitions):
            for name, arguments in commands.items():
                runs[name].append(run(*arguments, folder=folder))
        assert Path(folder, "density.cube").exists()
    torch = median(found.wall for found in runs["import torch"])
    predict = median(found.wall for found in runs["predict"])
    points = median(found.points for found in runs["predict"])
    beside = median(found.wall - found.points for found in runs["predict"])
    figures = {
        "import_torch_s": torch,
        "predict_s": predict,
        "points_s": points,
        "beside_points_per_import_torch": beside / torch,
        "predict_peak_mib": median(found.memory for found in runs["predict"]),
        "help_cpu_s": median(found.cpu for found in runs["help"]),
    }
    print(f"import torch                  {torch:6.2f} s")
    print(f"deepdft predict, 17 atoms     {predict:6.2f} s, of which points {points:.2f} s")
    print(f"  beside its points           {beside / torch:6.2f} of import torch (at most 0.6)")
    print(f"  peak memory                 {figures['predict_peak_mib']:6.0f} MiB (at most 200)")
    print(f"deepdft --help                {figures['help_cpu_s']:6.2f} s of CPU (at most 0.3)")
    write_result(options, "start_up", figures)


if __name__ == "__main__":
    main()
