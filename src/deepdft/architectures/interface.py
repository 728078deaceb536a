"""What evaluates a network on a CPU, without torch.

An architecture's `cpu.py` makes a `CpuNetwork` from options, elements and weights. It encodes the
atoms of a structure and hands out a `ProbeNetwork`, which evaluates blocks of probes:

    network = create_cpu_network(name, options, elements, weights, settings)
    senders = network.encode(atoms, threads)
    probes = network.probes(senders)
    probes.density(points, image_atoms, image_positions, out)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import Array, FloatArray, IntegerArray

Allocator = Callable[[tuple[int, int, int], Any], Array]
"""Makes the array that encoded atoms are written to, from its shape and type."""


class ProbeNetwork(Protocol):
    """Evaluates probes around encoded atoms.

    A block is a list of probes near each other, with all image atoms within the cutoff of it. The
    value at a probe does not depend on the other probes of its block. Calls from several threads
    do not disturb each other.

    Attributes:
        isolated_density: density of a probe with no atom in reach, e/Å^3.
    """

    isolated_density: float

    def probes_per_block(self, order: int) -> int:
        """Return how many probes are best evaluated at once.

        Args:
            order: 0 for densities, 1 for gradients, 2 for Hessians.
        """
        ...

    def density(
        self,
        points: FloatArray,
        image_atoms: IntegerArray,
        image_positions: FloatArray,
        out: FloatArray,
    ) -> None:
        """Put in the density of those probes that have an atom in reach.

        Args:
            points: (n, 3) Å.
            image_atoms: (m,) atom that each image belongs to.
            image_positions: (m, 3) Å; they may lie beyond the cutoff.
            out: (n,) e/Å^3; other probes keep what is there.
        """
        ...

    def derivatives(
        self,
        points: FloatArray,
        image_atoms: IntegerArray,
        image_positions: FloatArray,
        density: FloatArray,
        gradient: FloatArray,
        hessian: FloatArray | None,
    ) -> None:
        """Put in density and derivatives of those probes that have an atom in reach.

        On a nucleus, where the density may have a cusp, the derivatives are those of its smooth
        part (see `deepdft.architectures.derivatives`).

        Args:
            points, image_atoms, image_positions: as of `density`.
            density: (n,) e/Å^3.
            gradient: (n, 3) e/Å^4.
            hessian: (n, 3, 3) e/Å^5, or None where it is not wanted.
        """
        ...


class CpuNetwork(Protocol):
    """A network with its weights, on a CPU.

    Attributes:
        elements: atomic numbers the network knows, ascending.
        cutoff: reach of an edge from an atom to a probe, Å.
        atom_cutoff: reach of an edge between atoms, Å.
        settings: how it is evaluated.
    """

    elements: tuple[int, ...]
    cutoff: float
    atom_cutoff: float
    settings: EvaluationSettings

    def encode(
        self, atoms: Atoms, threads: int | None = None, allocate: Allocator = np.empty
    ) -> Array:
        """Return what the atoms send to probes, (steps, atoms, channels).

        Structures of many atoms are encoded chunk by chunk, in bounded memory. The result does not
        depend on the number of threads.

        Args:
            atoms: the structure.
            threads: CPU threads; default: all that this process may use.
            allocate: makes the result, for example in a file that is mapped into memory.

        Raises:
            UnsupportedStructureError: if the network does not know an element, or the structure
                is unusable (see `deepdft.geometry.neighbours.atom_edges`).
        """
        ...

    def probes(self, senders: Array) -> ProbeNetwork:
        """Return what evaluates probes.

        Args:
            senders: what `encode` returned.
        """
        ...

    def atom_features(self, senders: Array) -> Array:
        """Return numbers that tell atoms in different surroundings apart, (atoms, features).

        They do not change when the structure turns.

        Args:
            senders: what `encode` returned, or some of its atoms.
        """
        ...
