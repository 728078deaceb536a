"""The compiled kernels in threads, in forked processes and in a package that cannot be written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import deepdft
from deepdft.architectures import create_model
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.structures import ethanol, points_near, triclinic

FORMAT_1 = Path(__file__).parents[1] / "models" / "format_1" / "equivariant"
PACKAGE = Path(deepdft.__file__).parent


def run_script(text, tmp_path, environment=None, **variables):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text), encoding="utf-8")
    environment = {**(os.environ if environment is None else environment), **variables}
    process = subprocess.Popen(
        [sys.executable, str(script)], env=environment, cwd=tmp_path, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        # Its workers too, which hang as well and would be left behind.
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.mark.parametrize("threads_of_each", [1, 2])
def test_two_threads_predicting_at_once(threads_of_each):
    torch.manual_seed(0)
    network = create_model("deepdft", {"steps": 2, "channels": 8}, [1, 6, 7, 8]).eval()
    jobs = [
        (atoms, points_near(atoms, 3000, seed=seed, spread=3.0))
        for seed, atoms in enumerate((ethanol(), triclinic()))
    ]

    def predict(job):
        atoms, points = job
        return ProbeEngine(network, None, atoms, threads_of_each).at(points)

    alone = [ProbeEngine(network, None, *job[:1], threads=1).at(job[1]) for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(8):
            for found, expected in zip(pool.map(predict, jobs), alone, strict=True):
                assert np.array_equal(found, expected)


def test_forked_workers(tmp_path):
    # The parent's OpenMP threads are started before the fork; a child that waited for them would
    # hang. The structure is so large that encoding it uses several threads where it may.
    result = run_script(
        """
        import multiprocessing
        import numpy as np
        import torch
        from ase import Atoms
        from deepdft.architectures import create_model
        from deepdft.prediction.engine import ProbeEngine

        torch.manual_seed(0)
        network = create_model("deepdft", {"steps": 2, "channels": 8}, [6]).eval()
        atoms = Atoms("C", cell=[2.0] * 3, pbc=True).repeat((20, 20, 20))
        points = np.random.default_rng(0).uniform(0, 20, (500, 3))

        def predict(threads):
            return ProbeEngine(network, None, atoms, threads).at(points)

        if __name__ == "__main__":
            assert torch.get_num_threads() == 2
            expected = predict(2)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                found = pool.map(predict, [1, 2], chunksize=1)
            assert torch.get_num_threads() == 2
            print(all(np.allclose(values, expected, rtol=0, atol=1e-6) for values in found))
        """,
        tmp_path,
        OMP_NUM_THREADS="2",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "True"


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_models_in_forked_children(tmp_path, precision):
    """A parent whose torch has used threads forks; its children load, predict and write."""
    result = run_script(
        f"""
        import multiprocessing
        import numpy as np
        import torch
        from ase.build import molecule
        from deepdft.density import Grid
        from deepdft.prediction import load_model, predict_to_file

        atoms = molecule("H2O")
        points = atoms.positions + 0.2

        def work(number):
            model = load_model({str(FORMAT_1)!r}, "cpu").to(precision={precision!r})
            path = f"child_{{number}}.cube"
            predict_to_file(atoms, path, model, Grid.around(atoms, 0.5, 1.0))
            return model.gradient_at(atoms, points)

        if __name__ == "__main__":
            large = torch.rand(4_000_000)
            assert torch.get_num_threads() == 2
            (large * large).sum()  # starts the parent's threads
            before = torch.random.get_rng_state()
            expected = work(0)
            assert torch.equal(torch.random.get_rng_state(), before)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                found = pool.map_async(work, [1, 2], chunksize=1).get(timeout=240)
            assert torch.get_num_threads() == 2
            print(all(np.allclose(one, expected, rtol=0, atol=1e-6) for one in found))
        """,
        tmp_path,
        OMP_NUM_THREADS="2",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "True"
    assert {path.name for path in tmp_path.glob("*.cube")} == {f"child_{n}.cube" for n in range(3)}


def test_a_package_that_cannot_be_written(tmp_path):
    site = tmp_path / "site"
    shutil.copytree(PACKAGE, site / "deepdft", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [folder for folder in (site / "deepdft").rglob("*") if folder.is_dir()]
    for folder in [site / "deepdft", *folders]:
        # Permissions do not stop root; a file where the folder should be stops everybody.
        (folder / "__pycache__").write_text("")
        folder.chmod(0o555)
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_", "PYTHON"))}
    result = run_script(
        """
        import numpy as np
        import torch
        from ase import Atoms
        import deepdft
        from deepdft.architectures import create_model
        from deepdft.prediction.engine import ProbeEngine

        network = create_model("deepdft", {"steps": 1, "channels": 2}, [1]).eval()
        found = ProbeEngine(network, None, Atoms("H"), 1).at(np.zeros((1, 3)))
        print(deepdft.__file__)
        print(bool(np.isfinite(found).all() and found[0] != 0))
        """,
        tmp_path,
        environment=kept,
        PYTHONPATH=str(site),
        PYTHONDONTWRITEBYTECODE="1",
        HOME=str(home),
    )
    for folder in [site / "deepdft", *folders]:
        folder.chmod(0o755)
    assert result.returncode == 0, result.stderr
    package, finite = result.stdout.splitlines()
    assert Path(package).parent == site / "deepdft"
    assert finite == "True"
    # Compiled once: the code is kept in the user's cache folder, by folder of the package.
    cached = {path.parent.name.partition("_")[0] for path in home.rglob("*.nb[ic]")}
    assert {"edges", "simd"} <= cached
    assert not list(site.rglob("*.nb[ic]"))
