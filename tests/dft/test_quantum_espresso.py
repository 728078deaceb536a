"""Quantum ESPRESSO: input, pseudopotentials, output, and small calculations where pw.x is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.dft.pseudopotentials import pseudopotentials_for
from deepdft.dft.quantum_espresso import QuantumEspressoCalculation, iterations, total_energy
from deepdft.dft.quantum_espresso_input import QuantumEspressoSettings, input_text, kpoints
from deepdft.errors import CalculationError, ConfigurationError, UnsupportedStructureError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "pseudodojo_pbe_sr_04"
needs_program = pytest.mark.skipif(
    shutil.which("pw.x") is None or not SHARED.exists(),
    reason="pw.x or its pseudopotentials are not here",
)


def upf(folder: Path, name: str, element: str, valence: float) -> None:
    """A pseudopotential's header."""
    (folder / name).write_text(
        f'<UPF version="2.0.1">\n<PP_HEADER element="{element}" pseudo_type="NC"\n'
        f'functional="PBE" z_valence="{valence:.5E}"/>\n</UPF>\n'
    )


@pytest.fixture
def potentials(tmp_path: Path) -> Path:
    folder = tmp_path / "potentials"
    folder.mkdir()
    upf(folder, "Fe-sp.upf", "Fe", 16)
    upf(folder, "O_pbe_v1.UPF", "O ", 6)
    return folder


def test_pseudopotentials_are_found_by_element(potentials: Path) -> None:
    found = pseudopotentials_for([Atoms("FeO")], potentials)
    assert {symbol: file.valence for symbol, file in found.items()} == {"Fe": 16, "O": 6}
    assert all(file.norm_conserving and file.functional == "PBE" for file in found.values())


def test_every_missing_element_is_named(potentials: Path) -> None:
    settings = QuantumEspressoSettings(pseudopotentials=str(potentials))
    crystals = [bulk("NaCl", "rocksalt", a=5.6), bulk("FeO", "rocksalt", a=4.3)]
    with pytest.raises(ConfigurationError, match="for Na, Cl"):
        QuantumEspressoCalculation(settings).check(crystals)
    upf(potentials, "Na.upf", "Cl", 7)
    with pytest.raises(ConfigurationError, match="of Cl, not of Na"):
        pseudopotentials_for([Atoms("Na")], potentials)
    upf(potentials, "O.upf", "O", 6)
    with pytest.raises(ConfigurationError, match="several pseudopotentials for O"):
        pseudopotentials_for([Atoms("O")], potentials)


def test_a_folder_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    with pytest.raises(ConfigurationError, match="pseudopotentials=FOLDER"):
        QuantumEspressoCalculation().check([bulk("Fe")])
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="no folder of pseudopotentials"):
        QuantumEspressoCalculation().check([bulk("Fe")])


def test_molecules_are_refused() -> None:
    with pytest.raises(UnsupportedStructureError, match="H2O is not periodic"):
        QuantumEspressoCalculation().check([molecule("H2O")])


def test_moments_make_species(potentials: Path) -> None:
    atoms = bulk("FeO", "rocksalt", a=4.3) * (2, 1, 1)
    atoms.set_initial_magnetic_moments([4.0, 0.0, -4.0, 0.0])
    text = input_text(
        atoms, QuantumEspressoSettings(), pseudopotentials_for([atoms], potentials), mixing=0.3
    )
    assert "nspin = 2" in text
    assert "ntyp = 3" in text
    shares = [float(x) for x in re.findall(r"starting_magnetization\(\d\) = (\S+)", text)]
    assert shares == pytest.approx([4 / 16, 0.0, -4 / 16])
    positions = text.partition("ATOMIC_POSITIONS angstrom\n")[2].splitlines()[:4]
    assert [line.split()[0] for line in positions] == ["Fe", "O", "Fe1", "O"]
    np.testing.assert_allclose(
        [[float(x) for x in line.split()[1:]] for line in positions], atoms.positions, atol=1e-11
    )
    # 2 x 16 + 2 x 6 electrons, 1e-8 Ry each.
    assert "conv_thr = 4.400e-07" in text


def test_no_moments_no_spin(potentials: Path) -> None:
    atoms = bulk("FeO", "rocksalt", a=4.3)
    files = pseudopotentials_for([atoms], potentials)
    assert "nspin" not in input_text(atoms, QuantumEspressoSettings(), files, mixing=0.3)
    forced = QuantumEspressoSettings(spin_polarised=True)
    assert "nspin = 2" in input_text(atoms, forced, files, mixing=0.3)


def test_kpoints_follow_the_reciprocal_cell() -> None:
    cubic = Atoms("Si", cell=[2.0, 4.0, 40.0], pbc=True)
    assert kpoints(cubic, QuantumEspressoSettings(kpoint_spacing=0.9)) == (4, 2, 1)
    assert kpoints(cubic, QuantumEspressoSettings(kpoints=(5, 3, 1))) == (5, 3, 1)


def test_outputs_are_understood() -> None:
    text = (
        "     convergence has been achieved in   7 iterations\n"
        "!    total energy              =     -15.85036291 Ry\n"
    )
    assert iterations(text) == 7
    assert total_energy(text) == pytest.approx(-15.85036291 * 13.605693122994)
    with pytest.raises(CalculationError, match="no total energy"):
        total_energy("")


@needs_program
def test_silicon_holds_its_electrons(tmp_path: Path) -> None:
    settings = QuantumEspressoSettings(
        pseudopotentials=str(SHARED), cutoff=20, kpoints=(2, 2, 2), convergence=1e-7
    )
    calculation = QuantumEspressoCalculation(settings)
    assert calculation.versions()["quantum-espresso"][0].isdigit()
    result = calculation.run(bulk("Si", a=5.43), tmp_path)
    assert result.density.n_electrons == pytest.approx(8, abs=1e-5)
    assert result.iterations > 1
    assert result.density.level == calculation.level
    # The three vectors of the primitive cell are equivalent, and may be exchanged.
    values = result.density.values
    np.testing.assert_allclose(values, values.transpose(1, 2, 0), atol=1e-5)
    np.testing.assert_allclose(values, values.transpose(1, 0, 2), atol=1e-5)


@needs_program
def test_not_converging_is_an_error(tmp_path: Path) -> None:
    settings = QuantumEspressoSettings(
        pseudopotentials=str(SHARED), cutoff=20, kpoints=(1, 1, 1), max_iterations=1,
        mixing=(0.5, 0.2),
    )  # fmt: skip
    with pytest.raises(CalculationError, match=r"any mixing of \(0.5, 0.2\)"):
        QuantumEspressoCalculation(settings).run(bulk("Si", a=5.43), tmp_path)
