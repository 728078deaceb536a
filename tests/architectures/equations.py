"""Equations (1)-(6) of Jørgensen & Bhowmik (2020), one edge, step and vertex at a time.

Written from the equations with numpy alone, in float64, as an oracle for the package: nothing of
its layers, graphs or kernels is used, only the numbers of a network's `state_dict`.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from deepdft.testing.brute_force import brute_force_edges


def softplus(x):
    """Return ln(1 + exp(x)), the paper's g."""
    return np.logaddexp(0.0, x)


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


class Oracle:
    """The network of the paper from a dictionary of its weights.

    Every W is affine: row vector times matrix, plus bias. `probe_W46` holds W4 and W6 side by side.
    """

    def __init__(self, state, elements, *, cutoff=4.0, width=0.1, smooth=False):
        self.weights = {name: value.double().numpy() for name, value in state.items()}
        self.elements = list(elements)
        self.cutoff = cutoff
        self.width = width
        self.smooth = smooth
        self.steps, _, self.channels = self.weights["atom_W1.weight"].shape

    def affine(self, name, t, x):
        """Apply W of step t."""
        return x @ self.weights[f"{name}.weight"][t] + self.weights[f"{name}.bias"][t, 0]

    def expansion(self, d):
        """Eq. (2): Gaussians on a uniform grid over [0, cutoff)."""
        n_gaussians = round(self.cutoff / self.width)
        return np.array(
            [np.exp(-((d - k * self.width) ** 2) / (2 * self.width**2)) for k in range(n_gaussians)]
        )

    def filter(self, network, t, d):
        """The part of eq. (3) that depends on the distance: c(d) g(W3 g(W2 e(d)))."""
        cut = 1.0 - sigmoid(5.0 * (d - (self.cutoff - 1.5)))
        if self.smooth:
            u = d / self.cutoff
            cut *= 1.0 - 10.0 * u**3 + 15.0 * u**4 - 6.0 * u**5
        hidden = softplus(self.affine(f"{network}.W2", t, self.expansion(d)))
        return cut * softplus(self.affine(f"{network}.W3", t, hidden))

    def message(self, edges, receiver, network, sender_map, t, states):
        """Eqs. (1) and (3): the sum over a vertex's neighbours."""
        total = np.zeros(self.channels)
        for v, w, d in zip(edges.receivers, edges.senders, edges.distances, strict=True):
            if v == receiver:
                sent = self.affine(sender_map, t, states[w])
                total += sent * self.filter(network, t, d)
        return total

    def atom_states(self, atoms: Atoms):
        """Eqs. (1) and (4): the states after each of the steps, a list of (atoms, channels)."""
        edges = brute_force_edges(atoms, None, self.cutoff)
        rows = [self.elements.index(z) for z in atoms.numbers]
        states = self.weights["embedding.weight"][rows]
        after = []
        for t in range(self.steps):
            updated = np.empty_like(states)
            for v in range(len(atoms)):
                m = self.message(edges, v, "atom_filters", "atom_W1", t, states)
                hidden = softplus(self.affine("atom_W4", t, m))
                updated[v] = states[v] + self.affine("atom_W5", t, hidden)
            states = updated
            after.append(states)
        return after

    def probe_update(self, t, m, h):
        """Eqs. (5) and (6); the gate is a function of the message."""
        f = self.channels
        both = self.affine("probe_W46", t, m)
        gate = sigmoid(self.affine("probe_W7", t, softplus(both[f:])))
        return gate * h + (1.0 - gate) * self.affine("probe_W5", t, softplus(both[:f]))

    def readout(self, messages):
        """Map one probe's messages of all steps to its density."""
        h = np.zeros(self.channels)
        for t, m in enumerate(messages):
            h = self.probe_update(t, m, h)
        w = self.weights
        hidden = softplus(w["readout_hidden.weight"] @ h + w["readout_hidden.bias"])
        return float((w["readout_output.weight"] @ hidden + w["readout_output.bias"])[0])

    def density(self, atoms: Atoms, points):
        """Return rho at points (n, 3), 0 where no atom is in reach."""
        after = self.atom_states(atoms)
        edges = brute_force_edges(atoms, points, self.cutoff)
        result = np.zeros(len(points))
        for p in range(len(points)):
            if p not in edges.receivers:
                continue
            # Probe step t reads the atom states after atom step t.
            messages = [
                self.message(edges, p, "probe_filter_network", "probe_W1", t, after[t])
                for t in range(self.steps)
            ]
            result[p] = self.readout(messages)
            if self.smooth:
                result[p] -= self.readout(np.zeros((self.steps, self.channels)))
        return result
