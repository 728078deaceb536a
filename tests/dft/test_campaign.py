"""Campaigns: resumed after kills, failures listed, nothing done twice."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

import deepdft
from deepdft.dft import create_calculation, read_inputs, read_manifest, run_campaign
from deepdft.errors import ConfigurationError
from deepdft.structures import Structure
from tests.dft.fake import FakeCalculation, FakeSettings

ROOT = Path(__file__).parents[2]


def boxed(name: str = "H2O", job: str = "", shift: float = 0.0) -> Atoms:
    atoms = molecule(name)
    atoms.set_initial_magnetic_moments(None)
    atoms.cell, atoms.pbc = np.eye(3) * 4.0, True
    atoms.positions += shift
    atoms.info["job"] = job
    return atoms


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.txt"
    path.touch()
    return path


@pytest.fixture
def fake(journal: Path) -> FakeCalculation:
    return FakeCalculation(FakeSettings(journal=str(journal)))


def begun(journal: Path) -> list[str]:
    lines = journal.read_text().splitlines()
    return sorted(line.split()[1] for line in lines if line.startswith("begin"))


def test_a_store_holds_densities_and_a_manifest(fake, tmp_path, journal):
    spinful = boxed("O2", shift=0.5)
    spinful.set_initial_magnetic_moments([1.0, 2.0])
    spinful.info["packing"] = np.int64(3)
    spinful.info["array"] = np.arange(2)
    spinful.info["object"] = object()
    structures = [Structure("a", boxed()), Structure("b", spinful)]
    store = tmp_path / "store"
    run_campaign(structures, fake, store, jobs=2)

    manifest = json.loads((store / "manifest.json").read_text())
    assert manifest["program"] == "fake"
    assert manifest["settings"] == {"journal": str(journal), "width": 0.6, "orbitals": False}
    assert manifest["versions"] == [{"fake": "1.0"}]
    assert manifest["level"]["basis"] == "gth-dzvp"
    a, b = manifest["structures"]
    assert (a["name"], a["status"], a["energy"], a["iterations"]) == ("a", "done", -10.0, 7)
    assert a["details"] == {"gap": 2.5}
    assert (a["initial_moments"], a["total_moment"]) == (None, None)
    assert b["info"] == {"job": "", "packing": 3, "array": [0, 1]}
    assert b["initial_moments"] == [1.0, 2.0]
    assert b["moments"] == [0.5, 1.0]
    assert b["total_moment"] == 1.5

    dataset = deepdft.open_dataset(store)
    assert dataset.names == ["a.npz", "b.npz"]
    density = deepdft.read(store / "b.npz")
    assert density.level == fake.level
    assert density.values.dtype == np.float32
    np.testing.assert_allclose(density.spin, 0.5 * density.values, rtol=1e-6)
    np.testing.assert_array_equal(density.atoms.get_initial_magnetic_moments(), [1.0, 2.0])
    np.testing.assert_allclose(density.atoms.positions, spinful.positions)
    np.testing.assert_array_equal(density.atoms.cell, spinful.cell)
    assert density.atoms.pbc.all()
    assert not deepdft.read(store / "a.npz").atoms.has("initial_magmoms")
    # The lock file stays: to remove it could let two campaigns in at once.
    left = {path.name for path in store.iterdir()}
    assert left == {".lock", "a.npz", "b.npz", "manifest.json"}
    threads = [line.split()[2] for line in journal.read_text().splitlines() if "begin" in line]
    assert threads == ["1", "1"]


def test_orbitals_become_archives_numbered_by_the_structures(tmp_path, journal):
    fake = FakeCalculation(FakeSettings(journal=str(journal), orbitals=True))
    numbered = boxed()
    numbered.info["index"] = 21
    structures = [Structure("first", numbered), Structure("second", boxed())]
    run_campaign(structures, fake, tmp_path / "store")
    dataset = deepdft.open_dataset(tmp_path / "store")
    assert dataset.names == ["first", "second"]
    assert [dataset.atoms(i).info["index"] for i in range(2)] == [21, 22]
    assert dataset.atoms(0).info["energy"] == pytest.approx(-5.5)
    repeated = boxed()
    repeated.info["index"] = 22
    with pytest.raises(ConfigurationError, match="second and third have the same index 22"):
        run_campaign([Structure("third", repeated)], fake, tmp_path / "store")


def test_failures_are_recorded_and_only_retried_on_request(fake, tmp_path, journal):
    structures = [Structure(job or "fine", boxed(job=job)) for job in ("fail", "die", "raise", "")]
    store = tmp_path / "store"
    records = run_campaign(structures, fake, store).structures
    assert [record.status for record in records.values()] == ["failed"] * 3 + ["done"]
    assert records["fail"].error == "It does not converge."
    assert records["raise"].error == "RuntimeError: something else"
    assert records["die"].error == "The worker process was ended by SIGSEGV."
    # The files of a failed calculation stay; what a finished one has left does not.
    assert "printed by the program" in (store / records["fail"].log / "printed.log").read_text()
    assert (store / records["die"].log / "stray.txt").exists()
    assert not (store / "scratch" / "fine").exists()
    assert list(store.glob("*.npz")) == [store / "fine.npz"]

    run_campaign(structures, fake, store)
    assert begun(journal) == ["die", "fail", "fine", "raise"]
    run_campaign(structures, fake, store, retry_failed=True)
    assert begun(journal) == ["die", "die", "fail", "fail", "fine", "raise", "raise"]


def test_given_again_it_goes_on(fake, tmp_path, journal):
    structures = [Structure(name, boxed()) for name in "abcde"]
    store = tmp_path / "store"
    manifest = run_campaign(structures, fake, store, limit=2)
    assert (manifest.count("done"), manifest.count("pending")) == (2, 3)
    run_campaign(structures, fake, store)
    assert begun(journal) == list("abcde")
    assert run_campaign(structures, fake, store).count("done") == 5
    assert begun(journal) == list("abcde")
    (store / "c.npz").unlink()
    run_campaign(structures, fake, store)
    assert begun(journal) == list("abccde")


def _campaign_process(store: Path, journal: Path, wait_for: Path, kind: str) -> subprocess.Popen:
    # Shells start background jobs with interrupts ignored, and these hand that on.
    program = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from deepdft.dft import run_campaign
from deepdft.structures import Structure
from tests.dft.fake import FakeCalculation, FakeSettings
from tests.dft.test_campaign import boxed
structures = [Structure(n, boxed(job="{kind}:{wait_for}" if n in "cd" else "")) for n in "abcde"]
run_campaign(structures, FakeCalculation(FakeSettings(journal={str(journal)!r})),
             {str(store)!r}, jobs=2)
"""
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment)


def _wait_until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)


def _running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_loses_nothing_and_leaves_nobody_behind(sent, fake, tmp_path, journal):
    store, gate = tmp_path / "store", tmp_path / "gate"
    process = _campaign_process(store, journal, gate, "child")
    _wait_until(lambda: {"c", "d"} <= set(begun(journal)))
    _wait_until(lambda: journal.read_text().count("child") == 2)
    children = [
        int(line.split()[1]) for line in journal.read_text().splitlines() if "child" in line
    ]
    os.kill(process.pid, sent)
    process.wait(timeout=30)
    _wait_until(lambda: not any(_running(child) for child in children))

    if sent == signal.SIGINT:
        manifest = read_manifest(store)
        assert [r.name for r in manifest.structures.values() if r.status == "done"] == ["a", "b"]
        assert not (store / "scratch").exists()
    gate.touch()
    structures = [Structure(n, boxed(job=f"child:{gate}" if n in "cd" else "")) for n in "abcde"]
    manifest = run_campaign(structures, fake, store, jobs=2)
    assert manifest.count("done") == 5
    # What was under way is calculated again, what was done is not.
    assert begun(journal) == list("abccdde")
    assert len(deepdft.open_dataset(store)) == 5
    for child in children:
        assert not _running(child)


def test_two_campaigns_do_not_share_a_store(fake, tmp_path, journal):
    store, gate = tmp_path / "store", tmp_path / "gate"
    process = _campaign_process(store, journal, gate, "wait")
    try:
        _wait_until(lambda: {"c", "d"} <= set(begun(journal)))
        with pytest.raises(ConfigurationError, match="Another campaign is working"):
            run_campaign([Structure("a", boxed())], fake, store)
    finally:
        gate.touch()
        assert process.wait(timeout=60) == 0
    assert begun(journal) == list("abcde")


def test_another_calculation_is_refused(fake, tmp_path, journal):
    store = tmp_path / "store"
    run_campaign([Structure("a", boxed())], fake, store)
    other = FakeCalculation(FakeSettings(journal=str(journal), width=0.7))
    with pytest.raises(ConfigurationError, match=r"other settings, width=0\.6 \(now 0\.7\)"):
        run_campaign([Structure("a", boxed())], other, store)
    with pytest.raises(ConfigurationError, match="another structure called a"):
        run_campaign([Structure("a", boxed(shift=0.1))], fake, store)
    with pytest.raises(ConfigurationError, match="given twice"):
        run_campaign([Structure("b", boxed())] * 2, fake, store)
    with pytest.raises(ConfigurationError, match="not a store of reference calculations"):
        run_campaign([Structure("a", boxed())], fake, tmp_path)
    (store / "manifest.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="damaged"):
        run_campaign([Structure("a", boxed())], fake, store)


class Local(FakeCalculation):
    """A calculation that only this process can make."""

    def __reduce__(self):
        return (importlib.import_module, ("not_in_workers",))


def test_a_calculation_that_workers_cannot_load_is_an_error(tmp_path, journal):
    local = Local(FakeSettings(journal=str(journal)))
    with pytest.raises(ConfigurationError, match="cannot be loaded in a worker"):
        run_campaign([Structure("a", boxed())], local, tmp_path / "store")


def test_inputs_get_names_of_their_own(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        ase.io.write(tmp_path / folder / "POSCAR", boxed(), format="vasp")
    ase.io.write(tmp_path / "one" / "frames.xyz", [molecule("H2O")] * 11)
    (tmp_path / "one" / "README.md").write_text("about")
    structures = read_inputs([tmp_path / "one", tmp_path / "two" / "POSCAR"])
    names = [structure.name for structure in structures]
    assert names[0] == "one_POSCAR"
    assert names[-1] == "two_POSCAR"
    assert names[1:3] == ["one_frames_00", "one_frames_01"]
    assert len(set(names)) == 13
    named = [boxed(), boxed(shift=0.1)]
    named[0].info = {"name": "water 1", "index": 5}
    ase.io.write(tmp_path / "named.extxyz", named)
    names = [structure.name for structure in read_inputs([tmp_path / "named.extxyz"])]
    assert names == ["water_1", "named_1"]
    with pytest.raises(ConfigurationError, match="more than once"):
        read_inputs([tmp_path / "one", tmp_path / "one" / "POSCAR"])
    with pytest.raises(ConfigurationError, match="no structure file or folder"):
        read_inputs([tmp_path / "three"])


def test_settings_from_text():
    assert create_calculation("cp2k", ["convergence=1e-7"]).settings.convergence == 1e-7
    with pytest.raises(ConfigurationError, match="Did you mean 'cutoff'"):
        create_calculation("cp2k", ["cutof=300"])
    with pytest.raises(ConfigurationError, match="Setting 'cutoff' of cp2k"):
        create_calculation("cp2k", ["cutoff=-1"])
    with pytest.raises(ConfigurationError, match="Did you mean 'cp2k'"):
        create_calculation("cp2")


def test_a_setting_that_there_was_not_yet_has_its_default(fake, tmp_path, journal):
    store = tmp_path / "store"
    run_campaign([Structure("a", boxed())], fake, store)
    manifest = json.loads((store / "manifest.json").read_text())
    del manifest["settings"]["width"]
    (store / "manifest.json").write_text(json.dumps(manifest))
    run_campaign([Structure("a", boxed()), Structure("b", boxed())], fake, store)
    assert begun(journal) == ["a", "b"]
    other = FakeCalculation(FakeSettings(journal=str(journal), width=0.7))
    with pytest.raises(ConfigurationError, match=r"other settings, width=0\.6 \(now 0\.7\)"):
        run_campaign([Structure("a", boxed())], other, store)
