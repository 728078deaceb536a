"""What goes wrong, as a sentence and a status code."""

from __future__ import annotations

from pydantic import BaseModel, Field

from deepdft.errors import DeepDFTError, LevelOfTheoryError, MissingDependencyError


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
