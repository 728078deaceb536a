"""The commands by name, each loaded when it is asked for: the list costs no imports."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import typer
from typer.core import TyperGroup

from deepdft import plug_ins
from deepdft.cli.common import with_common_options
from deepdft.cli.endings import ended_with_a_sentence
from deepdft.cli.examples import EXAMPLES, with_examples
from deepdft.errors import ConfigurationError, DeepDFTError
from deepdft.extras import missing_extra

Command: TypeAlias = Any
"""Of click, or of the copy of it that later versions of Typer bring."""


@dataclass(frozen=True)
class CommandPlace:
    """Where a command of another package is, and what it does.

    Packages name theirs under `deepdft.commands`. It is imported to print the list of commands, so
    the module with it should import little.

    Attributes:
        where: "module:name" of a function with Typer's annotations, or of a `typer.Typer`.
        summary: one line in the list.
        examples: lines at the end of its help, by the words behind `deepdft`; two or more each.
    """

    where: str
    summary: str
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
    "import": (
        "models:import_model",
        "Turn a checkpoint of the authors' released code into a model folder.",
    ),
}
"""Where each command is (module of `deepdft.cli` and name in it), and what it does."""


class Commands(MutableMapping[str, Command]):
    """The commands of `COMMANDS`, those of other packages, and others that were added."""

    def __init__(self) -> None:
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded and (name in COMMANDS or name in _of_others()):
            self._loaded[name] = load_command(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**COMMANDS, **dict.fromkeys(_of_others()), **self._loaded})

    def __len__(self) -> int:
        return len(list(iter(self)))


def _of_others() -> list[str]:
    """Return the names of commands that other packages bring; ours cannot be replaced."""
    return [name for name in plug_ins.plug_ins(plug_ins.COMMANDS) if name not in COMMANDS]


def place_of(name: str) -> CommandPlace:
    """Return where a command is.

    Raises:
        ConfigurationError: if the package that brings it cannot be imported.
    """
    if name in COMMANDS:
        where, summary = COMMANDS[name]
        return CommandPlace(f"deepdft.cli.{where}", summary, EXAMPLES)
    return plug_ins.load_plug_in(plug_ins.COMMANDS, name, CommandPlace, "command")


def load_command(name: str) -> Command:
    """Return a command, of ours or of another package.

    Raises:
        ConfigurationError: if the package that brings it cannot be imported.
        MissingDependencyError: if it needs an extra of deepdft that is not installed.
    """
    place = place_of(name)
    if name in COMMANDS:
        found = _found(place)
    else:
        try:
            found = _found(place)
        except Exception as error:  # whatever a package of others does while it is imported
            raise _unusable(name, place, error) from error
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer()
        found.command(name)(function)
    found._add_completion = False
    found.rich_markup_mode = None  # rich's boxes take longer to load than all of the rest
    command: Command = typer.main.get_command(found)
    command.name = name
    return with_examples(with_common_options(command), name, place.examples)


def _found(place: CommandPlace) -> Any:
    module, _, attribute = place.where.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _unusable(name: str, place: CommandPlace, error: Exception) -> DeepDFTError:
    if isinstance(error, ModuleNotFoundError):
        missing = missing_extra(error, f"'deepdft {name}'")
        if missing is not None:
            return missing
    return ConfigurationError(
        f"The command '{name}' cannot be loaded from {place.where}: {error}. Its package does not "
        "fit this version of deepdft; install it anew."
    )


class LazyGroup(TyperGroup):
    """A group whose list needs none of its commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: MutableMapping[str, Command] = Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        with ended_with_a_sentence():  # before Typer, which swallows interrupts
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows, unusable = [], []
        for name in (*COMMANDS, *_of_others()):
            try:
                rows.append((name, place_of(name).summary))
            except ConfigurationError as error:
                unusable.append((name, str(error)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        if unusable:
            with formatter.section("Commands that cannot be used"):
                formatter.write_dl(unusable)
