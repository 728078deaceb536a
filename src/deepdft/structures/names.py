"""Names of files for structures."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 100
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that Windows keeps for devices; CON is also a SMILES."""


def file_name(name: str) -> str:
    """Return a name for files; names that differ, as those of stereo-isomers do, stay different.

    Letters, digits and a few signs are kept. Where another one has to be replaced, the name is
    too long, or Windows could not have it, six digits of its hash are added.
    """
    plain = re.sub(r"[^\w=#()\[\]@+.-]", "_", name)[:_LONGEST].lstrip(".") or "structure"
    if plain == name and not plain.endswith(".") and not _DEVICES.fullmatch(plain.split(".")[0]):
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
