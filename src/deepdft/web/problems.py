"""What goes wrong, as a sentence and a status code."""

from __future__ import annotations

from pydantic import BaseModel, Field

from deepdft.errors import DeepDFTError, LevelOfTheoryError, MissingDependencyError
from deepdft.failures import RefusedBySystemError, sentence_of


class Refusal(DeepDFTError):
    """Something that the server refuses.

    Args:
        sentence: what, why, and what to do.
        status: HTTP status code.
    """

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status


class Problem(BaseModel):
    """What every refused request is answered with."""

    error: str = Field(description="One sentence: what is wrong, and what to do.")


def status_of(error: DeepDFTError) -> int:
    """Return the HTTP status code that goes with an error."""
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, LevelOfTheoryError):
        return 409
    if isinstance(error, MissingDependencyError):
        return 501
    return 422


def refusal_of(error: BaseException) -> tuple[str, int] | None:
    """Return sentence and status code of what goes wrong; None for a defect of ours.

    Where the server's machine refuses something, visitors are told what and not where: its files
    are not theirs.
    """
    if isinstance(error, RefusedBySystemError):
        return f"The server's machine refuses this: {str(error).rpartition(': ')[2]}", 503
    if isinstance(error, DeepDFTError):
        return str(error), status_of(error)
    if isinstance(error, MemoryError):
        return "This needs more memory than there is.", 413
    plain = OSError(error.errno, "") if isinstance(error, OSError) else error
    sentence = sentence_of(plain)
    return None if sentence is None else (f"The server's machine refuses this: {sentence}", 503)
