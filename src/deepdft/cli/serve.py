"""`deepdft serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deepdft.cli.common import give
from deepdft.cli.computing_options import Device, Threads
from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from deepdft.web.server import Address


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; the default is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port [default: 8642 or the next that is free]."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Further host name that the page may be opened by."),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open nothing.")
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option("-m", "--model", help="Folder of a further model that may be chosen."),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    jobs: Annotated[int, typer.Option(min=1, help="Predictions that run at the same time.")] = 1,
    max_atoms: Annotated[int, typer.Option(min=1, help="Most atoms of a structure.")] = 500,
    max_points: Annotated[
        int, typer.Option(min=1000, help="Most grid points of a predicted density.")
    ] = 1_500_000,
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds after which a prediction is stopped.")
    ] = 300.0,
) -> None:
    """Open a page in the browser: draw, name or drop a structure and see its electrons.

    Everything stays on this machine. Ctrl-C ends it.

    Examples:

        deepdft serve

        deepdft serve --port 9000 --no-browser -m runs/mine
    """
    from deepdft.models.bundled import find_model
    from deepdft.web.limits import Limits
    from deepdft.web.server import is_loopback
    from deepdft.web.server import serve as run

    console = Console(markup=False, highlight=False, soft_wrap=True)
    for folder in model or []:
        find_model(folder)
    if not host:
        raise ConfigurationError("--host needs an address, for example 127.0.0.1.")
    if not is_loopback(host):
        console.print(
            f"warning: {host} can be reached by others; whoever has the address with its token "
            "can use the page, and what they send is not encrypted"
        )

    def ready(address: Address) -> None:
        console.print(f"deepdft is at {address.opened}")
        console.print("Ctrl-C ends it.")
        give({"address": address.opened, "origin": address.origin, "token": address.token})

    limits = Limits(atoms=max_atoms, points=max_points, running=jobs, seconds=timeout)
    run(
        host=host, port=port, names=name or [], open_browser=not no_browser,
        models=model or [], device=device, threads=threads, limits=limits, ready=ready,
    )  # fmt: skip
