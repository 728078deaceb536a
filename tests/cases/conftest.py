"""The command as a user runs it, and a small model, as in the tests of the commands."""

from tests.cli.conftest import run, small_model

__all__ = ["run", "small_model"]
