"""pw.x begins from densities of its own level of theory; others are refused by name."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from deepdft.errors import LevelOfTheoryError
from deepdft.formats import read, write
from deepdft.formats.quantum_espresso_schema import NAME, read_calculation
from deepdft.levels import LevelOfTheory
from deepdft.models.bundled import bundled_models
from deepdft.models.folder import read_description
from tests.formats.samples import FILES

DAT = "charge-density.dat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES / "H3_qe.save", tmp_path / "x.save"))


def level_of(model: str) -> LevelOfTheory:
    return LevelOfTheory.from_dict(read_description(bundled_models()[model])["level"])


def named(folder: Path, file: str) -> None:
    """Give the pseudopotential of the calculation another name."""
    path = folder / NAME
    path.write_text(path.read_text().replace("H.upf", file))
    assert read_calculation(path).pseudopotentials == (file,)


@pytest.mark.parametrize(
    ("level", "file"),
    [
        (level_of("crystals"), "H.upf"),
        (level_of("crystals"), "H_ONCV_PBE_sr.upf"),
        (level_of("default"), "H.pbe-hgh.UPF"),
        (LevelOfTheory(), "H.upf"),
        (LevelOfTheory("PBE", "of our own"), "H.upf"),
        (LevelOfTheory("", "PAW"), "H.pbe-kjpaw_psl.1.0.0.UPF"),
    ],
)
def test_levels_that_fit(level: LevelOfTheory, file: str, folder: Path) -> None:
    named(folder, file)
    write(folder / DAT, replace(read(folder / DAT), level=level))


@pytest.mark.parametrize(
    ("level", "file", "words"),
    [
        (level_of("default"), "H.upf", r"PBE/GTH-PBE/gth-dzvp .*the pseudopotentials H\.upf"),
        (level_of("cathode"), "H.upf", "PBE/PAW pseudo-density"),
        (level_of("crystals"), "H.pbe-hgh.UPF", r"PseudoDojo .*H\.pbe-hgh\.UPF"),
        (level_of("crystals"), "H.pbe-rrkjus_psl.1.0.0.UPF", "PseudoDojo"),
        (LevelOfTheory("SCAN"), "H.upf", "SCAN.*one of PBE/8 Ry"),
        (LevelOfTheory("PBE", "all-electron"), "H.upf", "PBE/all-electron"),
    ],
)
def test_levels_that_do_not(level: LevelOfTheory, file: str, words: str, folder: Path) -> None:
    named(folder, file)
    before = (folder / DAT).read_bytes()
    with pytest.raises(LevelOfTheoryError, match=words):
        write(folder / DAT, replace(read(folder / DAT), level=level))
    assert (folder / DAT).read_bytes() == before
