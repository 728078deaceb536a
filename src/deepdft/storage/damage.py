"""What libraries say about damaged files, made fit for one sentence."""

from __future__ import annotations

_LONGEST = 120


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message, printable and short."""
    text = str(error).strip().split("\n")[0] or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
