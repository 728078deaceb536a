"""The local page as its visitors wait for it: from a click to the coarse and to the whole picture.

    python benchmarks/page.py

Starts `deepdft serve`, waits until its models are loaded, and asks for a structure by name as the
page does: "coarse" is the first surface in hand, "whole" that of the whole density, "all" the end
of the job (difference to free atoms, charges, potential, expected errors).
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import Any

from rich.console import Console
from rich.table import Table

from reporting import add_output_option, write_result

PAUSE = 0.12
"""Seconds between two looks at a job, as the page has it."""


class Visitor:
    """Asks a running server.

    Args:
        address: that it has printed.
    """

    def __init__(self, address: str) -> None:
        self._origin, _, self._token = address.partition("/?token=")

    def get(self, path: str, body: Any = None) -> bytes:
        """Return the answer to a question."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self._origin}/api/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=600) as answer:
            content: bytes = answer.read()
        return content

    def times(self, example: str) -> dict[str, float]:
        """Return the seconds until each picture of an example."""
        started = time.perf_counter()
        key = json.loads(self.get("jobs", {"example": example}))["key"]
        found: dict[str, float] = {}
        names = {"coarse": "coarse", "full": "whole"}
        while True:
            job = json.loads(self.get(f"jobs/{key}"))
            name = names.get(job["quality"] or "")
            if name is not None and name not in found:
                self.get(f"jobs/{key}/surface?level=0.0135")
                found[name] = time.perf_counter() - started
            if job["state"] not in ("waiting", "running"):
                break
            time.sleep(PAUSE)
        if job["state"] != "done":
            raise SystemExit(f"{example}: {job['error']}")
        found["all"] = time.perf_counter() - started
        return found


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", nargs="+", default=["water", "aspirin", "salt"])
    parser.add_argument("--repeat", type=int, default=3)
    add_output_option(parser)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "deepdft", "serve", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http\S+", server.stdout.readline())
        assert found is not None
        visitor = Visitor(found.group())
        results = {}
        for example in arguments.examples:
            # The first one loads the model and fills the caches.
            runs = [visitor.times(example) for _ in range(1 + arguments.repeat)][1:]
            results[example] = {
                name: statistics.median(run[name] for run in runs) for name in runs[0]
            }
    finally:
        server.terminate()
        server.wait()
    table = Table("example", "coarse / s", "whole / s", "all / s")
    for example, times in results.items():
        table.add_row(example, *(f"{times[name]:.2f}" for name in ("coarse", "whole", "all")))
    Console().print(table)
    rows = [
        (f"{example}: click to {name} picture", f"{times[key]:.2f} s")
        for example, times in results.items()
        for key, name in (("coarse", "coarse"), ("whole", "full"))
    ]
    write_result(arguments, "page", rows, results)


if __name__ == "__main__":
    main()
