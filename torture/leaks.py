"""Does one process grow? Predictions, loads and requests by the thousand, counted before and after.

    python -m torture.leaks
    python -m torture.leaks --predictions 100 --loads 20 --requests 100

Memory is what is resident after a collection. The first tenth of each warms up and is not counted.
Exit code 1 where memory grew by more than 10 MB or more than a few threads, or descriptors,
were left.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

_MOST_GROWTH = 10 << 20
_POOLED = 8
"""Threads that pools may still add; one for each action would be more."""
_TOKEN = "torture"


@dataclass(frozen=True)
class Usage:
    """What a process holds.

    Attributes:
        memory: resident bytes.
        threads: how many.
        descriptors: how many are open.
    """

    memory: int
    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> Usage:
        """Return what this process holds now."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE"),
            len(os.listdir("/proc/self/task")),
            len(os.listdir("/proc/self/fd")),
        )


@dataclass(frozen=True)
class Growth:
    """What a repeated action has left behind."""

    name: str
    count: int
    before: Usage
    after: Usage

    @property
    def leaks(self) -> bool:
        """Whether it has left more than is normal."""
        return (
            self.after.memory - self.before.memory > _MOST_GROWTH
            or self.after.threads > self.before.threads + _POOLED
            or self.after.descriptors > self.before.descriptors
        )


def growth(name: str, count: int, action: Callable[[int], None]) -> Growth:
    """Do something many times and return what was left behind, after a tenth to warm up."""
    warm = max(3, count // 10)
    for number in range(warm):
        action(number)
    before = Usage.now()
    for number in range(warm, warm + count):
        action(number)
    return Growth(name, count, before, Usage.now())


def predictions(model: Path, count: int) -> Growth:
    """Predict molecules of changing shape on a small grid."""
    from ase.build import molecule

    import deepdft

    loaded = deepdft.load_model(model, device="cpu")
    loaded.threads = 1

    def predict(number: int) -> None:
        atoms = molecule(("CH4", "H2O", "CH3CH2OH")[number % 3])
        atoms.rattle(0.02, seed=number)
        deepdft.predict(atoms, loaded, spacing=0.5)

    return growth("predictions", count, predict)


def loads(model: Path, count: int) -> Growth:
    """Load a model anew."""
    import deepdft

    return growth("model loads", count, lambda number: _drop(deepdft.load_model(model)))


def _drop(loaded: object) -> None:
    del loaded


@contextmanager
def server(model: Path) -> Iterator[int]:
    """Run the page's server in a thread and yield its port."""
    import uvicorn

    from deepdft.web.application import application
    from deepdft.web.models import Models
    from deepdft.web.server import listening_socket

    listener = listening_socket("127.0.0.1", 0)
    guarded = application(_TOKEN, models=Models([str(model)], "cpu", 1), warmed_up=False)
    running = uvicorn.Server(
        uvicorn.Config(guarded, log_level="critical", limit_concurrency=64, timeout_keep_alive=2)
    )
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(30)
        listener.close()


def request(port: int, method: str, path: str, body: bytes | None = None) -> int:
    """Send a request and return the status of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        headers = {"authorization": f"Bearer {_TOKEN}", "content-type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def requests(port: int, count: int) -> Growth:
    """Ask for the page, for models, for what is refused, and send structures."""
    asked = [
        ("GET", "/", None),
        ("GET", "/api/about", None),
        ("GET", "/api/nothing", None),
        ("POST", "/api/jobs", b"{not json"),
        ("GET", "/api/examples", None),
    ]

    def ask(number: int) -> None:
        request(port, *asked[number % len(asked)])

    return growth("requests", count, ask)


def aborted_uploads(port: int, count: int) -> Growth:
    """Announce a file, send half of it, and hang up."""

    def abort(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            head = (
                f"POST /api/files HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Authorization: Bearer {_TOKEN}\r\nContent-Length: 200000\r\n\r\n"
            )
            connection.sendall(head.encode() + b"x" * 100_000)

    def abort_and_ask(number: int) -> None:
        abort(number)
        assert request(port, "GET", "/api/about") == 200

    return growth("aborted uploads", count, abort_and_ask)


def slow_clients(port: int, count: int) -> Growth:
    """Keep clients that never finish their requests, while another one is served."""

    def crowd(number: int) -> None:
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        status = request(port, "GET", "/api/about")
        for connection in slow:
            connection.close()
        assert status == 200, status

    found = growth("crowds of 20 slow clients", count, crowd)
    request(port, "GET", "/api/about")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m torture.leaks")
    parser.add_argument("--predictions", type=int, default=1000)
    parser.add_argument("--loads", type=int, default=200)
    parser.add_argument("--requests", type=int, default=1000)
    given = parser.parse_args(arguments)
    from torture.inputs import make_inputs

    with tempfile.TemporaryDirectory(prefix="leaks-") as name:
        make_inputs(Path(name))
        model = Path(name) / "model"
        found = [predictions(model, given.predictions), loads(model, given.loads)]
        with server(model) as port:
            found.append(requests(port, given.requests))
            found.append(aborted_uploads(port, given.requests // 10))
            found.append(slow_clients(port, max(3, given.requests // 50)))
    _print(found)
    return int(any(each.leaks for each in found))


def _print(found: Sequence[Growth]) -> None:
    table = Table(title="Before and after")
    for column in ("", "times", "memory / MB", "threads", "descriptors", ""):
        table.add_column(column, justify="right" if column else "left")
    for each in found:
        before, after = each.before, each.after
        table.add_row(
            each.name, str(each.count), f"{before.memory / 1e6:.1f}, {after.memory / 1e6:.1f}",
            f"{before.threads}, {after.threads}", f"{before.descriptors}, {after.descriptors}",
            "leaks" if each.leaks else "",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
