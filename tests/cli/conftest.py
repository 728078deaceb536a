"""Tests of commands run them as a user does."""

from tests.commands import run, small_model

__all__ = ["run", "small_model"]
