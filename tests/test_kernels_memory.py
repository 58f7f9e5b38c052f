"""Memory is used again when, and only when, no array looks into it any more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba", reason="without Numba nothing makes its results there")
from tinygrad2.kernels.cpu import memory


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(memory, "_owners", [])
    yield


def address(a: np.ndarray) -> int:
    return int(a.__array_interface__["data"][0])


SIZE = memory.SMALLEST // 4


def test_memory_that_was_left_is_used_again() -> None:
    a = memory.empty((SIZE,), np.float32)
    place = address(a)
    del a
    assert address(memory.empty((2, SIZE // 2), np.float32)) == place


def test_a_view_of_a_view_keeps_its_memory() -> None:
    a = memory.empty((4, SIZE), np.float32)
    a[...] = 7
    part = a[1:3].reshape(-1)[5:9]
    del a
    memory.empty((4, SIZE), np.float32)[...] = 0
    assert part.tolist() == [7] * 4


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.sampled_from([np.float32, np.float64, np.int32]))))
def test_living_arrays_never_overlap(requests: list[tuple[int, bool, type]]) -> None:
    living = []
    for times, kept, dtype in requests:
        a = memory.empty((times, SIZE), dtype)
        assert a.shape == (times, SIZE) and a.dtype == dtype and a.flags.c_contiguous and a.flags.writeable
        assert address(a) % memory.LINE == 0
        if kept:
            living.append(a)
        del a
    assert not any(np.shares_memory(a, b) for a, b in combinations(living, 2))


def test_what_is_kept_unused_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_IDLE", 10 * memory.SMALLEST)
    for times in range(1, 12):
        memory.empty((times, SIZE), np.float32)
    kept = [owner.nbytes for owner in memory._owners]
    assert sum(kept[:-1]) <= memory.MOST_IDLE and kept[-1] >= 11 * memory.SMALLEST


def test_small_arrays_are_not_kept() -> None:
    assert memory.empty((3, 0), np.float32).shape == (3, 0)
    memory.empty((SIZE - 1,), np.float32)
    assert not memory._owners
