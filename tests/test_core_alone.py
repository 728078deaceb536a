"""Prediction and the tools for density files without the packages of the extras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.io import write

from deepdft.formats import read
from deepdft.prediction import load_model, predict_to_file
from tests.without_torch import run_without_extras

_MODELS = Path(__file__).parent / "models" / "format_1"
_RELEASED = Path(__file__).parent / "architectures" / "released"


@pytest.fixture
def folder(tmp_path):
    atoms = molecule("H2O")
    atoms.rotate(20.0, (1, 2, 3))
    write(tmp_path / "water.xyz", atoms)
    return tmp_path


def succeeded(code, folder):
    result = run_without_extras(code, folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_predictions_and_tools(folder):
    shown = succeeded(
        """
assert deepdft("predict", "water.xyz", "--spacing", "0.4", "--uncertainty") == 0
assert deepdft("predict", "water.xyz", "--spacing", "0.4", "-o", "water.zarr",
               "--uncertainty") == 0
assert deepdft("convert", "water.cube", "CHGCAR") == 0
assert deepdft("convert", "water.zarr", "converted.cube") == 0
assert deepdft("inspect", "water.cube") == 0
assert deepdft("compare", "water.cube", "converted.cube") == 0
assert deepdft("models") == 0
assert deepdft("info", "ethylene-carbonate") == 0
assert deepdft("--help") == 0
""",
        folder,
    )
    for words in (
        "(expected 8)",
        "expected eps_mae",
        "eps_mae",
        "valence electrons",
        "equivariant",
    ):
        assert words in shown.lower(), shown
    # The same process of ours has torch.
    predicted = read(folder / "water.cube")
    again = folder / "again.cube"
    model = load_model("default", "cpu")
    predict_to_file(predicted.atoms, again, model, predicted.grid, uncertainty=True)
    # Cube files keep six digits.
    np.testing.assert_allclose(read(again).values, predicted.values, rtol=5.1e-6, atol=1e-6)
    found = read(folder / "water_uncertainty.cube").values
    expected = read(folder / "again_uncertainty.cube").values
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    stored = read(folder / "water.zarr").values
    np.testing.assert_allclose(stored, predicted.values, rtol=5.1e-6, atol=1e-6)


@pytest.mark.parametrize("architecture", ["deepdft", "equivariant"])
def test_models_of_the_users(folder, architecture):
    code = f"""
import ase.io, numpy
import deepdft as package
model = package.load_model({str(_MODELS / architecture)!r})
atoms = ase.io.read("water.xyz")
points = atoms.positions + numpy.array([[0.1, 0.2, 0.3]])
numpy.savez("found.npz", density=model.density_at(atoms, points),
            gradient=model.gradient_at(atoms, points), hessian=model.hessian_at(atoms, points),
            double=model.to(precision="float64").density_at(atoms, points))
"""
    succeeded(code, folder)
    found = np.load(folder / "found.npz")
    model = load_model(_MODELS / architecture, "cpu").to(precision="float64")
    atoms = ase.io.read(folder / "water.xyz")  # rounded, as the other process reads it
    points = atoms.positions + np.array([[0.1, 0.2, 0.3]])
    scale = np.abs(found["density"]).max()
    for name, exact in (
        ("density", model.density_at(atoms, points)),
        ("gradient", model.gradient_at(atoms, points)),
        ("hessian", model.hessian_at(atoms, points)),
    ):
        np.testing.assert_allclose(found[name], exact, rtol=1e-5, atol=1e-5 * scale, err_msg=name)
    np.testing.assert_allclose(found["double"], model.density_at(atoms, points), rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words", "extra"),
    [
        (("predict", "water.xyz", "--device", "cuda"), "The device 'cuda' needs torch", "train"),
        (
            ("predict", "water.xyz", "-m", _RELEASED / "schnet"),
            "checkpoint of the authors' released code, needs torch",
            "train",
        ),
        (("train", "run.yaml"), "'deepdft train' needs ", "train"),
        (
            ("predict", "water.xyz", "-o", "w.zarr", "--scheduler", "127.0.0.1:8786"),
            "needs distributed",
            "cluster",
        ),
    ],
)
def test_what_needs_an_extra_says_so_in_a_sentence(folder, arguments, words, extra):
    (folder / "run.yaml").write_text("data: {paths: [absent]}\n")
    result = run_without_extras(
        f"raise SystemExit(deepdft(*{tuple(map(str, arguments))!r}))", folder
    )
    assert result.returncode == 2, result.stderr
    assert words in result.stderr
    assert f"pip install 'deepdft-density[{extra}]'" in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize(
    ("options", "beside"), [([], {"scipy.spatial", "scipy.optimize"}), (["--uncertainty"], set())]
)
def test_nothing_heavy_is_imported_where_it_is_installed(folder, options, beside):
    code = """
import sys
from deepdft.cli import main
sys.argv = ["deepdft", "predict", "water.xyz", "--spacing", "0.5", *sys.argv[1:]]
try:
    main()
except SystemExit as left:
    assert not left.code
print(*sys.modules)
"""
    command = [sys.executable, "-c", code, *options]
    done = subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True)
    heavy = {"torch", "pytorch_lightning", "dask", "matplotlib", "zarr", *beside}
    assert not heavy & set(done.stdout.split())
    assert (folder / "water.cube").exists()
