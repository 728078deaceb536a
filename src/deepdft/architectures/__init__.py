"""Architectures. A folder each; importing this package describes those that come with deepdft.

Nothing here imports torch before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepdft.architectures.deepdft import DEEPDFT
from deepdft.architectures.equivariant import EQUIVARIANT
from deepdft.architectures.registry import (
    Architecture,
    add_architecture,
    architecture,
    architectures,
    create_cpu_network,
    create_model,
    parse_options,
    register,
)
from deepdft.architectures.released_painn import RELEASED_PAINN
from deepdft.architectures.released_schnet import RELEASED_SCHNET
from deepdft.architectures.settings import EvaluationSettings

if TYPE_CHECKING:
    from deepdft.architectures.base import DensityModel

for _packaged in (DEEPDFT, EQUIVARIANT, RELEASED_PAINN, RELEASED_SCHNET):
    add_architecture(_packaged)

__all__ = [
    "Architecture",
    "DensityModel",
    "EvaluationSettings",
    "architecture",
    "architectures",
    "create_cpu_network",
    "create_model",
    "parse_options",
    "register",
]


def __getattr__(name: str) -> Any:
    if name == "DensityModel":
        from deepdft.architectures.base import DensityModel

        return DensityModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
