"""The local page as its visitors wait for it, and what it takes to get there.

    python benchmarks/page.py                 # all of it
    python benchmarks/page.py --no-clone      # not the fresh clone, which installs from the network
    python benchmarks/page.py --write         # and puts the figures into docs/page.md

Measured are: from a fresh clone to the first picture (`git clone`, `make demo`); from a click on an
example to its coarse and to its whole picture, drawn in Debian's chromium where that is installed
(by its software renderer: a graphics card is faster), else until the surface is in hand; the
processor time of the server up to each, which does not depend on what else the machine does; and
the size of the wheel. "All" is the end of the job: bonds, charges, potential, expected errors.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from reporting import add_output_option, command, machine, write_result
from wheel_size import ROOT, rows_of, wheel_sizes

STEPS = {"coarse": "coarse", "full": "whole"}
"""What the server calls a picture, and what is printed."""

PAGE = ROOT / "docs" / "page.md"
BEGIN, END = "<!-- made by python benchmarks/page.py --write -->", "<!-- end -->"
"""Where the figures stand, and between what."""

BROWSER = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip

OBSERVED = """example => new Promise((done) => {
  const begin = performance.now(), found = {};
  const progress = document.getElementById("progress"), viewer = document.getElementById("viewer");
  const look = () => {
    const quality = viewer.dataset.quality;
    if (quality && !found[quality])
      found[quality] = (performance.now() - begin) / 1000;
    if (found.full && progress.hidden) {
      observer.disconnect();
      done({ ...found, all: (performance.now() - begin) / 1000 });
    }
  };
  const observer = new MutationObserver(look);
  delete viewer.dataset.quality;
  document.querySelector(`[data-key="${example}"]`).click();
  observer.observe(document.getElementById("picture"), { attributes: true, subtree: true });
})"""
"""Clicks on an example, and says after how many seconds which picture was drawn."""


class Server:
    """A page's server in a process of its own."""

    def __init__(self) -> None:
        serve = [sys.executable, "-m", "deepdft", "serve", "--no-browser", "--port", "0"]
        self.process = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http\S+", self.process.stdout.readline())
        assert found is not None
        self.address = found.group()
        self._origin, _, self._token = self.address.partition("/?token=")

    def ask(self, path: str, body: Any = None) -> bytes:
        """Return the answer to a question."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self._origin}/api/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=600) as answer:
            content: bytes = answer.read()
        return content

    def processor_seconds(self) -> float:
        """Return how much of a processor it has had (Linux; elsewhere not a number)."""
        try:
            words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def times(self, example: str) -> dict[str, float]:
        """Return the seconds until each picture of an example is in hand."""
        begin, spent = time.perf_counter(), self.processor_seconds()
        job = json.loads(self.ask("jobs", {"example": example}))
        found: dict[str, float] = {}
        while job["state"] in ("waiting", "running"):
            query = f"revision={job['revision']}&wait=0.15"
            job = json.loads(self.ask(f"jobs/{job['key']}?{query}"))
            name = STEPS.get(job["quality"] or "")
            if name is not None and name not in found:
                level = json.loads(self.ask(f"jobs/{job['key']}/result"))["fields"]["density"]
                self.ask(f"jobs/{job['key']}/surface?level={level['default']}")
                found[name] = time.perf_counter() - begin
                found[f"{name}, processor"] = self.processor_seconds() - spent
        if job["state"] != "done":
            raise SystemExit(f"{example}: {job['error']}")
        return {**found, "all": time.perf_counter() - begin}

    def wait_until_warm(self) -> float:
        """Return how long it takes until all that a server does beforehand is done."""
        begin, last = time.perf_counter(), -1.0
        while self.processor_seconds() - last > 0.02:
            last = self.processor_seconds()
            time.sleep(2.0)
        return time.perf_counter() - begin

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()


@contextmanager
def browser_times(server: Server) -> Iterator[Callable[[str], dict[str, float]]]:
    """Yield what measures an example in chromium, or by the server alone where there is none."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        yield server.times
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1280, "height": 820})
        page.set_default_timeout(600_000)
        page.goto(server.address)
        page.wait_for_selector("#viewer[data-quality=full]")
        page.wait_for_selector("#progress[hidden]", state="attached")

        def measured(example: str) -> dict[str, float]:
            found = page.evaluate(OBSERVED, example)
            return {**{STEPS[name]: found.get(name, found["full"]) for name in STEPS},
                    "all": found["all"]}  # fmt: skip

        yield measured
        browser.close()


def medians(measure: Callable[[str], dict[str, float]], example: str, repeat: int) -> dict:
    """Return the median of each time."""
    runs = [measure(example) for _ in range(repeat)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def written(text: str, rows: list[tuple[str, str]]) -> str:
    """Return a page with a table of the figures, and of the machine, between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"There are no marks {BEGIN} and {END} in {PAGE}.")
    about = machine()
    lines = [f"| {what} | {value} |" for what, value in rows]
    table = "\n".join(["| what | measured |", "| --- | ---: |", *lines])
    words = f"`{command()}` on {about['processor']}, {about['cpus']} processors."
    return f"{before}{BEGIN}\n{table}\n\n{words}\n{end}{after}"


def clone_to_picture() -> dict[str, float]:
    """Return the seconds that `git clone` and `make demo` take, until its picture is written."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        clone = Path(folder) / "deepdft"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        cloned = time.perf_counter() - begin
        # Not this environment's package, but the one that the clone installs.
        known = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "VIRTUAL_ENV")}
        make = ["make", "demo", f"PYTHON={sys.executable}"]
        subprocess.run(make, cwd=clone, env=known, check=True, stdout=subprocess.DEVNULL)
        if not (clone / "demo" / "C6H9NO.png").exists():
            raise SystemExit("make demo has made no picture.")
        return {"clone": cloned, "clone to first picture": time.perf_counter() - begin}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", nargs="+", default=["water", "paracetamol", "salt"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-clone", action="store_true", help="leave out the fresh clone")
    parser.add_argument("--no-wheel", action="store_true", help="leave out the wheel")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {PAGE.name}")
    add_output_option(parser)
    arguments = parser.parse_args()
    rows: list[tuple[str, str]] = []
    figures: dict[str, Any] = {}
    if not arguments.no_clone:
        figures["clone"] = clone_to_picture()
        rows += [(what, f"{seconds:.1f} s") for what, seconds in figures["clone"].items()]
    server = Server()
    try:
        figures["warm"] = server.wait_until_warm()
        rows.append(("start of the server to all models loaded", f"{figures['warm']:.1f} s"))
        for example in arguments.examples:
            alone = medians(server.times, example, arguments.repeat)
            figures[example] = {"server": alone}
        with browser_times(server) as measure:
            for example in arguments.examples:
                drawn = medians(measure, example, arguments.repeat)
                alone = figures[example]["server"]
                figures[example]["page"] = drawn
                for name in ("coarse", "whole", "all"):
                    seconds = f"{drawn[name]:.2f} s"
                    spent = alone.get(f"{name}, processor")
                    if spent is not None:
                        seconds += f" (server {alone[name]:.2f}, its processor time {spent:.2f})"
                    rows.append((f"{example}: click to {name} picture", seconds))
    finally:
        server.end()
    if not arguments.no_wheel:
        figures["wheel"] = wheel_sizes()
        rows += rows_of(figures["wheel"])
    about = machine()
    rows.append(("load of the machine before, processors", f"{about['load']}, {about['cpus']}"))
    table = Table("what", "measured")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    write_result(arguments, "page", rows, figures)
    if arguments.write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
