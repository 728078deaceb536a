"""The commands by name, each loaded when it is asked for: the list costs no imports."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any, TypeAlias

import typer
from typer.core import TyperGroup

from deepdft.cli.examples import with_examples

Command: TypeAlias = Any
"""Of click, or of the copy of it that later versions of Typer bring."""

COMMANDS = {
    "predict": ("predict:predict", "Predict electron densities and write them to files."),
    "properties": (
        "properties:properties",
        "Charges, dipole, energy and more of structures, from predicted densities.",
    ),
    "train": ("train:train", "Train a model on DFT densities."),
    "evaluate": ("evaluate:evaluate", "Measure a model's eps_mae (eq. 7) on DFT densities."),
    "uncertainty": ("uncertainty:uncertainty", "Teach a trained model which errors to expect."),
    "select": ("select:select", "Choose the structures whose densities would teach a model most."),
    "convert": (
        "convert:convert",
        "Convert a density to another format, or many to a training store.",
    ),
    "inspect": ("inspect:inspect", "Say what a density file holds, and what it does not say."),
    "compare": ("compare:compare", "Measure how far one density is from another."),
    "combine": ("combine:combine", "Add and subtract densities on one grid."),
    "plot": ("plot:plot", "Draw a density: an isosurface with its atoms, a plane, or a line."),
    "demo": ("demo:demo", "Predict a molecule that no model has seen, and compare with DFT."),
    "models": ("models:models", "List the bundled models: what each is for, and how good it is."),
    "info": ("models:info", "Print a model's card."),
    "serve": ("serve:serve", "Open a page in the browser, to see the electrons of a structure."),
    "dft": ("dft:app", "Reference densities from DFT programs."),
    "reproduce": ("reproduce:app", "The paper's results on our own densities."),
    "import": (
        "models:import_model",
        "Turn a checkpoint of the authors' released code into a model folder.",
    ),
}
"""Where each command is (module of `deepdft.cli` and name in it), and what it does."""


class Commands(MutableMapping[str, Command]):
    """The commands of `COMMANDS`, and others that were added."""

    def __init__(self) -> None:
        self._loaded: dict[str, Command] = {}
        self._names = dict.fromkeys(COMMANDS)

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded and name in COMMANDS:
            self._loaded[name] = load_command(name, COMMANDS[name][0])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._loaded[name] = command
        self._names[name] = None

    def __delitem__(self, name: str) -> None:
        del self._names[name], self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def load_command(name: str, where: str) -> Command:
    """Return a command, given its module in `deepdft.cli` and its function or group there."""
    module, _, attribute = where.partition(":")
    found: Any = getattr(importlib.import_module(f"deepdft.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer()
        found.command(name)(function)
    found._add_completion = False
    found.rich_markup_mode = None  # rich's boxes take longer to load than all of the rest
    command: Command = typer.main.get_command(found)
    command.name = name
    return with_examples(command, name)


class LazyGroup(TyperGroup):
    """A group whose list needs none of its commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: MutableMapping[str, Command] = Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])
