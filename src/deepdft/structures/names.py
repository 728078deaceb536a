"""Names of files for structures."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 100


def file_name(name: str) -> str:
    """Return a name for files; names that differ, as those of stereo-isomers do, stay different.

    Letters, digits and a few signs are kept. Where another one has to be replaced, or the name is
    too long, six digits of its hash are added.
    """
    plain = re.sub(r"[^\w=#()\[\]@+.-]", "_", name)[:_LONGEST].lstrip(".") or "structure"
    if plain == name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
