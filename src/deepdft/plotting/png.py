"""A picture as a PNG file, without any library of pictures."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from deepdft.arrays import FloatArray


def png_of(picture: FloatArray) -> bytes:
    """Return a picture (height, width, 3), values from 0 to 1, as a PNG of 8 bits a colour."""
    height, width = picture.shape[:2]
    pixels = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    # Each line begins with the number of its filter, here none.
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )  # fmt: skip
