"""The documented table of formats is the registry's."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdft.errors import ConfigurationError
from deepdft.formats.registry import FORMATS, format_to_read
from deepdft.formats.source import Source
from deepdft.formats.table import BEGIN, END, options, table, update

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_the_document_is_up_to_date() -> None:
    """If this fails, run `python -m deepdft.formats.table docs/formats.md`."""
    if not DOCUMENT.exists():
        pytest.skip("docs/formats.md is not here")
    text = DOCUMENT.read_text(encoding="utf-8")
    assert update(text) == text


def test_every_format_has_a_row_and_its_options() -> None:
    rows = [line for line in table().splitlines() if line.startswith("|")]
    assert len(rows) == len(FORMATS) + 2
    assert len({len(row) for row in rows}) == 1
    assert (
        "- `cube`: read: `quantity`, `component`, `unit`, `pbc`, `repeated`; write: `digits`"
        in options()
    )


def test_only_what_is_between_the_marks_changes() -> None:
    text = update(f"before {BEGIN} old {END} after")
    assert text.startswith(f"before {BEGIN}")
    assert text.endswith(f"{END} after")
    assert " old " not in text
    with pytest.raises(ConfigurationError, match="no marks"):
        update("nothing")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CHGCAR", "vasp"),
        ("CHG", "vasp"),
        ("AECCAR0", "vasp"),
        ("chgcar.vasp", "vasp"),
        ("000123.CHGCAR", "vasp"),
        ("CHGCAR_spin", "vasp"),
        ("PARCHG.0001.0002", "vasp"),
        ("density.CUBE", "cube"),
        ("x.cub", "cube"),
        ("siesta.RHO", "siesta"),
        ("vaspwave.h5", "vasp-hdf5"),
        ("rho.xsf", "xsf"),
        ("CHGCAR.xsf", "xsf"),
        ("my_chg_of_today.npz", "npz"),
        ("CHGCAR.cube", "cube"),
        ("cube.CHGCAR", "vasp"),
        ("si.filplot", "quantum-espresso"),
        ("a.npz", "npz"),
        ("b.zarr", "zarr"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert format_to_read(Source(name, name, name)).name == expected
