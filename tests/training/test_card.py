"""What a card says of the data."""

from __future__ import annotations

import pytest

from deepdft.data import open_dataset
from deepdft.fields.orbitals import OrbitalDensity, write_orbital_archive
from deepdft.training.card import model_card
from deepdft.training.config import parse_config
from tests.small_data import PBE, orbital_density


@pytest.fixture
def ions(tmp_path):
    """Neutral molecules, and the same with two electrons taken away or added."""
    densities = []
    for index, (name, charge) in enumerate(
        [("H2O", 0), ("CO", 2), ("CH4", 0), ("CO", 0), ("H2O", -2)]
    ):
        density = orbital_density(name, index)
        density.atoms.info["charge"] = charge
        occupied = density.coefficients.shape[1] - charge // 2
        coefficients = density.coefficients[:, [0, *range(occupied - 1)]]
        densities.append(OrbitalDensity(density.atoms, "gth-dzvp", coefficients, 2.0, PBE))
    write_orbital_archive(tmp_path / "ions.npz", densities)
    return open_dataset(tmp_path / "ions.npz")


def test_a_card_tells_charges_and_electrons_of_neutral_atoms(ions):
    card = model_card(parse_config({}), ions, ions, None)
    assert card["charges"] == [-2, 0, 2]
    assert card["electrons"] == {"H": 1, "C": 4, "O": 6}
    neutral = ions.subset([0, 2, 3])
    assert model_card(parse_config({}), neutral, neutral, None)["charges"] == [0]
