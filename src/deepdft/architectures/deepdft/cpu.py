"""The architecture `deepdft` on a CPU, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdft.architectures.deepdft.block_network import GatedNetwork
from deepdft.architectures.deepdft.filters import DeepDFTFilters
from deepdft.architectures.deepdft.options import DeepDFTOptions
from deepdft.architectures.on_cpu.elements import species_of
from deepdft.architectures.on_cpu.network import CompiledOnCpu
from deepdft.architectures.on_cpu.weights import Weights
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import Array
from deepdft.geometry.neighbours import EdgeArrays
from deepdft.kernels.edges.block_messages import sum_messages
from deepdft.kernels.edges.sorted_messages import SortedEdges, sort_edges
from deepdft.kernels.edges.sums import summed
from deepdft.kernels.jets import Jet, linear, sigmoid, softplus
from deepdft.kernels.radial.filters import Filters, tabulated
from deepdft.kernels.simd.dense import Dense
from deepdft.kernels.simd.vectors import padded_rows


class PlainDeepDFT:
    """The probes' part in NumPy, in float64.

    Args:
        options: of the network.
        weights: of the network, in float64.

    Attributes:
        filters: of all steps.
        layers: the node networks, see `GatedNetwork`.
    """

    dtype = np.float64

    def __init__(self, options: DeepDFTOptions, weights: Weights) -> None:
        steps, width = options.steps, options.channels
        self.filters: Filters = DeepDFTFilters(options, weights, "probe_filter_network")
        output, bias = weights.linear("readout_output", width, 1)
        self.layers: dict[str, Any] = {
            "hidden": weights.stacked("probe_W46", steps, width, 2 * width),
            "update": weights.stacked("probe_W5", steps, width, width),
            "gate": weights.stacked("probe_W7", steps, width, width),
            "readout_hidden": weights.linear("readout_hidden", width, width),
            "readout_output": (output[:, 0], float(bias[0])),
            "shift": 0.0,
        }
        if options.envelope == "smooth":
            # A probe without messages is zero then.
            nothing = Jet.constant(np.zeros((steps, 1, width)))
            self.layers["shift"] = -float(self.readout(nothing).value[0])

    def factors(self, sent: Array, positions: Jet) -> Jet:
        """Return what the atoms of the edges send."""
        return Jet.constant(sent, positions)

    def readout(self, messages: Jet) -> Jet:
        """Gated updates of the probe states, eqs. (5) and (6), and the readout network."""
        layers = self.layers
        hidden = softplus(linear(messages, *layers["hidden"]))
        width = hidden.value.shape[-1] // 2
        update = linear(hidden.map(lambda x: x[..., :width]), *layers["update"])
        gate = sigmoid(linear(hidden.map(lambda x: x[..., width:]), *layers["gate"]))
        state = Jet.constant(np.zeros(update.value.shape[1:]), update)
        for t in range(len(update.value)):
            new, kept = (x.map(lambda part, t=t: part[:, t]) for x in (update, gate))
            state = new + kept * (state - new)
        weight, bias = layers["readout_output"]
        hidden = softplus(linear(state, *layers["readout_hidden"]))
        density = linear(hidden, weight[:, None], bias + layers["shift"])
        return density.map(lambda part: part[..., 0])


class DeepDFTSteps:
    """Messages between atoms and the update of their states, eqs. (1), (3), (4).

    Args:
        options: of the network.
        elements: atomic numbers that it knows.
        weights: of the network, in float64.
        settings: how to evaluate it.
    """

    uses_directions = False

    def __init__(
        self,
        options: DeepDFTOptions,
        elements: tuple[int, ...],
        weights: Weights,
        settings: EvaluationSettings,
    ) -> None:
        self.count = self.sends = steps = options.steps
        self.channels = width = options.channels
        self.dtype = np.dtype(settings.precision)
        self._elements = elements
        own = weights.of_type(self.dtype)
        self._embedding = own("embedding.weight", len(elements), width)

        def layers(name: str, activation: Any = "none") -> list[Dense]:
            weight, bias = own.stacked(name, steps, width, width)
            return [Dense(weight[t], bias[t, 0], activation) for t in range(steps)]

        self._send, self._hidden = layers("atom_W1"), layers("atom_W4", "softplus")
        self._update, self._to_probes = layers("atom_W5"), layers("probe_W1")
        self._filters: list[Filters] = [
            DeepDFTFilters(options, weights, "atom_filters", t) for t in range(steps)
        ]
        self._tables: list[Array] = []
        if settings.filters == "tabulated":
            tables = [tabulated(f, options.cutoff, settings.table_spacing) for f in self._filters]
            self._filters = list(tables)
            self._spacing, self._knots = tables[0].spacing, tables[0].knots
            if self.dtype == np.float32:
                self._tables = [padded_rows(table.entries[0]).reshape(-1) for table in tables]

    def initial(self, numbers: NDArray[np.int64]) -> Array:
        """Return the embeddings of the elements."""
        return self._embedding[species_of(numbers, self._elements)]

    def sent(self, step: int, states: Array) -> Array:
        """Return W1 h."""
        return self._send[step](states)

    def geometry(self, edges: EdgeArrays) -> Any:
        """Return the edges, sorted where the compiled form sums over them."""
        if not self._tables:
            return edges
        found = sort_edges(
            edges.distances, edges.senders, edges.offsets, self._spacing, self._knots
        )
        return found, edges.n_receivers

    def update(self, step: int, states: Array, sent: Array, geometry: Any) -> Array:
        """Return the states of some atoms after a step."""
        summed_messages = self._messages(step, sent, geometry)
        return states + self._update[step](self._hidden[step](summed_messages))

    def to_probes(self, step: int, states: Array) -> Array:
        """Return W1 h for probes."""
        return self._to_probes[step](states)

    def _messages(self, step: int, sent: Array, geometry: Any) -> Array:
        if not self._tables:
            filters = self._filters[step](Jet.constant(geometry.distances)).value[0]
            return summed(sent[geometry.senders] * filters.astype(self.dtype), geometry.offsets)
        edges: SortedEdges = geometry[0]
        receivers = geometry[1]
        rows = padded_rows(sent)
        out = np.empty((receivers, rows.shape[1]), np.float32)
        sum_messages(
            self._tables[step], rows.reshape(-1), *edges, self._knots, rows.shape[1], receivers,
            out.reshape(-1),
        )  # fmt: skip
        return out[:, : self.channels]


class DeepDFTOnCpu(CompiledOnCpu[DeepDFTOptions]):
    """Encodes atoms and evaluates probes."""

    _plain: PlainDeepDFT

    def _plain_network(self) -> PlainDeepDFT:
        return PlainDeepDFT(self.options, self._weights)

    def _compiled_network(self, senders: Array) -> GatedNetwork:
        return GatedNetwork(**self._plain.layers, table=self._table.entries, senders=senders)

    def _atom_steps(self) -> DeepDFTSteps:
        return DeepDFTSteps(self.options, self.elements, self._weights, self.settings)
