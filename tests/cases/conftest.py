"""The command as a user runs it, and a small model, as in the tests of the commands."""

from tests.commands import run, small_model

__all__ = ["run", "small_model"]
