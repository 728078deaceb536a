"""Where `deepdft predict` writes, and who shares out the blocks of a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from deepdft.prediction.distributed import Cluster
    from deepdft.structures import Structure


def targets_of(found: list[Structure], output: Path | None, alone: bool) -> Iterator[Path]:
    """Yield a path for each structure: the file asked for, or files named after the structures."""
    from deepdft.structures import file_name

    if alone and output is not None and not _is_folder(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        yield from [output] * len(found)
        return
    folder, suffix = Path(), ".cube"
    if output is not None and _is_folder(output):
        folder = output
    elif output is not None:
        # One file for many structures: its stem and suffix with the structure's name between.
        folder, suffix = output.parent, output.suffix
    folder.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    prefix = f"{output.stem}_" if output is not None and not _is_folder(output) else ""
    for item in found:
        name = base = prefix + file_name(item.name)
        number = 1
        # SMILES of different molecules may differ in case alone, which some file systems ignore.
        while name.casefold() in used:
            number += 1
            name = f"{base}_{number}"
        used.add(name.casefold())
        yield folder / f"{name}{suffix}"


def cluster_for(
    targets: list[Path], workers: int | None, scheduler: str | None, device: str
) -> Cluster | None:
    """Return the processes that share out the blocks, None where this one does all.

    Raises:
        ConfigurationError: if what is written has no blocks.
    """
    if workers is None and scheduler is None:
        return None
    if any(path.suffix != ".zarr" for path in targets):
        raise ConfigurationError(
            "--workers and --scheduler share out the blocks of a zarr store; end the output's name "
            "in .zarr."
        )
    from deepdft.prediction.distributed import Cluster

    return Cluster(scheduler=scheduler, workers=workers, device=device)


def refuse_stores(targets: list[Path]) -> None:
    """Raise a ConfigurationError where frozen cores would go to a store."""
    if any(path.suffix == ".zarr" for path in targets):
        raise ConfigurationError(
            "--all-electron is not for .zarr stores, which hold what a model predicts; write "
            "another format."
        )


def _is_folder(path: Path) -> bool:
    if path.suffix == ".zarr":
        return False
    return path.is_dir() or (path.suffix == "" and "CHG" not in path.name.upper())
