"""Functionals by name."""

from __future__ import annotations

import pytest

from deepdft.dft.functionals import libxc_code


def test_functionals_are_those_of_their_names():
    libxc = pytest.importorskip("pyscf.dft.libxc")
    # Numbers in libxc's own list of functionals.
    for name, numbers in (
        ("PBE", [101, 130]), ("pw91", [109, 134]), ("RPBE", [117, 130]), ("revPBE", [102, 130]),
        ("PBEsol", [116, 133]), ("PZ", [1, 9]), ("CA", [1, 12]), ("BEEF", [286]),
    ):  # fmt: skip
        assert [number for number, _ in libxc.parse_xc(libxc_code(name))[1]] == numbers
    assert libxc_code("TPSS") == "TPSS"
