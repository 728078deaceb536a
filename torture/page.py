"""The page's server under torture, with a client that has something computed."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from torture.cases import Case, Content
from torture.processes import Running

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)")
_WATER = b"3\nwater\nO 0 0 0.12\nH 0 0.76 -0.48\nH 0 -0.76 -0.48\n"
_PATIENCE = 600.0


class Page(Case):
    """A client lets the server compute, fetches a file and a surface, and sends a file.

    The server has a folder for temporary files and one for compiled code of its own. A part of the
    compiled code is missing whenever it starts, so that it is also killed while it writes that.
    """

    name = "the page's server"
    fresh = True
    end = 128 + signal.SIGTERM

    def __init__(self, inputs: Path) -> None:
        super().__init__(inputs)
        self._port = _free_port()
        self._compiled = inputs.parent / "compiled"

    def prepare(self, folder: Path) -> None:
        (folder / "temporary").mkdir()
        if self._compiled.exists():
            shutil.copytree(self._compiled, folder / "compiled")
            entries = sorted((folder / "compiled").rglob("*.nb[ci]"))
            for entry in Random(len(entries)).sample(entries, len(entries) // 30):
                entry.unlink()

    def arguments(self, folder: Path) -> list[str]:
        return [
            "serve", "--no-browser", "--port", str(self._port), "--threads", "1", "--device", "cpu",
            "-m", str(self.inputs / "model"),
        ]  # fmt: skip

    def environment(self, folder: Path) -> dict[str, str]:
        return {
            "TMPDIR": str(folder / "temporary"), "NUMBA_CACHE_DIR": str(folder / "compiled"),
        }  # fmt: skip

    @contextmanager
    def visited(self, running: Running, folder: Path) -> Iterator[list[str]]:
        _seen(folder).unlink(missing_ok=True)
        wrong: list[str] = []
        client = threading.Thread(target=self._visit, args=(running, folder, wrong), daemon=True)
        client.start()
        yield wrong
        client.join(_PATIENCE)

    def _visit(self, running: Running, folder: Path, wrong: list[str]) -> None:
        client = _Client(running, str(self.inputs / "model"))
        try:
            seen = client.see()
        except (OSError, http.client.HTTPException):
            seen = None
            running.wait(30.0)  # most likely it has ended, or is about to
        except ValueError as error:
            seen = None
            wrong.append(f"the server answers {error}")
        if seen is not None:
            _seen(folder).write_text(json.dumps(seen))
            if not self._compiled.exists():
                shutil.copytree(folder / "compiled", self._compiled)
        # What runs on has done its work, or has refused to.
        running.tell(signal.SIGTERM)

    def is_through(self, folder: Path) -> bool:
        return _seen(folder).exists()

    def result(self, folder: Path) -> Content:
        content: Content = json.loads(_seen(folder).read_text())
        return content

    def ours(self, folder: Path) -> set[str]:
        return {name for name in super().ours(folder) if not name.startswith("compiled/")}


class _Client:
    """What a visitor does.

    Args:
        running: the server.
        model: that is asked for.
    """

    def __init__(self, running: Running, model: str) -> None:
        self._running, self._model = running, model
        self._port, self._token = 0, ""

    def see(self) -> Content | None:
        """Return what the visitor has got to see, or None where the server says a sentence.

        Raises:
            OSError, HTTPException: if the server has ended.
            ValueError: if it answers with a defect.
        """
        end = time.monotonic() + _PATIENCE
        while (found := _ADDRESS.search(self._running.printed())) is None:
            if self._running.wait(0.2) or time.monotonic() > end:
                return None
        self._port, self._token = int(found[1]), found[2]
        asked = json.dumps({"example": "water", "model": self._model}).encode()
        first = self._job("/api/jobs", asked)
        if first is None:
            return None
        second = self._job("/api/files?name=water.xyz&model=" + self._model, _WATER)
        if second is None:
            return None
        content = {}
        for name, path in {
            "cube": f"{first}/file?format=cube",
            "surface": f"{first}/surface?level=0.05",
            "sent": f"{second}/file?format=npz",
        }.items():
            status, answer = self._ask("GET", f"/api/jobs/{path}")
            if status != 200:
                return None
            content[name] = hashlib.sha256(_values_of(name, answer)).hexdigest()
        return content

    def _job(self, path: str, body: bytes) -> str | None:
        """Have something computed; return its key, or None where that is refused."""
        status, answer = self._ask("POST", path, body)
        if status != 202:
            return None
        key: str = json.loads(answer)["key"]
        while True:
            status, answer = self._ask("GET", f"/api/jobs/{key}")
            state = json.loads(answer) if status == 200 else {"state": "failed"}
            if state["state"] == "failed" and state.get("status") == 500:
                raise ValueError(state["error"])
            if state["state"] in ("failed", "stopped"):
                return None
            if state["state"] == "done":
                return key
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        try:
            headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status == 500:
            raise ValueError(f"{path} with {content[:200]!r}")
        if answer.status >= 400 and "error" not in json.loads(content):
            raise ValueError(f"{path} without a sentence: {content[:200]!r}")
        return answer.status, content


def _seen(folder: Path) -> Path:
    """Where the client notes what it has got; not in the folder, which may be full."""
    return folder.with_name(f"{folder.name}.seen.json")


def _values_of(name: str, answer: bytes) -> bytes:
    """Return what is the same each time: an archive holds the time of its writing."""
    if name != "sent":
        return answer
    with np.load(io.BytesIO(answer)) as archive:
        arrays: list[Any] = [archive[key] for key in sorted(archive.files)]
    return b"".join(array.tobytes() for array in arrays)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
    return number
