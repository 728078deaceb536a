"""Examples under the help of every command: two or more each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXAMPLES: dict[str, tuple[str, ...]] = {
    "predict": (
        "deepdft predict molecule.xyz                      molecule.cube, points 0.1 Å apart",
        'deepdft predict "CCO" -o ethanol.cube --show      SMILES; opens it in the browser',
        "deepdft predict POSCAR -m runs/mine -o CHGCAR     your model, VASP's format",
        "deepdft predict run.traj -o densities/ --skip     a file for each frame",
    ),
    "train": (
        "deepdft train mine.yaml",
        "deepdft train mine.yaml model.architecture=equivariant optimizer.loss=eps_mae",
        "deepdft train mine.yaml --resume                  go on after a kill",
        "deepdft train mine.yaml --from default run_directory=runs/tuned",
    ),
    "evaluate": (
        "deepdft evaluate runs/mine my_test_densities/ -o report/",
        "deepdft evaluate default data.npz --split split.json:test --quick 1000",
    ),
    "uncertainty": (
        "deepdft uncertainty runs/mine my_densities/",
        "deepdft uncertainty runs/mine data.npz --split split.json:validation",
    ),
    "convert": (
        "deepdft convert CHGCAR.gz density.cube",
        "deepdft convert 'runs/*/CHGCAR' mine.store --level functional=PBE",
    ),
    "inspect": (
        "deepdft inspect dft.cube",
        "deepdft inspect qm9.tar::000123.CHGCAR.zz         a member of an archive",
    ),
    "compare": (
        "deepdft compare dft.cube molecule.cube",
        "deepdft compare CHGCAR other.cube -o difference.cube --mix-levels",
    ),
    "combine": (
        "deepdft combine up.cube + down.cube -o total.cube",
        "deepdft combine AB.cube - A.cube - B.cube -o bond.cube",
    ),
    "plot": (
        "deepdft plot molecule.cube                        molecule.png: a surface and atoms",
        "deepdft plot molecule.cube --difference atoms -o bonds.svg",
        "deepdft plot CHGCAR --slice 110 -o plane.png",
        "deepdft plot a.cube --line 0 1 --difference b.cube -o line.svg",
    ),
    "demo": (
        "deepdft demo                                      files in the folder demo/",
        "deepdft demo elsewhere/",
    ),
    "models": (
        "deepdft models",
        "deepdft models | grep PBE",
    ),
    "info": (
        "deepdft info default",
        "deepdft info runs/mine",
    ),
    "import": (
        "deepdft import pretrained/qm9_schnet models/qm9 --level functional=PBE",
        "deepdft import runs/mine models/mine --elements 'H C N O'",
    ),
    "dft": (
        "deepdft dft run molecules.xyz -o mine --jobs 2",
        "deepdft dft settings cp2k",
    ),
    "dft run": (
        "deepdft dft run molecules/ -o water.dft --program pyscf --jobs 4",
        "deepdft dft run liquid.extxyz -o liquid.dft --program cp2k cutoff=320",
    ),
    "dft settings": (
        "deepdft dft settings cp2k",
        "deepdft dft settings quantum-espresso",
    ),
}
"""By the words of a command; what a command's own description shows is not repeated here."""


def with_examples(command: Any, name: str, examples: Mapping[str, tuple[str, ...]]) -> Any:
    """Put the examples of a command, and of those below it, at the end of its help."""
    lines = examples.get(name)
    if lines and not command.epilog:
        command.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
    for below, sub in getattr(command, "commands", {}).items():
        with_examples(sub, f"{name} {below}", examples)
    return command
