"""The results of the paper on DeepDFT, on densities of open programs; commands for deepdft.

`deepdft_paper.reproduce` has Table 1, Fig. 3 and the learning curve, `deepdft_paper.spread` the
spread of functionals (eq. 8).
"""

from __future__ import annotations

from deepdft.cli.commands import CommandPlace

REPRODUCE = CommandPlace(
    "deepdft_paper.cli.reproduce:app",
    "The paper's results on our own densities.",
    {
        "reproduce": (
            "deepdft reproduce table1",
            "deepdft reproduce learning-curve",
        ),
        "reproduce table1": (
            "deepdft reproduce table1",
            "deepdft reproduce table1 -o report/",
        ),
        "reproduce learning-curve": (
            "deepdft reproduce learning-curve",
            "deepdft reproduce learning-curve -o curve/",
        ),
    },
)

SPREAD = CommandPlace(
    "deepdft_paper.cli.spread:spread",
    "Measure how far the densities of eight functionals lie apart.",
    {
        "spread": (
            "deepdft spread molecules.extxyz -o spread/",
            "deepdft spread -o spread/ --model default     measured before: another model",
        ),
    },
)
