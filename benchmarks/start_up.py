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

PREDICT = """
import sys, time
import deepdft.prediction.engine as engine
spent = processor = 0.0
box = engine.ProbeEngine.box
def timed(self, *arguments, **options):
    global spent, processor
    start, before = time.perf_counter(), time.process_time()
    found = box(self, *arguments, **options)
    spent += time.perf_counter() - start
    processor += time.process_time() - before
    return found
engine.ProbeEngine.box = timed
from deepdft.cli import main
sys.argv = ["deepdft", "predict", *sys.argv[1:]]
try:
    main()
except SystemExit as left:
    assert not left.code
peak = 0.0  # what the system counts for a child includes the parent that it was forked from
try:
    with open("/proc/self/status") as status:
        peak = next(float(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
except OSError:
    pass
print("points", spent, processor, peak, file=sys.stderr)
"""


@dataclass(frozen=True)
class Run:
    """What one process took: seconds, seconds of processors, MiB; of these its points."""

    wall: float
    cpu: float
    memory: float
    points: float = 0.0
    points_cpu: float = 0.0


def run(*arguments: str, folder: str) -> Run:
    """Run a process to its end."""
    import time

    # Python keeps what it has compiled, as in every ordinary installation; torch's wheel is so.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=kept,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{arguments} failed:\n{errors}")
    words = errors.split()
    place = words.index("points") + 1 if "points" in words else None
    points = (0.0, 0.0) if place is None else (float(words[place]), float(words[place + 1]))
    counted = 0.0 if place is None else float(words[place + 2])
    memory = counted or usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Run(wall, usage.ru_utime + usage.ru_stime, memory, *points)


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
            "predict": (
                "-c",
                PREDICT,
                molecule,
                "--device",
                "cpu",
                "--threads",
                "1",
                "-o",
                "density.cube",
            ),
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
    # One thread computes the points, so that the two kinds of time can be compared.
    cpu = median(found.cpu - found.points_cpu for found in runs["predict"])
    cpu /= median(found.cpu for found in runs["import torch"])
    figures = {
        "beside_points_per_import_torch_cpu": cpu,
        "import_torch_s": torch,
        "predict_s": predict,
        "points_s": points,
        "beside_points_per_import_torch": beside / torch,
        "predict_peak_mib": median(found.memory for found in runs["predict"]),
        "help_cpu_s": median(found.cpu for found in runs["help"]),
    }
    rows = [
        ("import torch", f"{torch:.2f} s"),
        ("deepdft predict, 17 atoms", f"{predict:.2f} s, of which points {points:.2f} s"),
        ("beside its points, of import torch", f"{beside / torch:.2f} (at most 0.6)"),
        ("the same in time of processors", f"{cpu:.2f}"),
        ("peak memory", f"{figures['predict_peak_mib']:.0f} MiB (at most 200)"),
        ("deepdft --help", f"{figures['help_cpu_s']:.2f} s of processors (at most 0.3)"),
    ]
    for what, value in rows:
        print(f"{what:36s} {value}")
    write_result(options, "start_up", rows, figures)


if __name__ == "__main__":
    main()
