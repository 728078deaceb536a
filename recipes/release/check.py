"""Builds the distributions, looks into them, and uses them as a stranger would.

    python recipes/release/check.py                  # both packages; `make release-check`
    python recipes/release/check.py --keep dist      # and keep what was built

What is tracked is copied, so that nothing that lies about gets in. Of each package an sdist is
made, and from that a wheel. A wheel has to hold every file of the package that is tracked and
nothing else, and no file of any tests. It is installed into an empty environment from wheels alone:
nothing is compiled. There, in another folder, the demo runs, first without extras and then with
`plot`, and `deepdft reproduce` is found once the paper's wheel is there.

Needs the package `build`, and an index for what the packages depend on.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = {
    "models": ("/bundled/models/",),
    "densities": ("/bundled/densities/", "/bundled/molecules/", "/densities/"),
    "page and viewer": ("/web/page/", "/plotting/viewer/"),
    "tables": (".npz", ".json"),
    "code": (".py", "py.typed"),
}
"""What a wheel's weight is made of; the first that fits counts."""

REQUIRED = {
    "deepdft": (
        "deepdft/bundled/molecules/C6H9NO.npz",
        "deepdft/bundled/models/default/model.safetensors",
        "deepdft/web/page/index.html",
        "deepdft/plotting/viewer/3Dmol-min.js",
        "deepdft/plotting/viewer/3Dmol-LICENSE.txt",
    ),
    "deepdft_paper": ("deepdft_paper/densities/cathode/densities.zip",),
}
"""A few names, in case a pattern of what is tracked should ever be wrong."""


class Fault(Exception):
    """Something that must not be released."""


@dataclass(frozen=True)
class Package:
    """One distribution.

    Attributes:
        folder: of its `pyproject.toml`, in the checkout.
        module: what is imported.
    """

    folder: Path
    module: str

    @property
    def name(self) -> str:
        """Name of the distribution."""
        content = tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))
        return str(content["project"]["name"])

    @property
    def sources(self) -> Path:
        """Folder above the module, in the checkout."""
        return self.folder / "src"


PACKAGES = (Package(ROOT, "deepdft"), Package(ROOT / "paper", "deepdft_paper"))


def main() -> None:
    """Build, look, install, run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, help="folder for sdists and wheels")
    parser.add_argument(
        "--without-installing", action="store_true", help="build and look into the wheels only"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        folder = Path(temporary)
        try:
            wheels = build_all(folder)
            for package, wheel in zip(PACKAGES, wheels, strict=True):
                check_content(package, wheel)
                show_weight(wheel)
            if not options.without_installing:
                use(wheels, folder / "elsewhere")
        except (Fault, subprocess.CalledProcessError) as fault:
            sys.exit(f"release-check: {fault}")
        if options.keep:
            shutil.copytree(folder / "dist", options.keep, dirs_exist_ok=True)
    print("release-check: all is well")


def build_all(folder: Path) -> list[Path]:
    """Copy what is tracked and build sdists and wheels; return the wheels."""
    copy = folder / "source"
    for name in tracked(ROOT):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    wheels = []
    for package in PACKAGES:
        target = folder / "dist" / package.name
        source = copy / package.folder.relative_to(ROOT)
        run(sys.executable, "-m", "build", "--outdir", target, source, quiet=True)
        (wheel,) = target.glob("*.whl")
        wheels.append(wheel)
    return wheels


def tracked(folder: Path) -> list[str]:
    """Return the files below a folder that git tracks, and that are there."""
    found = subprocess.run(
        ["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    return [name for name in found if name and (folder / name).is_file()]


def check_content(package: Package, wheel: Path) -> None:
    """Compare a wheel with what is tracked.

    Raises:
        Fault: if something is missing, or there that should not be.
    """
    prefix = f"{package.module}/"
    expected = {name for name in tracked(package.sources) if name.startswith(prefix)}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        inside = {name for name in names if ".dist-info/" not in name}
        digests = {hashlib.sha256(archive.read(name)).digest(): name for name in inside}
    for missing in (sorted(expected - inside), sorted(set(REQUIRED[package.module]) - inside)):
        if missing:
            raise Fault(f"{wheel.name} lacks {len(missing)} files, as {missing[0]}.")
    extra = sorted(inside - expected)
    if extra:
        raise Fault(f"{wheel.name} holds {len(extra)} files that are not tracked, as {extra[0]}.")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        raise Fault(f"{wheel.name} holds no licence.")
    for name in tracked(ROOT):
        path = ROOT / name
        if "tests" in Path(name).parts and path.stat().st_size > 200:
            same = digests.get(hashlib.sha256(path.read_bytes()).digest())
            if same:
                raise Fault(f"{wheel.name} holds a file of the tests, {name}, as {same}.")


def show_weight(wheel: Path) -> None:
    """Print what a wheel weighs, and what of."""
    weights: dict[str, int] = defaultdict(int)
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            kind = next(
                (
                    kind
                    for kind, ends in KINDS.items()
                    if any(e in entry.filename if e[0] == "/" else entry.filename.endswith(e)
                           for e in ends)
                ),
                "other",
            )  # fmt: skip
            weights[kind] += entry.compress_size
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    for kind, size in sorted(weights.items(), key=lambda item: -item[1]):
        print(f"  {kind:18}{size / 1e6:6.2f} MB")


def use(wheels: list[Path], folder: Path) -> None:
    """Install the wheels into an empty environment, and use them there in another folder."""
    folder.mkdir()
    venv.create(folder / "environment", with_pip=True)
    scripts = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
    python, deepdft = scripts / "python", scripts / "deepdft"
    product, paper = wheels
    install = (python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet",
               "--only-binary=:all:")  # fmt: skip
    run(*install, product, cwd=folder)
    run(python, "-m", "pip", "check", cwd=folder)
    packages = run(python, "-m", "pip", "list", "--format=freeze", cwd=folder, quiet=True)
    print(f"installed without extras: {len(packages.splitlines()) - 1} packages")
    shown = run(deepdft, "demo", "first", cwd=folder)
    expect("no picture" in shown and (folder / "first" / "C6H9NO.cube").is_file(), shown)
    run(*install, f"{product}[plot]", paper, cwd=folder)
    shown = run(deepdft, "demo", "second", cwd=folder)
    expect(all((folder / "second" / f"C6H9NO.{end}").is_file() for end in ("png", "html")), shown)
    shown = run(deepdft, "--help", cwd=folder, quiet=True)
    expect("reproduce" in shown and "cannot be used" not in shown, shown)
    run(deepdft, "reproduce", "table1", "--help", cwd=folder, quiet=True)


def expect(true: bool, shown: str) -> None:
    """Raise `Fault` if a command did not do what it should."""
    if not true:
        raise Fault(f"a command did not do what it should; it printed:\n{shown}")


def run(*command: object, cwd: Path | None = None, quiet: bool = False) -> str:
    """Run a command without this process's settings for Python; return what it prints.

    Raises:
        CalledProcessError: if it fails.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode or not quiet:
        print(f"$ {' '.join(words)}\n{done.stdout}", end="")
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


if __name__ == "__main__":
    main()
