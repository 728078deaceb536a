"""torch's number of threads is left as it was found, whoever is inside."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from deepdft.architectures.torch_threads import one_torch_thread


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_inside_itself():
    with one_torch_thread():
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads_of_a_new_thread() == 3


def test_two_threads_that_overlap():
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    found: dict[str, int] = {}

    def first() -> None:
        with one_torch_thread():
            first_in.set()
            second_in.wait(10)
        found["first"] = torch.get_num_threads()
        first_out.set()

    def second() -> None:
        first_in.wait(10)
        with one_torch_thread():
            second_in.set()
            first_out.wait(10)
            found["inside"] = torch.get_num_threads()
        found["second"] = torch.get_num_threads()

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"first": 3, "inside": 1, "second": 3}
    assert torch.get_num_threads() == threads_of_a_new_thread() == 3


def test_an_error_inside():
    with pytest.raises(ZeroDivisionError), one_torch_thread():
        _ = 1 / 0
    assert torch.get_num_threads() == 3
