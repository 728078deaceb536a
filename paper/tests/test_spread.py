"""Equation (8): against a plain sum in float64, and measured with PySCF."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from safetensors.torch import load_file, save_file
from tests.small_data import orbital_density

import deepdft
from deepdft.density import Grid
from deepdft.dft.functionals import EIGHT
from deepdft.dft.pyscf import PySCFSettings
from deepdft.errors import ConfigurationError
from deepdft.fields.orbitals import OrbitalDensity
from deepdft.structures import Structure
from deepdft_paper.spread.functional_spread import functional_spread, prediction_error
from deepdft_paper.spread.measure_spread import measure_spread
from deepdft_paper.spread.spread_table import SpreadTable


class Constant:
    """Predicts the same density everywhere."""

    def box(self, grid, start, stop):
        return np.full([b - a for a, b in zip(start, stop, strict=True)], 0.01)


def test_spread_is_equation_8():
    names = [functional.name for functional in EIGHT]
    densities = {}
    for seed, name in enumerate(names):
        made = orbital_density("H2O", 7)
        noise = np.random.default_rng(seed).normal(size=made.coefficients.shape)
        coefficients = made.coefficients + 0.05 * noise
        densities[name] = OrbitalDensity(made.atoms, "gth-dzvp", coefficients, 2.0, made.level)
    seven = [name for name in names if name != "PZ"]
    found = functional_spread(
        densities, "PBE", {"eight": names, "seven": seven},
        predictions={"constant": Constant()}, spacing=0.3, margin=2.0,
    )  # fmt: skip

    points = Grid.around(densities["PBE"].atoms, 0.3, 2.0).points().reshape(-1, 3)
    values = np.array([densities[name].at(points) for name in names])
    norm = values[names.index("PBE")].sum()
    for column, chosen in (("eight", names), ("seven", seven)):
        of_set = values[[names.index(name) for name in chosen]]
        ordered = np.sort(of_set, axis=0)
        half = len(chosen) // 2
        median = ordered[half] if len(chosen) % 2 else (ordered[half - 1] + ordered[half]) / 2
        expected = np.abs(of_set - median).sum() / len(chosen) / norm
        assert found.eps_mad[column] == pytest.approx(expected, rel=1e-4)
        if column == "eight":
            own = np.abs(values - median).sum(axis=1) / norm
            assert list(found.deviations.values()) == pytest.approx(own, rel=1e-4)
    error = np.abs(values[names.index("PBE")] - 0.01).sum() / norm
    assert found.eps_mae["constant"] == pytest.approx(error, rel=1e-4)
    alone = prediction_error(densities["PBE"], {"constant": Constant()}, spacing=0.3, margin=2.0)
    assert alone["constant"] == pytest.approx(error, rel=1e-4)
    assert found.points == len(points)

    other = orbital_density("NH3", 1)
    with pytest.raises(ConfigurationError, match="one molecule"):
        functional_spread({"a": densities["PBE"], "b": other}, "a", {"": ["a", "b"]})


def hydrogen(length: float = 0.74) -> Atoms:
    return Atoms("H2", [[0, 0, 0], [0, 0, length]])


def test_a_measurement_goes_on_where_it_was(tmp_path):
    pytest.importorskip("pyscf")
    folder = tmp_path / "spread"
    molecules = [Structure("short", hydrogen()), Structure("long", hydrogen(0.9))]
    radical = molecule("CH3")
    radical.set_initial_magnetic_moments(None)
    coarse = {"spacing": 0.25, "margin": 3.0}
    measure_spread(molecules, folder, limit=1, **coarse)
    table = measure_spread([*molecules, Structure("radical", radical)], folder, **coarse)
    assert list(table.rows) == ["short", "long"]
    assert "odd number" in table.failed["radical"]
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == [
        "densities", "scratch", "spread.csv", "spread.json",
    ]  # fmt: skip
    assert [path.name for path in (folder / "scratch").iterdir()] == ["radical"]
    row = table.rows["long"]
    assert 0.001 < row["eps_mad"] < 0.05
    assert row["eps_mad"] == pytest.approx(
        np.mean([row[f"deviation {functional.name}"] for functional in EIGHT])
    )
    # The two fits of one electron gas are far closer to each other than to the others.
    assert row["deviation CA"] == pytest.approx(row["deviation PZ"], rel=0.1)
    assert row["electrons"] == pytest.approx(2, abs=0.02)

    # The table alone is enough to go on; what it has is not calculated again.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("spread.csv", "spread.json"):
        shutil.copy(folder / name, copy)
    again = measure_spread(molecules, copy, **coarse)
    assert not (copy / "densities").exists()
    for column, values in table.summary().items():
        assert again.summary()[column] == pytest.approx(values, rel=1e-4)
    assert json.loads((copy / "spread.json").read_text())["summary"]["eps_mad"]["count"] == 2
    with pytest.raises(ConfigurationError, match=r"measured with spacing=0\.25, not 0\.3"):
        measure_spread(molecules, copy, spacing=0.3, margin=3.0)
    with pytest.raises(ConfigurationError, match="convergence=1e-05"):
        measure_spread(molecules, copy, settings=PySCFSettings(convergence=1e-6), **coarse)
    assert deepdft.open_dataset(folder / "densities" / "RPBE").level.functional == "RPBE"
    (copy / "spread.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="damaged"):
        SpreadTable.read(Path(copy))


def test_the_spread_stands_beside_a_model_s_error(run, small_model, tmp_path):
    pytest.importorskip("pyscf")
    ase.io.write(tmp_path / "h2.xyz", Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))
    options = ("--spacing", 0.3, "--margin", 3)
    result = run("spread", "h2.xyz", "-o", "out", *options)
    assert result.code == 0, result.error
    # A model that comes later is measured on the densities that are there.
    kept = (tmp_path / "out" / "densities" / "PBE" / "h2.npz").stat()
    result = run("spread", "h2.xyz", "-o", "out", *options, "--model", small_model)
    assert result.code == 0, result.error
    assert (tmp_path / "out" / "densities" / "PBE" / "h2.npz").stat() == kept
    (row,) = csv.DictReader((tmp_path / "out" / "spread.csv").open())
    run("evaluate", small_model, "out/densities/PBE", *options, "-o", "evaluation")
    (known,) = csv.DictReader((tmp_path / "evaluation" / "structures.csv").open())
    assert float(row[f"eps_mae {small_model}"]) == pytest.approx(float(known["eps_mae"]), rel=1e-4)
    below = float(row[f"eps_mae {small_model}"]) < float(row["eps_mad"])
    assert f"is below eps_mad (K = 8) for {int(below)} of 1 molecules" in result.output
    # Another model by the same name is measured anew.
    shutil.copytree(small_model, "model")
    run("spread", "h2.xyz", "-o", "out", *options, "--model", "model")
    weights = load_file("model/model.safetensors")
    save_file({name: 1.5 * values for name, values in weights.items()}, "model/model.safetensors")
    result = run("spread", "h2.xyz", "-o", "out", *options, "--model", "model")
    (other,) = csv.DictReader((tmp_path / "out" / "spread.csv").open())
    assert other[f"eps_mae {small_model}"] == row[f"eps_mae {small_model}"]
    assert other["eps_mae model"] != row[f"eps_mae {small_model}"]
    assert run("spread", "-o", "out").output.strip() == result.output.strip()
    assert run("spread", "-o", "nothing").code == 2
    assert run("spread", "h2.xyz", "-o", "out", "functional=PBE").code == 2
