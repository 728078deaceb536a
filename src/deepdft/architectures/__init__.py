"""Architectures. A folder each; importing this package registers those that come with deepdft."""

from deepdft.architectures.base import DensityModel
from deepdft.architectures.deepdft import model as _deepdft  # noqa: F401 (registers it)
from deepdft.architectures.equivariant import model as _equivariant  # noqa: F401
from deepdft.architectures.registry import architectures, create_model, parse_options, register
from deepdft.architectures.released_painn import model as _released_painn  # noqa: F401
from deepdft.architectures.released_schnet import model as _released_schnet  # noqa: F401

__all__ = ["DensityModel", "architectures", "create_model", "parse_options", "register"]
