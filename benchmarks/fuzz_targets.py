"""What is fuzzed: for each target small valid inputs, and what is done with an input.

A target answers with nothing, or raises: a `DeepDFTError` is a sentence, anything else a finding.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule

import fuzz_folders
import fuzz_inputs
from deepdft.errors import DeepDFTError
from fuzz_target import CASES, Target, UnusableAnswer

OPTIONS: dict[str, dict[str, float]] = {"f.molden": {"spacing": 1.0}}
"""A coarse grid for orbitals: it is the reader that is tested."""


def targets(beginnings: Sequence[str] = ("",)) -> dict[str, Target]:
    """Return targets by name.

    Args:
        beginnings: of the names that are wanted; targets of other groups are not made.

    Raises:
        ValueError: if there are none.
    """
    found: dict[str, Target] = {}
    for words, make in _GROUPS:
        if any(w.startswith(b) or b.startswith(w) for w in words for b in beginnings):
            found |= make()
    chosen = {name: one for name, one in found.items() if name.startswith(tuple(beginnings))}
    if not chosen:
        raise ValueError(f"there is no target that begins with {' or '.join(beginnings)}")
    return chosen


# Densities.


@cache
def _readers() -> dict[str, Target]:
    files = fuzz_inputs.seeds()
    pairs = (fuzz_inputs.ARRAY, fuzz_inputs.SAVE)
    found = {}
    for name, entries in files.items():
        # The other of the two is whole.
        beside = {
            other: files[other][0]
            for pair in pairs
            if name in pair
            for other in pair
            if other != name
        }
        found[f"reader {name}"] = Target(tuple(entries), partial(_read_density, name, beside))
    return found


def _read_density(name: str, beside: dict[str, bytes], data: bytes, folder: Path) -> None:
    from deepdft.formats import read
    from deepdft.formats.points import read_points
    from deepdft.storage import tar_members

    for other, content in beside.items():
        (folder / other).write_bytes(content)
    path = folder / name
    path.write_bytes(data)
    found: list[Any]
    if name == "tar":
        found = [read(member) for member in tar_members.members(path)]
    elif name == "points.h5":
        found = [read_points(path)]
    elif name in ("f.info.json", "data-file-schema.xml"):
        main = {"f.info.json": "f.npy", "data-file-schema.xml": "charge-density.dat"}[name]
        found = [read(path.with_name(main))]
    else:
        found = [read(path, **OPTIONS.get(name, {}))]
    if not all(np.isfinite(density.values).all() for density in found):
        raise UnusableAnswer("a value is not finite")


# Structures.


@cache
def _structures() -> dict[str, Target]:
    from ase.io import write

    water = molecule("H2O")
    crystal = Atoms("NaCl", [[0, 0, 0], [2.8, 0, 0]], cell=[5.6, 4, 4], pbc=True)
    water.calc = None
    made: dict[str, list[bytes]] = {}
    for suffix, kind, atoms in (
        ("xyz", "xyz", water), ("xyz", "extxyz", crystal), ("cif", "cif", crystal),
        ("pdb", "proteindatabank", crystal), ("vasp", "vasp", crystal), ("res", "res", crystal),
        ("gen", "gen", crystal), ("xsf", "xsf", crystal), ("in", "aims", crystal),
        ("json", "json", water), ("traj", "traj", crystal), ("gro", "gromacs", crystal),
        ("gjf", "gaussian-in", water), ("cube", "cube", water), ("com", "gaussian-in", water),
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder, f"s.{suffix}")
            write(path, atoms, format=kind)
            made.setdefault(suffix, []).append(path.read_bytes())
    for path in sorted(CASES.glob("*")):
        suffix = path.suffix[1:]
        if suffix in ("xyz", "cif", "sdf", "pdb", "vasp", "XV"):
            made.setdefault(suffix, []).append(path.read_bytes())
    return {
        f"structure {suffix}": Target(tuple(seeds), partial(_read_structures, f"s.{suffix}"))
        for suffix, seeds in made.items()
    }


def _read_structures(name: str, data: bytes, folder: Path) -> None:
    from deepdft.structures import read_structures

    path = folder / name
    path.write_bytes(data)
    for structure in read_structures(path, refused=lambda _name, _error: None):
        _use(structure.atoms)


def _use(atoms: Atoms) -> None:
    """Do what comes before a prediction."""
    from deepdft.geometry.grids import choose_grid
    from deepdft.models.choice import bundled_coverages

    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise UnusableAnswer("a position or a cell is not finite")
    try:
        choose_grid(atoms, spacing=0.5)
        bundled_coverages()[0].check(atoms)
    except DeepDFTError:
        return


# Lines and configurations.


@cache
def _texts() -> dict[str, Target]:
    config = CASES / "training.yaml"
    given = b"""model: {architecture: equivariant, options: {steps: 2, fields: [32, 32]}}
data: {paths: [a.npz, 'b/*.CHGCAR'], level: {functional: PBE}, validation_count: 2}
sampling: {structures: 2, probes: 100, importance: 0.5, weights: {ion: 2.0}}
optimizer: {loss: eps_mae, learning_rate: 1e-3, schedule: cosine, gradient_clip: 1.0}
trainer: {max_steps: 100, accelerator: cpu, threads: 2}
seed: 1
"""
    smiles = (b"CCO", b"c1ccccc1", b"C[N+](C)(C)C.[Cl-]", b"[13CH4]", b"F/C=C/F", b"[O][O]", b"*C")
    overrides = (b"trainer.max_steps=10", b"data.paths=[a, b]", b"optimizer.learning_rate=1e-4")
    return {
        "SMILES": Target(smiles, _read_smiles),
        "configuration": Target((config.read_bytes(), given), _read_configuration),
        "override": Target(overrides, _read_override),
        "split": Target((b'{"train": ["a", "b"], "validation": [2], "test": []}',), _read_split),
        "list of paths": Target((b"a.cube\n# b\nb.CHGCAR\n",), _read_list),
    }


def _read_smiles(data: bytes, folder: Path) -> None:
    from deepdft.structures import read_structures

    for structure in read_structures(data.decode("utf-8", "replace"), refused=lambda _n, _e: None):
        _use(structure.atoms)


def _read_configuration(data: bytes, folder: Path) -> None:
    from deepdft.architectures import parse_options
    from deepdft.training.config import read_config

    (folder / "c.yaml").write_bytes(data)
    config = read_config(folder / "c.yaml")
    parse_options(config.model.architecture, config.model.options)
    config.to_yaml()


def _read_override(data: bytes, folder: Path) -> None:
    from deepdft.architectures import parse_options
    from deepdft.training.config import read_config

    (folder / "c.yaml").write_text("seed: 1\n", encoding="utf-8")
    config = read_config(folder / "c.yaml", data.decode("utf-8", "replace").split("\n"))
    parse_options(config.model.architecture, config.model.options)


class _Named:
    """A data set of three names."""

    names = ("a", "b.cube", "2")

    def __len__(self) -> int:
        return 3


def _read_split(data: bytes, folder: Path) -> None:
    from deepdft.data import read_split

    (folder / "s.json").write_bytes(data)
    named: Any = _Named()
    read_split(folder / "s.json", named)


def _read_list(data: bytes, folder: Path) -> None:
    from deepdft.data.sources import find_sources

    (folder / "a.list").write_bytes(data)
    # A pattern that begins at the root searches all of a disk, as it is asked to.
    if not re.search(rb"^\s*[/~]|\.\.", data, re.MULTILINE):
        find_sources([folder / "a.list"])


# The page.


@cache
def _page() -> dict[str, Target]:
    drawing = (CASES / "two.sdf").read_bytes().split(b"$$$$")[0]
    upload = [b"w.xyz\n" + (CASES / "lab.xyz").read_bytes()]
    upload += [b"POSCAR\n" + (CASES / "left.vasp").read_bytes()]
    files = fuzz_inputs.seeds()
    upload += [b"f.cube\n" + files["f.cube"][0], b"f.cube.gz\n" + files["f.cube.gz"][0]]
    upload += [b"CHGCAR\n" + files["f.CHGCAR"][0], b"c.cif\n" + (CASES / "cath.cif").read_bytes()]
    asked = (
        b'POST /api/jobs\n{"smiles": "CCO", "charge": 0}',
        b'POST /api/jobs\n{"example": "water", "model": "default"}',
        b"POST /api/files?name=a.xyz&charge=1\n1\n\nH 0 0 0\n",
        b'POST /api/comparisons\n{"density": "abcdefgh", "reference": "abcdefgh"}',
        b"GET /api/jobs/abcdefgh/surface?level=0.1&field=density&margin=0.1\n",
        b"GET /api/jobs/abcdefgh/slice?axis=1&position=0.5\n",
        b"DELETE /api/jobs/abcdefgh\n",
        b"GET /viewer/../x\n",
    )
    return {
        "page request": Target(asked, _ask),
        "page upload": Target(tuple(upload), _upload),
        "page drawing": Target((drawing,), _draw),
    }


def _upload(data: bytes, folder: Path) -> None:
    from deepdft.web.inputs import read_upload
    from deepdft.web.limits import Limits

    name, _, content = data.partition(b"\n")
    read_upload(name.decode("utf-8", "replace"), content, Limits())


def _draw(data: bytes, folder: Path) -> None:
    from deepdft.web.inputs import structure_of_drawing
    from deepdft.web.limits import Limits

    structure_of_drawing(data.decode("utf-8", "replace"), Limits())


@cache
def _server() -> Any:
    from deepdft.web import jobs
    from deepdft.web.application import application

    def submit(queue: Any, kind: str, work: Any) -> Any:
        return jobs.Job(kind, work, 1.0)  # nothing is computed: it is requests that are tested

    jobs.JobQueue.submit = submit  # type: ignore[method-assign]
    return application("token", warmed_up=False)


def _ask(data: bytes, folder: Path) -> None:
    import asyncio

    first, _, body = data.partition(b"\n")
    method, _, target = first.partition(b" ")
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
        "method": method.decode("latin-1").upper() or "GET", "scheme": "http",
        "path": "/" + path.decode("utf-8", "replace").lstrip("/"), "raw_path": path,
        "query_string": query, "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "headers": [
            (b"host", b"127.0.0.1"), (b"authorization", b"Bearer token"),
            (b"content-type", b"application/json"),
        ],
    }  # fmt: skip
    answers: list[Any] = []
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        answers.append(message)

    asyncio.run(_server()(scope, receive, send))
    status = answers[0]["status"]
    if status >= 500 and status != 501:
        raise UnusableAnswer(f"status {status}")


_GROUPS: tuple[tuple[tuple[str, ...], Callable[[], dict[str, Target]]], ...] = (
    (("reader",), _readers),
    (("structure",), _structures),
    (("SMILES", "configuration", "override", "split", "list of paths"), _texts),
    (("model", "trainer state", "released"), fuzz_folders.models),
    (("store", "zarr", "orbitals", "compact", "plane waves"), fuzz_folders.data),
    (("page",), _page),
)
"""What makes targets, and the words with which their names begin."""
