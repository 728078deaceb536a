"""Models that are loaded once and serve every job."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from ase import Atoms

from deepdft.models.choice import bundled_coverages, choose_model
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.web.problems import Refusal


class Models:
    """The models that visitors may use: those that come with the package, and given ones.

    Args:
        given: folders of further models.
        device: where they compute, see `load_model`.
        threads: CPU threads of a prediction; None for all.
    """

    def __init__(
        self, given: Sequence[str] = (), device: str = "auto", threads: int | None = None
    ) -> None:
        self._device = device
        self._threads = threads
        self._loaded: dict[str, TrainedModel] = {}
        # One for each model: who needs one that is there does not wait for the others.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._rates: dict[str, float] = {}
        self.names = [coverage.model for coverage in bundled_coverages()] + list(given)

    def get(self, name: str) -> TrainedModel:
        """Return a model that is ready to compute.

        Raises:
            Refusal: if visitors may not use one of that name.
        """
        if name not in self.names:
            raise Refusal(f"There is no model '{name[:80]}' here ({', '.join(self.names)}).", 404)
        with self._locks[name]:
            if name not in self._loaded:
                model = load_model(name, self._device)
                model.threads = self._threads
                model.warm_up()
                self._loaded[name] = model
            return self._loaded[name]

    def for_structure(self, atoms: Atoms, name: str | None = None) -> TrainedModel:
        """Return the model of a name, or the bundled one that was made for a structure.

        Raises:
            UnsupportedStructureError: if there is none.
            Refusal: see `get`.
        """
        return self.get(choose_model([atoms], way_out="").model if name is None else name)

    def rate(self, name: str) -> float | None:
        """Return how many points per second a model last did here, None where it did none."""
        return self._rates.get(name)

    def note_rate(self, name: str, rate: float | None) -> None:
        """Keep how many points per second a model did."""
        if rate is not None:
            self._rates[name] = rate
