"""Architectures. One a file; importing this package registers those that come with deepdft."""

from deepdft.models import deepdft as _deepdft  # noqa: F401  (registers the architecture)
from deepdft.models import equivariant as _equivariant  # noqa: F401
from deepdft.models import released_painn as _released_painn  # noqa: F401
from deepdft.models import released_schnet as _released_schnet  # noqa: F401
from deepdft.models.base import DensityModel
from deepdft.models.registry import architectures, create_model, parse_options, register

__all__ = ["DensityModel", "architectures", "create_model", "parse_options", "register"]
