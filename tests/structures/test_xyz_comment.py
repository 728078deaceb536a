"""Comments of XYZ frames: the same values as ASE's own reader finds, which imports far more."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ase.io.extxyz import key_val_str_to_dict

from deepdft.structures.xyz_comment import comment_values


@pytest.mark.parametrize(
    "comment",
    [
        "a=1 b=-2.5 q=1e5 n=nan big=99999999999999999999999",
        'c="1 2 3" d="T F T" e=T f="hello, world" x="1,2" t=" T" u=1_000',
        'Lattice="1 0 0 0.5 2 0 0 0 3" pbc="T T F" Properties=species:S:1:pos:R:3',
        'name="QM9 molecule 1" charge=-1 charge=2',
        "key={1 2} other=[3, 4] third='5 6'",
        'word a=1 b=c=d _JSON="_JSON [1]" j="_JSON [1, 2]"',
        'empty="" a=1',
        r'escaped="a\"b"',
        "stress=1 a=1",
    ],
)
def test_values_are_those_of_ase(comment):
    try:
        expected = repr(key_val_str_to_dict(comment))
    except ValueError:
        with pytest.raises(ValueError, match="3x3"):
            comment_values(comment)
    else:
        assert repr(comment_values(comment)) == expected


def test_a_molecule_is_read_without_readers_for_all_formats(tmp_path):
    path = tmp_path / "water.xyz"
    path.write_text(
        '3\nProperties=species:S:1:pos:R:3 name="a b" charge=0 pbc="F F F"\n'
        "O 0 0 0\nH 0.76 0.59 0\nH -0.76 0.59 0\n"
    )
    code = (
        "import sys; from deepdft.structures import read_structures; "
        f"(found,) = read_structures({str(path)!r}); "
        "assert found.atoms.info['name'] == 'a b', found.atoms.info; "
        "assert 'Properties' not in found.atoms.info; "
        "assert 'ase.io' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
