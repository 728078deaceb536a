"""What the benchmarks share: the machine they ran on, and results as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

from deepdft.threads import available_threads

_LOAD = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
"""Processes that wanted a CPU when this one began: with as many as CPUs, wall times mean little."""


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json FILE` to a benchmark's options."""
    parser.add_argument("--json", type=Path, default=None, help="write the numbers there as well")


def write_result(
    options: argparse.Namespace, benchmark: str, rows: list[tuple[str, str]], figures: Any
) -> None:
    """Write what was measured to the file that `--json` names, with command and machine.

    Args:
        options: the benchmark's options; without `--json` nothing is written.
        benchmark: its name.
        rows: the main figures for people: what, and its value with unit.
        figures: all that was measured, as JSON knows it.
    """
    if options.json is None:
        return
    result = {
        "benchmark": benchmark,
        "rows": rows,
        "command": command(),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "figures": figures,
    }
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def command() -> str:
    """Return this process's command line as it would be typed anywhere, `--json` left out."""
    words = list(sys.argv[1:])
    if "--json" in words:
        place = words.index("--json")
        del words[place : place + 2]
    words = [word for word in words if not word.startswith("--json=")]
    words = [Path(word).name if Path(word).is_absolute() else word for word in words]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(shlex.quote, words)])


def machine() -> dict[str, Any]:
    """Return what the speed depends on besides the program."""
    return {
        "processor": processor_name(),
        "cpus": available_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": _LOAD,
    }


def processor_name() -> str:
    """Return the processor's name, with what tells generations of one name apart on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    name = facts.get("model name", platform.machine())
    if "cpu family" not in facts:
        return name
    return f"{name} (family {facts['cpu family']}, model {facts['model']})"
