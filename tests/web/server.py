"""The page's server in a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from deepdft.web.application import application
from deepdft.web.limits import Limits
from deepdft.web.models import Models
from deepdft.web.server import listening_socket

TOKEN = "open-sesame"


@contextmanager
def running(models: Models, limits: Limits) -> Iterator[str]:
    """Yield the address that opens the page."""
    listener = listening_socket("127.0.0.1", 0)
    guarded = application(TOKEN, limits=limits, models=models, warmed_up=False)
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/?token={TOKEN}"
    finally:
        server.should_exit = True
        thread.join(20)
