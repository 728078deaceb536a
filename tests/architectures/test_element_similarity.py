"""Elements that are alike begin with like embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.data import atomic_numbers

from deepdft.architectures import create_model
from deepdft.architectures.element_similarity import (
    element_descriptors,
    inferred_rows,
    similarity,
)
from deepdft.models.networks import transfer_weights


def _alike(left: str, right: str) -> float:
    return float(similarity([atomic_numbers[left]], [atomic_numbers[right]])[0, 0])


def test_descriptors_of_the_whole_table_are_unit_vectors_and_differ() -> None:
    descriptors = element_descriptors(range(1, 119))
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1.0, rtol=1e-12)
    products = descriptors @ descriptors.T - 2 * np.eye(118)
    assert products.max() < 1 - 1e-5


@pytest.mark.parametrize(
    ("element", "like", "unlike"),
    [
        ("Sr", "Ba", "Cl"),
        ("Br", "Cl", "K"),
        ("Nb", "Ta", "O"),
        ("La", "Nd", "Sn"),
        ("Ar", "Ne", "Mg"),
        ("Fe", "Co", "S"),
    ],
)
def test_neighbours_in_the_table_are_alike(element: str, like: str, unlike: str) -> None:
    assert _alike(element, like) > _alike(element, unlike) + 0.1


def test_embeddings_begin_with_unit_variance_and_similarity() -> None:
    torch.manual_seed(0)
    elements = [17, 35, 38, 56]
    options = {"scalars": 4000, "tensors": 1, "degree": 1, "fields": [32]}
    rows = create_model("equivariant", options, elements).state_dict()["embedding.weight"]
    products = (rows @ rows.T / rows.shape[1]).numpy()
    np.testing.assert_allclose(products, similarity(elements, elements), atol=0.1)


def test_inferred_rows_agree_with_the_gaussian_process_written_out() -> None:
    random = np.random.default_rng(0)
    known, unknown = [11, 17, 26], [19, 35]
    rows = random.normal(size=(3, 5))
    found, open_share = inferred_rows(known, rows, unknown)
    every = known + unknown
    covariance = element_descriptors(every) @ element_descriptors(every).T
    inverse = np.linalg.inv(covariance[:3, :3] + 0.1 * np.eye(3))
    np.testing.assert_allclose(found, covariance[3:, :3] @ inverse @ rows, rtol=1e-10)
    conditional = covariance[3:, 3:] - covariance[3:, :3] @ inverse @ covariance[:3, 3:]
    np.testing.assert_allclose(open_share, np.diag(conditional), rtol=1e-10)


@pytest.mark.parametrize("architecture", ["deepdft", "equivariant"])
def test_a_new_element_takes_after_its_like_when_weights_are_transferred(architecture: str) -> None:
    torch.manual_seed(1)
    source = create_model(architecture, {}, [1, 11, 17])
    target = create_model(architecture, {}, [1, 11, 17, 35])
    transfer_weights(source, target)
    name = "embedding.weight"
    before, after = source.state_dict()[name], target.state_dict()[name]
    torch.testing.assert_close(after[:3], before)
    bromine = after[3] / after[3].norm()
    like = [float(bromine @ (row / row.norm())) for row in before]
    assert like[2] > 0.5 > max(like[:2])
