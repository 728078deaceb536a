"""The systems of Table 1: one entry each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd
from pathlib import Path

from ase import Atoms

import deepdft
from deepdft.data import DensityDataset, open_dataset
from deepdft.errors import ConfigurationError, did_you_mean

_OURS = Path(__file__).resolve().parent.parent / "densities"
_OF_DEEPDFT = Path(deepdft.__file__).resolve().parent / "bundled" / "densities"
_SPLIT = "split.json"
_ENVIRONMENTS = "training_environments.json"


class Missing(ConfigurationError):
    """Densities or a model that a system needs are not there; its row says so."""


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's Table 1: counts of structures, eps_mae in percent.

    Attributes:
        train: structures to train on.
        validation: structures to validate on.
        test: structures to test on.
        mean: mean eps_mae, %.
        max: largest eps_mae, %.
    """

    train: int
    validation: int
    test: int
    mean: float
    max: float


@dataclass(frozen=True)
class System:
    """A system of the table.

    Attributes:
        key: short name, for files and options.
        title: heading of its row.
        model: name of the bundled model.
        config: training configuration, a file among the repository's `configs`.
        path: folder of test densities with `split.json`.
        file: the densities in that folder.
        paper: what the paper reports.
        trains_on_bundled: whether the training part is in that folder as well.
        grids_first: whether training needs the densities on grids (a store) to be fast.
        group: which independent group a structure belongs to; every structure is one if None.
        groups: what such groups are called.
    """

    key: str
    title: str
    model: str
    config: str
    path: Path
    file: str
    paper: PaperRow
    trains_on_bundled: bool = True
    grids_first: bool = False
    group: Callable[[Atoms], str] | None = None
    groups: str = "structures"

    @property
    def split(self) -> Path:
        """The split of all its structures."""
        return self.path / _SPLIT

    @property
    def densities(self) -> Path:
        """The file of the densities.

        Raises:
            Missing: if it is absent.
        """
        path = self.path / self.file
        if not path.exists():
            raise Missing(f"The densities of '{self.title}' are missing: there is no {path}.")
        return path

    def test(self) -> DensityDataset:
        """Return the test part, as far as its densities are there.

        Raises:
            Missing: if none is.
        """
        dataset = open_dataset(self.densities)
        places = {name: place for place, name in enumerate(dataset.names)}
        wanted = [places[name] for name in self.members("test") if name in places]
        if not wanted:
            raise Missing(f"{self.densities} holds no structure of the test part of {self.split}.")
        return dataset.subset(wanted)

    def members(self, part: str) -> list[str]:
        """Return the names of a part of the split."""
        content = json.loads(self.split.read_text(encoding="utf-8"))
        return [str(name) for name in content[part]]

    @cached_property
    def training_environments(self) -> dict[str, int] | None:
        """In how many training structures each atom's environment occurs, where that is stored."""
        path = self.path / _ENVIRONMENTS
        if not path.exists():
            return None
        counts: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["environments"]
        return counts


def composition(atoms: Atoms) -> str:
    """Return the composition of a layered oxide: the ratio of its metals, lithium per metal."""
    symbols = atoms.get_chemical_symbols()
    metals = {symbol: symbols.count(symbol) for symbol in ("Ni", "Mn", "Co")}
    divisor = gcd(*metals.values())
    ratio = "".join(f"{symbol}{count // divisor}" for symbol, count in metals.items() if count)
    return f"{ratio}_x{Fraction(symbols.count('Li'), sum(metals.values()))}"


def packing(atoms: Atoms) -> str:
    """Return the packing from which a configuration of the liquid comes."""
    return str(atoms.info["packing"])


SYSTEMS = (
    System(
        key="qm9",
        title="QM9",
        model="qm9",
        config="qm9.yaml",
        path=_OF_DEEPDFT / "qm9_test",
        file="molecules.npz",
        paper=PaperRow(123_835, 50, 10_000, 0.36, 2.35),
        trains_on_bundled=False,
    ),
    System(
        key="cathode",
        title="lithium-ion cathode",
        model="cathode",
        config="cathode.yaml",
        path=_OURS / "cathode",
        file="densities.zip",
        paper=PaperRow(3_903, 50, 1_000, 0.10, 0.29),
        grids_first=True,
        group=composition,
        groups="compositions",
    ),
    System(
        key="ethylene_carbonate",
        title="liquid ethylene carbonate",
        model="ethylene-carbonate",
        config="ethylene_carbonate.yaml",
        path=_OURS / "ethylene_carbonate",
        file="configurations.npz",
        paper=PaperRow(7_330, 50, 4_000, 0.53, 0.69),
        grids_first=True,
        group=packing,
        groups="packings",
    ),
)
"""In the order of the paper's table."""

PAPER_BASELINE_QM9 = 18.0
"""The paper's error of superposed atomic densities on QM9, %."""


def find_system(key: str) -> System:
    """Return a system by its key.

    Raises:
        ConfigurationError: if there is none.
    """
    known = {system.key: system for system in SYSTEMS}
    if key not in known:
        raise ConfigurationError(
            f"There is no system '{key}'; there are {', '.join(known)}.{did_you_mean(key, known)}"
        )
    return known[key]
