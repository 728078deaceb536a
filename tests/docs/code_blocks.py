"""Code blocks of the documentation and what the comments around them say.

A comment before a block says how it is treated:

- `slow`: run with `--thorough` alone;
- `not run: REASON`: it cannot run here, and why;
- `part of FILE`: lines of a file that has tests of its own.

Comments at the head of a page speak of all of it: `slow` or `not run: REASON` of blocks that say
nothing else, `files: NAME=SOURCE ...` of files and folders that are put where the page is run, and
`before: COMMANDS` of what the shell does there first.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

README = ROOT / "README.md"
PAGES = sorted({README, *DOCS.rglob("*.md")} - {*DOCS.glob("_build/**/*.md")})
NOTEBOOKS = sorted(DOCS.glob("tutorials/*.md"))

_KINDS = {
    "sh": "sh", "bash": "sh", "console": "sh", "python": "python", "{code-cell} python": "python",
}  # fmt: skip
_FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?(?P<fence>```+)(?P<kind>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.M | re.S,
)
_HEAD = re.compile(r"\A(?:---\n.*?\n---\n)?(?P<comments>(?:\s*<!--.*?-->)*)", re.S)


class Block(NamedTuple):
    """A block of code of a page.

    Attributes:
        kind: "sh" or "python".
        text: the code.
        note: what the comment before it says, or the page's head.
        line: where the code begins.
    """

    kind: str
    text: str
    note: str
    line: int

    @property
    def reason(self) -> str | None:
        """Why it is not run, or None."""
        _, found, reason = self.note.partition("not run: ")
        return reason if found else None

    @property
    def part_of(self) -> str | None:
        """The file whose lines it shows, or None."""
        _, found, path = self.note.partition("part of ")
        return path if found else None

    @property
    def runs(self) -> bool:
        """Whether it is run, by `--thorough` at least."""
        return self.reason is None and self.part_of is None


class Head(NamedTuple):
    """What the head of a page says of all of it.

    Attributes:
        files: where a copy goes, and what of.
        before: commands of the shell.
        note: of blocks that say nothing themselves.
    """

    files: dict[str, str]
    before: str
    note: str


def head(page: Path) -> Head:
    """Return what the head of a page says; the README's, which has no room, is in a file."""
    source = Path(__file__).with_name("readme_head.md") if page == README else page
    found = _HEAD.match(source.read_text(encoding="utf-8"))
    comments = re.findall(r"<!--\s*(.*?)\s*-->", found["comments"] if found else "", re.S)
    files: dict[str, str] = {}
    before = note = ""
    for comment in comments:
        if comment.startswith("files: "):
            entries = (entry.partition("=") for entry in comment[len("files: ") :].split())
            files |= {name: source for name, _, source in entries}
        elif comment.startswith("before: "):
            before += comment[len("before: ") :] + "\n"
        elif comment == "slow" or comment.startswith("not run: "):
            note = comment
    return Head(files, before, note)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are commands or Python."""
    source, of_page = page.read_text(encoding="utf-8"), head(page).note
    found = []
    for match in _FENCE.finditer(source):
        kind = _KINDS.get(match["kind"].strip())
        if kind is not None:
            line = source.count("\n", 0, match.start("text")) + 1
            # A head that speaks of the page may stand before its first block.
            note = match["note"] or of_page
            found.append(Block(kind, match["text"], note, line))
    return found


def untyped(page: Path) -> list[tuple[str, int]]:
    """Return the blocks of a page that name no language: what programs print."""
    source = page.read_text(encoding="utf-8")
    return [
        (match["text"], source.count("\n", 0, match.start("text")) + 1)
        for match in _FENCE.finditer(source)
        if not match["kind"].strip()
    ]


def name_of(page: Path) -> str:
    """Return what a page is called."""
    return str(page.relative_to(ROOT))
