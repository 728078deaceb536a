"""Join the splits of several collections into one, for training on all of them at once.

    python recipes/organic/joint_split.py organic_pbe_gth qm9_pbe_gth -o runs/organic_split.json

Every collection is a folder with `split.json`; a structure stays in the part that it is in there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

PARTS = ("train", "validation", "test")


def joint_split(folders: list[Path]) -> dict[str, list[str]]:
    """Return the names of all collections' structures by part.

    Raises:
        SystemExit: if two collections have a structure of the same name in different parts.
    """
    joint: dict[str, list[str]] = {part: [] for part in PARTS}
    owner: dict[str, str] = {}
    for folder in folders:
        split = json.loads((folder / "split.json").read_text(encoding="utf-8"))
        for part in PARTS:
            for name in map(str, split.get(part, [])):
                if owner.setdefault(name, part) != part:
                    raise SystemExit(f"{folder} has {name} in {part}, another in {owner[name]}.")
                joint[part].append(name)
    return joint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="collections with split.json")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    joint = joint_split(arguments.folders)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(joint) + "\n", encoding="utf-8")
    print(", ".join(f"{part} {len(names)}" for part, names in joint.items()))


if __name__ == "__main__":
    main()
