"""The models that come with the package, and models by name or path."""

from __future__ import annotations

from pathlib import Path

from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.extras import require_extra
from deepdft.models import released_layout as released
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import DESCRIPTION, ELECTRONS, TABLES, WEIGHTS, load_checkpoint
from deepdft.storage.identities import ContentHash, file_identity
from deepdft.storage.json_files import read_json

_FOLDER = Path(__file__).resolve().parent.parent / "bundled" / "models"


def bundled_models() -> dict[str, Path]:
    """Return the folders of the bundled models by name; 'default' comes first."""
    folders = sorted(path.parent for path in _FOLDER.glob(f"*/{DESCRIPTION}"))
    folders.sort(key=lambda folder: folder.name != "default")
    return {folder.name: folder for folder in folders}


def find_model(name_or_path: str | Path) -> Path:
    """Return the folder of a model given by bundled name, by folder or by a run directory.

    A directory of the authors' released code is a model folder as well.

    Raises:
        ConfigurationError: if there is none.
    """
    names = bundled_models()
    if str(name_or_path) in names:
        return names[str(name_or_path)]
    path = Path(name_or_path).expanduser()
    if path.name in (WEIGHTS, DESCRIPTION, released.WEIGHTS, released.ARGUMENTS):
        path = path.parent
    for folder in (path, path / "best"):
        if (folder / DESCRIPTION).exists():
            return folder
    if released.is_released_checkpoint(path):
        return path
    if path.exists():
        raise ConfigurationError(f"{path} is not a model folder: it holds no {DESCRIPTION}.")
    raise ConfigurationError(
        f"There is no model '{name_or_path}': it is neither a folder nor one of the bundled models "
        f"({', '.join(names) or 'none'})." + did_you_mean(str(name_or_path), names)
    )


def model_digest(folder: Path) -> str:
    """Return a hash that tells one network from another: of its weights and their description.

    The card, and what else is in the folder, do not change a prediction.
    """
    digest = ContentHash()
    for path in sorted(folder.iterdir()):
        if path.name == DESCRIPTION:
            description = dict(read_json(path))
            description.pop("card", None)
            digest.add(path.name, description)
        elif path.name in (WEIGHTS, TABLES, ELECTRONS, released.WEIGHTS, released.ARGUMENTS):
            digest.add(path.name, file_identity(path))
    return digest.result()[:16]


def open_checkpoint(name_or_path: str | Path) -> Checkpoint:
    """Read a model given by bundled name, by folder or by a run directory.

    Raises:
        ConfigurationError: if there is none.
        FileFormatError: if its files are damaged.
        MissingDependencyError: if it is a checkpoint of the released code, and torch is not
            installed.
    """
    folder = find_model(name_or_path)
    if (folder / DESCRIPTION).exists():
        return load_checkpoint(folder)
    require_extra("torch", f"{name_or_path}, a checkpoint of the authors' released code,")
    from deepdft.models.released_checkpoint import load_released_checkpoint

    return load_released_checkpoint(folder)
