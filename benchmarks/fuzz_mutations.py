"""Damage to files: cut, spliced, and peppered with what programs and disks have produced."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

TOKENS = (
    b"NaN", b"-nan", b"Infinity", b"*******", b"1e999", b"1E+400", b"-1", b"0", b"-0.0",
    b"1000000000000", b"99999999999999999999", b"4294967296", b"2147483648", b"-2147483648",
    b"1.2-101", b"-.76010E+01", b"1.5D+00", b"0x10", b"1_000", b"1,5", b"--1", b"1e", b"e5", b".",
    b"+", b"", b"\xce\xb1\xce\xb2", b"\xff\xfe", b"\x00", b"9" * 5000, b"." * 300, b"1" * 40,
    "１２".encode(), b"Direct", b"augmentation occupancies", b"Xx", b"H", b"\r", b"1e-400",
    b"null", b"true", b"[]", b"{}", b"[" * 3000, b"{\"a\":" * 500, b"*a", b"&a [*a]",
    b"!!python/none",    b"../../x", b"1e9", b"1e-9", b".inf", b"\"x\"",
)  # fmt: skip


def damaged(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a damaged version of a file; parts of others may come in."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = _damage(data, others, rng)
    return data


def _damage(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    kind = rng.randrange(11)
    place = rng.randrange(len(data) + 1)
    head = rng.randrange(min(len(data), 700) + 1)  # headers are where readers believe
    if kind == 0:
        return data[:place]
    if kind == 1:
        noise = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        return data[:place] + noise + data[place + 1 :]
    if kind == 2:
        lines = data.split(b"\n")
        index = rng.randrange(len(lines))
        lines[index : index + 1] = rng.choice(([], [lines[index]] * 2, [b""], [b"  "]))
        return b"\n".join(lines)
    if kind == 3:
        return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b" ", b"\n\n")))
    if kind == 4:
        other = rng.choice(others)
        return data[:place] + other[rng.randrange(len(other) + 1) :]
    if kind == 5 and len(data) > head + 8:
        number = rng.choice((0, -1, 1 << 31, 10**12, 255))
        return data[:head] + struct.pack("<q", number)[: rng.choice((4, 8))] + data[head + 8 :]
    return _replace_token(data, head if kind < 9 else place, rng)


_BETWEEN = b' \t\n\r,:[]{}="'
"""What stands between the words and numbers of text."""


def _replace_token(data: bytes, place: int, rng: random.Random) -> bytes:
    start = place
    while start < len(data) and data[start] in _BETWEEN:
        start += 1
    stop = start
    while stop < len(data) and data[stop] not in _BETWEEN:
        stop += 1
    return data[:start] + rng.choice(TOKENS) + data[stop:]
