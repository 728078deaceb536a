"""Small valid files of every format, for `fuzz_readers.py` to damage."""

from __future__ import annotations

import collections
import io
import json
import struct
import tarfile
import tempfile
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms
from scipy.io import netcdf_file

from deepdft.density import Density, Grid
from deepdft.formats import write
from deepdft.levels import LevelOfTheory

_SAVE_FOLDER = Path(__file__).parents[1] / "tests" / "formats" / "files" / "H3_qe.save"
ARRAY = ("f.npy", "f.info.json")
"""Two files that are read together."""
SAVE = ("charge-density.dat", "data-file-schema.xml")
"""Likewise."""
NAMED_ONLY = ("f.molden", *ARRAY, *SAVE, "points.h5", "tar")
"""Not tried without a name: orbitals would be evaluated on a fine grid, the others are none."""


def seeds() -> dict[str, list[bytes]]:
    """Return small valid files of every format, by the file name that announces it."""
    rng = np.random.default_rng(0)
    atoms = Atoms("HOH", positions=rng.random((3, 3)) * 3, cell=[[4, 0, 0], [1, 4, 0], [0, 0.5, 5]])
    atoms.pbc = True
    shape = (5, 4, 6)
    grid = Grid(np.asarray(atoms.cell), shape)
    values = rng.random(shape) * 0.2
    level = LevelOfTheory("PBE", "PAW", "400 eV", "VASP")
    plain = Density(atoms, grid, values, None, level)
    spin = Density(atoms, grid, values, rng.normal(size=(3, *shape)) * 0.01, level)
    occupied = Density(atoms, grid, values, None, level, {"augmentation": [_OCCUPANCIES]})
    found: dict[str, list[bytes]] = collections.defaultdict(list)
    names = {"f.cube": [plain, spin], "f.CHGCAR": [plain, spin, occupied], "f.CHG": [spin]}
    names |= {"f.xsf": [plain], "f.npz": [plain, spin]}
    with tempfile.TemporaryDirectory() as folder:
        for name, densities in names.items():
            for density in densities:
                write(Path(folder, name), density)
                found[name].append(Path(folder, name).read_bytes())
        write(Path(folder, "f.cube.gz"), plain)
        found["f.cube.gz"] = [Path(folder, "f.cube.gz").read_bytes()]
        found["f.CHGCAR.zz"] = [_rewritten(folder, "f.CHGCAR.zz", plain)]
        found["f.xsf.lz4"] = [_rewritten(folder, "f.xsf.lz4", plain)]
        found["f.CHG.zst"] = [_rewritten(folder, "f.CHG.zst", plain)]
    found["f.molden"] = [MOLDEN]
    found["f.filplot"] = [plot_file(values)]
    found["f.RHO"] = [siesta_file(values)]
    found["f.npy"] = [_saved_array(values)]
    found["f.info.json"] = [_description(atoms)]
    found["f.CHGCAR.json"] = [_chgcar_json(plain), _chgcar_json(spin)]
    found["Rho.grid.nc"] = [_netcdf_file(values), _netcdf4_file(values)]
    found.update({name: [(_SAVE_FOLDER / name).read_bytes()] for name in SAVE})
    found["points.h5"] = [_points_file(rng)]
    found["vaspwave.h5"] = [_vasp_file(plain), _vasp_file(spin)]
    found["tar"] = [_archive({name: found[name][0] for name in ("f.cube.gz", "f.CHGCAR.zz")})]
    # Not Molden: unnamed, it would be evaluated on a fine grid.
    known = [entries for name, entries in found.items() if name not in NAMED_ONLY]
    found["unnamed"] = [data for entries in known for data in entries]
    return dict(found)


_OCCUPANCIES = "augmentation occupancies   1   3\n  0.1E+00 0.2E+00 0.3E+00\n  0.1000E+00\n"


MOLDEN = b"""[Molden Format]
[Title]
 hydrogen
[Atoms] AU
H 1 1 0.0 0.0 0.0
H 2 1 0.0 0.0 1.4
[GTO]
1 0
 s 3 1.0
  3.425250914 0.1543289673
  0.6239137298 0.5353281423
  0.1688554040 0.4446345422

2 0
 s 3 1.0
  3.425250914 0.1543289673
  0.6239137298 0.5353281423
  0.1688554040 0.4446345422

[MO]
 Sym= a
 Ene= -0.5
 Spin= Alpha
 Occup= 2.0
 1 0.5489
 2 0.5489
 Sym= b
 Ene= 0.6
 Spin= Alpha
 Occup= 0.0
 1 1.2115
 2 -1.2115
"""


def _saved_array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _chgcar_json(density: Density) -> bytes:
    """Return JSON of pymatgen's Chgcar; the values of the first are long enough to be taken out."""
    spins = density.spin if density.spin is not None else []
    arrays = dict(
        zip(("total", "diff_x", "diff_y", "diff_z"), (density.values, *spins), strict=False)
    )
    sites = [
        {"species": [{"element": symbol, "occu": 1}], "abc": place.tolist(), "label": symbol}
        for symbol, place in zip(
            density.atoms.symbols, density.atoms.get_scaled_positions(), strict=True
        )
    ]
    structure = {"lattice": {"matrix": density.grid.cell.tolist()}, "sites": sites}
    return json.dumps({
        "@module": "pymatgen.io.vasp.outputs", "@class": "Chgcar",
        "poscar": {"structure": structure, "comment": "fuzz"},
        "data": {key: {"@class": "array", "data": array.tolist()} for key, array in arrays.items()},
        "data_aug": {"total": {"1": {"data": [0.1, 0.2, 0.3]}}},
    }).encode()  # fmt: skip


def _netcdf_file(values: np.ndarray) -> bytes:
    """Return a grid of SIESTA, of the classic kind."""
    file = io.BytesIO()
    content = netcdf_file(file, "w")
    for name, size in zip(("xyz", "spin", "n1", "n2", "n3"), (3, 1, *values.shape), strict=True):
        content.createDimension(name, size)
    content.createVariable("cell", "f8", ("xyz", "xyz"))[:] = np.diag([8.0, 8.0, 9.0])
    content.createVariable("gridfunc", "f4", ("spin", "n3", "n2", "n1"))[:] = values.T[None]
    content.flush()
    return file.getvalue()


def _netcdf4_file(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["cell"] = np.diag([8.0, 8.0, 9.0])
        content["gridfunc"] = values.T[None]
    return file.getvalue()


def _description(atoms: Atoms) -> bytes:
    """Return the description that stands beside a bare array."""
    described = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": np.asarray(atoms.cell).tolist(),
        "pbc": [True] * 3,
    }
    others = {"ibrav": 0, "ecutwfc": 40.0, "number_of_electrons_exact": 8.0}
    return json.dumps({"atoms": described, **others}, indent=1).encode()


def _points_file(rng: np.random.Generator) -> bytes:
    """Return values at scattered points, as EAC-Net has them."""
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        group = content.create_group("chgcar_random")
        group["atom_type"] = np.array([[8, 1, 1]])
        group["atom_pos"] = rng.random((1, 3, 3)) * 3
        group["cell"] = np.diag([3.0, 4.0, 5.0])[None]
        group["probe_pos"] = rng.random((1, 50, 3)) * 3
        group["chg"] = rng.random((1, 50))
    return file.getvalue()


def _vasp_file(density: Density) -> bytes:
    """Return a density and its structure in VASP's HDF5 layout."""
    blocks = [density.values]
    if density.spin is not None:
        blocks += list(density.spin)
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        group = content.create_group("structure/positions")
        group["scale"] = 1.0
        group["lattice_vectors"] = np.asarray(density.atoms.cell)
        group["position_ions"] = density.atoms.get_scaled_positions()
        group["direct_coordinates"] = 1
        group["ion_types"] = np.array([b"H ", b"O ", b"H "])
        group["number_ion_types"] = [1, 1, 1]
        content["charge/charge"] = np.stack(blocks).transpose(0, 3, 2, 1) * density.grid.volume
    return file.getvalue()


def _archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def _rewritten(folder: str, name: str, density: Density) -> bytes:
    write(Path(folder, name), density)
    return Path(folder, name).read_bytes()


def plot_file(values: np.ndarray) -> bytes:
    """Return a plot file as pp.x writes it."""
    nx, ny, nz = values.shape
    lines = ["water", f"{nx:8d}{ny:8d}{nz:8d}" * 2 + f"{3:8d}{2:8d}"]
    lines.append(f"{0:6d}" + "".join(f"{x:12.8f}" for x in (7.5, 0, 0, 0, 0, 0)))
    lines += ["  1.0 0.0 0.0", "  0.2 1.0 0.0", "  0.0 0.0 1.3"]
    lines.append(f"{100:20.10f}{4:20.10f}{25:20.10f}{0:6d}")
    lines += ["   1   H     1.00", "   2   O     6.00"]
    lines += [
        f"{i + 1:4d}   {0.1 * i:15.9f}{0.2:15.9f}{0.3:15.9f}   {k:2d}"
        for i, k in enumerate((1, 2, 1))
    ]
    numbers = [f"{value:17.9E}" for value in values.ravel(order="F")]
    lines += ["".join(numbers[i : i + 5]) for i in range(0, len(numbers), 5)]
    return ("\n".join(lines) + "\n").encode()


def siesta_file(values: np.ndarray, order: str = "<", kind: str = "f4") -> bytes:
    """Return a SIESTA grid of one component."""
    cell = np.diag([7.0, 8.0, 9.0]).astype(order + "f8").tobytes()
    records = [cell, struct.pack(order + "4i", *values.shape, 1)]
    for plane in values.transpose(2, 1, 0):
        records += [row.astype(order + kind).tobytes() for row in plane]
    marks = [struct.pack(order + "i", len(record)) for record in records]
    return b"".join(mark + record + mark for mark, record in zip(marks, records, strict=True))
