"""The documentation as a site: `make docs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import deepdft

_ROOT = Path(__file__).resolve().parent.parent

project = "deepdft"
author = "the deepdft authors"
release = version = deepdft.__version__
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
# Tables that programs print have no title, or begin with a heading of the second level.
suppress_warnings = ["myst.header", "toc.no_title"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = "deepdft"
html_theme_options = {"top_of_page_buttons": []}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Notebooks are run when they have changed; what they printed is kept in _build.
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^):#\s]+)(#[^)]*)?\)")
_LITERAL = re.compile(r"(``.*?``|`[^`]*`)")


def _link_outside(app: Any, page: str, source: list[str]) -> None:
    """Turn links that the site does not have into names.

    These are folders, files outside the documentation, and what a command has yet to write.
    """
    folder = (Path(app.srcdir) / page).parent

    def named(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        inside = target.is_relative_to(Path(app.srcdir).resolve())
        later = inside and not target.exists() and target.suffix != ".md"
        if inside and not target.is_dir() and not later:
            return match[0]
        if not target.exists() and not later:
            raise FileNotFoundError(f"{page} links to {match[2]}, which does not exist.")
        name = str(target.relative_to(_ROOT))
        return f"{match[1]} (`{name}`)" if match[1].strip("`") != Path(name).name else f"`{name}`"

    source[0] = _LINK.sub(named, source[0])


def _escape_bars(
    app: Any, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Keep |rho| from being taken for a substitution."""
    for number, line in enumerate(lines):
        parts = _LITERAL.split(line)
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Any) -> None:
    """Connect the two."""
    app.connect("source-read", _link_outside)
    app.connect("autodoc-process-docstring", _escape_bars)
