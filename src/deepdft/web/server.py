"""Runs the application on this machine and opens the browser."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdft.errors import ConfigurationError
from deepdft.extras import import_extra
from deepdft.web.limits import Limits

if TYPE_CHECKING:
    from types import FrameType

PORT = 8642
"""The first port that is tried."""

_TRIES = 20


@dataclass(frozen=True)
class Address:
    """Where the page is.

    Attributes:
        host: name or number.
        port: number.
        token: opens the page.
    """

    host: str
    port: int
    token: str

    @property
    def origin(self) -> str:
        """The address without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def opened(self) -> str:
        """The address that opens the page."""
        return f"{self.origin}?token={self.token}"


def serve(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    names: Sequence[str] = (),
    open_browser: bool = True,
    models: Sequence[str] = (),
    device: str = "auto",
    threads: int | None = None,
    limits: Limits | None = None,
    ready: Callable[[Address], None] | None = None,
) -> None:
    """Serve the page until it is interrupted.

    Args:
        host: address to listen at; any but this machine's own lets others in who have the token.
        port: to listen at; by default 8642 or the next that is free.
        names: further host names that the page may be opened by.
        open_browser: open the page once the server listens.
        models: folders of further models.
        device: where densities are computed, see `deepdft.load_model`.
        threads: CPU threads of a prediction.
        limits: what one visitor may ask for.
        ready: told where the page is, once the server listens.

    Raises:
        ConfigurationError: if it cannot listen there.
        MissingDependencyError: if a package of the extra `web` is not installed.
    """
    uvicorn = import_extra("uvicorn", "The page")
    import_extra("fastapi", "The page")
    import_extra("skimage", "The page")
    from deepdft.web.application import LOOPBACK, application
    from deepdft.web.models import Models

    listener = listening_socket(host, port)
    address = Address(host, listener.getsockname()[1], secrets.token_urlsafe(24))
    guarded = application(
        address.token,
        hosts=(*LOOPBACK, host, *names),
        limits=limits,
        models=Models(models, device, threads),
        cookie=f"deepdft_{address.port}",
    )
    config = uvicorn.Config(
        guarded, log_level="warning", access_log=False, server_header=False, ws="none",
        proxy_headers=False, timeout_keep_alive=30, limit_concurrency=64,
        h11_max_incomplete_event_size=16 << 10,
    )  # fmt: skip

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if ready is not None:
                ready(address)
            if open_browser:
                threading.Thread(
                    target=webbrowser.open, args=(address.opened,), daemon=True
                ).start()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            if self.force_exit:
                # What is still open is dropped; uvicorn would log a traceback of it.
                logging.getLogger("uvicorn.error").disabled = True

    try:
        Server(config).run(sockets=[listener])
    finally:
        listener.close()


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening_socket(host: str, port: int | None) -> socket.socket:
    """Return a socket that is bound: to a port, or to the first free one from 8642 on.

    Raises:
        ConfigurationError: if there is none.
    """
    candidates = range(PORT, PORT + _TRIES) if port is None else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: Exception | None = None
    for candidate in candidates:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(64)
        except (OSError, OverflowError) as error:
            listener.close()
            problem = error
        else:
            return listener
    where = f"{host}:{port}" if port is not None else f"{host}, ports {PORT} to {PORT + _TRIES - 1}"
    reason = getattr(problem, "strerror", None) or str(problem)
    raise ConfigurationError(f"The page cannot listen at {where}: {reason}.")
