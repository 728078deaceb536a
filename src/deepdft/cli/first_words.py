"""What `deepdft` says by itself: where to begin, and which version it is."""

from __future__ import annotations

FIRST = """\
Electron densities of molecules, crystals and liquids in seconds, learned from DFT.

  deepdft demo                  see what it does, with a molecule that comes along
  deepdft predict molecule.xyz  the density of your structure, as a cube file
  deepdft serve                 the same in the browser: draw or drop a structure

'deepdft --help' lists all commands, 'deepdft COMMAND --help' explains one, with examples."""


def version(verbose: bool = False) -> str:
    """Return the version, and with `verbose` those of Python, libraries and bundled models."""
    import deepdft

    lines = [f"deepdft {deepdft.__version__}"]
    if verbose:
        lines += [*_libraries(), *_models()]
    return "\n".join(lines)


def _libraries() -> list[str]:
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    lines = [f"python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    for package in ("numpy", "scipy", "numba", "ase", "torch", "pyscf"):
        try:
            lines.append(f"{package} {installed(package)}")
        except PackageNotFoundError:
            lines.append(f"{package} is not installed")
    return lines


def _models() -> list[str]:
    from deepdft.levels import LevelOfTheory
    from deepdft.models.bundled import bundled_models, model_digest
    from deepdft.models.folder import read_description

    return [
        f"model {name} {model_digest(folder)}, "
        f"{LevelOfTheory.from_dict(read_description(folder)['level'])}"
        for name, folder in bundled_models().items()
    ]
