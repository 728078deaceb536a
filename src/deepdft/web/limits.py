"""What one visitor may ask of the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Plain limits; what exceeds one is refused with a sentence.

    Attributes:
        upload_bytes: size of a file that is sent, and of what a compressed one expands to.
        atoms: atoms of a structure.
        drawn_atoms: atoms other than hydrogen in SMILES or in a drawing, whose geometry is built.
        coarse_points: grid points of the first picture.
        points: grid points of a predicted density.
        file_points: grid points of a density from a file; more are averaged over blocks.
        running: jobs that compute at the same time.
        waiting: jobs that wait for their turn.
        seconds: time that a job may take, without its waiting.
        kept: finished jobs that are kept.
        kept_seconds: how long a finished job is kept that nobody looks at.
    """

    upload_bytes: int = 64 << 20
    atoms: int = 500
    drawn_atoms: int = 100
    coarse_points: int = 40_000
    points: int = 1_500_000
    file_points: int = 4_000_000
    running: int = 1
    waiting: int = 8
    seconds: float = 300.0
    kept: int = 24
    kept_seconds: float = 3600.0
