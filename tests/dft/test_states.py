"""States of one structure from several initial moments: the lowest one is kept."""

from __future__ import annotations

from ase.build import bulk

from deepdft.dft.states import States, lowest_states, without_moments


def test_the_lowest_state_of_each_structure_is_found() -> None:
    up, down, other = bulk("Fe", a=2.85), bulk("Fe", a=2.85), bulk("Fe", a=2.90)
    up.set_initial_magnetic_moments([2.5])
    down.set_initial_magnetic_moments([-1.0])
    plain = bulk("Fe", a=2.85)
    found = lowest_states([(up, -8.0), (other, -7.0), (down, -8.5), (plain, -6.0)])
    assert found == [States(2, (0, 3)), States(1, ())]
    assert without_moments(up) == without_moments(plain) != without_moments(other)
    assert up.get_initial_magnetic_moments().tolist() == [2.5]
