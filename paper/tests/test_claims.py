"""Environments from geometry, the table's error bars, and the tests of what is said of outliers."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from ase.build import molecule
from scipy.stats import sem

from deepdft_paper.reproduce.claims import outliers_of, rarity, tail
from deepdft_paper.reproduce.drawing import flattened, structures_picture
from deepdft_paper.reproduce.environments import bonds, count_environments, environments, rarest
from deepdft_paper.reproduce.histograms import Panel, histogram_picture
from deepdft_paper.reproduce.measure import Measured
from deepdft_paper.reproduce.systems import composition
from deepdft_paper.reproduce.table import statistics

PNG = b"\x89PNG\r\n"


def measured(error: float, name: str = "a") -> Measured:
    return Measured(name, "CH4", 5, name, 10, 8.0, 8.0, error / 100, 0.15)


def test_environments_are_those_of_chemistry():
    found = environments(molecule("CH3CH2OH"))
    assert sorted(found) == sorted(
        ["C(C,H,H,H)", "C(C,H,H,O)", "O(C,H)", *5 * ["H(C)"], "H(O)"]
    )  # fmt: skip
    assert sorted(set(environments(molecule("HCN")))) == ["C(H,N)", "H(C)", "N(C)"]
    assert len(bonds(molecule("C6H6"))) == 12


def test_environments_are_counted_once_a_structure():
    structures = [molecule("CH4"), molecule("C2H6"), molecule("H2O")]
    counts = count_environments(structures)
    assert counts == {"H(C)": 2, "C(C,H,H,H)": 1, "C(H,H,H,H)": 1, "H(O)": 1, "O(H,H)": 1}
    assert next(iter(counts)) == "H(C)"
    assert rarest(molecule("CH3OH"), counts) == ("C(H,H,H,O)", 0)
    assert rarest(molecule("CH4"), counts) == ("C(H,H,H,H)", 1)


def test_error_bars_are_over_independent_groups():
    errors = np.array([1.0, 2.0, 4.0, 3.0])
    alone = statistics(errors, list("abcd"))
    assert (alone.mean, alone.mean_error) == pytest.approx((2.5, sem(errors)))
    pairs = statistics(errors, list("aabb"))
    assert pairs.mean_error == pytest.approx(sem([1.5, 3.5]))
    # The maximum of drawn groups is 4 unless only the first is drawn.
    assert pairs.max_error == pytest.approx(2.0 * math.sqrt(0.25 * 0.75), rel=0.05)
    assert statistics(errors, list("aaaa")).mean_error is None


def test_error_bars_of_unequal_groups_are_those_of_simulation():
    generator = np.random.default_rng(0)
    groups = [str(g) for g in range(40) for _ in range(1 + g % 3)]
    numbers = np.array([int(g) for g in groups])
    means, bars = [], []
    for _ in range(300):
        errors = generator.standard_normal(40)[numbers] + 5
        found = statistics(errors, groups)
        means.append(found.mean)
        bars.append(found.mean_error)
    assert np.mean(bars) == pytest.approx(np.std(means), rel=0.12)


def test_outliers_are_the_largest_errors_with_their_rarest_groups():
    atoms = [molecule("CH4")] * 38 + [molecule("HCN"), molecule("CO")]
    found = [measured(0.2 + 0.001 * i, str(i)) for i in range(38)]
    found += [measured(1.0, "cyanide"), measured(3.0, "monoxide")]
    counts = {"H(C)": 90, "C(H,H,H,H)": 80, "C(H,N)": 2, "N(C)": 5, "C(O)": 1, "O(C)": 7}
    outliers = outliers_of(found, atoms, counts)
    assert [(o.measured.name, o.rarest, o.count) for o in outliers] == [
        ("monoxide", "C(O)", 1),
        ("cyanide", "C(H,N)", 2),
    ]
    assert outliers[0].better == pytest.approx(5.0)
    result = rarity(found, atoms, counts)
    assert (result.outliers, result.others) == (1.5, 80)
    assert result.p_value < 0.01
    assert result.correlation < 0
    common = dict.fromkeys(counts, 80)
    assert rarity(found, atoms, common) is None


def test_groups_as_rare_as_others_are_not_taken_for_a_cause():
    generator = np.random.default_rng(5)
    kinds = [molecule(name) for name in ("CH4", "HCN", "CO", "H2O")]
    atoms = [kinds[i % 4] for i in range(80)]
    found = [measured(float(e), str(i)) for i, e in enumerate(generator.random(80) + 0.1)]
    counts = count_environments(kinds) | {"H(C)": 50, "C(H,H,H,H)": 40, "C(H,N)": 4}
    assert not rarity(found, atoms, counts).holds


def test_tails():
    errors = [1.0, 1.1, 1.2, 1.3, 1.4]
    assert tail([measured(e, str(e)) for e in errors]).beyond == []
    found = tail([measured(e, str(e)) for e in [*errors, 9.0]])
    assert found.beyond == ["9.0"]
    assert found.max_over_median == pytest.approx(9.0 / 1.25)


def test_a_molecule_is_drawn_flat_and_whole():
    atoms = molecule("C6H6")
    atoms.rotate(37, (1, 2, 3))
    flat = flattened(atoms)
    assert np.abs(flat[:, 2]).max() < 1e-6
    for i, j in product(range(12), repeat=2):
        assert np.linalg.norm(flat[i] - flat[j]) == pytest.approx(atoms.get_distance(i, j))
    picture = structures_picture([(atoms, "benzene")] * 5)
    assert picture.startswith(PNG)


def test_histograms_are_drawn():
    values = np.linspace(0.1, 0.9, 9)
    panels = [Panel("a", values, 50 * values, values, [("C2", 0.9)]), Panel("b", values, values)]
    assert histogram_picture(panels).startswith(PNG)


def test_compositions_do_not_depend_on_the_cell():
    from ase import Atoms

    cell = Atoms("Ni2MnCoLi2O8", positions=np.zeros((14, 3)), cell=np.eye(3))
    assert composition(cell) == composition(cell * (2, 1, 1)) == "Ni2Mn1Co1_x1/2"
