"""Every block is worked on once, whoever takes it; an error in one reaches the caller; BLAS gets its threads back."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("numba", reason="without Numba no work is shared")
from tinygrad2.kernels.cpu import threads as workers


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_every_block_is_worked_on_once(count: int, threads: int) -> None:
    done: list[int] = []
    workers.share(range(count), done.append, threads)
    assert sorted(done) == list(range(count))
    assert not workers.busy()


def test_two_threads_work_at_the_same_time() -> None:
    """Each waits for the other: one thread alone would never get through."""
    meeting = threading.Barrier(2, timeout=30)
    workers.share([1, 2], lambda _: meeting.wait(), 2)


def test_inside_a_block_no_more_threads_are_started() -> None:
    seen: list[tuple[bool, int]] = []

    def outer(_: int) -> None:
        name = threading.get_ident()
        workers.share([1, 2, 3], lambda _: seen.append((workers.busy(), threading.get_ident() - name)), 4)

    workers.share([1, 2], outer, 2)
    assert seen == [(True, 0)] * 6


@pytest.mark.parametrize("bad", [0, 7, 19])
def test_an_error_in_a_block_reaches_the_caller(bad: int) -> None:
    def work(block: int) -> None:
        if block == bad:
            raise ArithmeticError(f"block {block}")

    with pytest.raises(ArithmeticError, match=f"block {bad}"):
        workers.share(range(20), work, 2)
    assert not workers.busy()
    workers.share(range(20), lambda _: None, 2)


def test_blas_gets_its_threads_back() -> None:
    library = workers.blas()
    if library is None:
        pytest.skip("threadpoolctl does not know the BLAS that NumPy uses here")
    get, put = library.get_num_threads, library.set_num_threads
    before, inside = get(), []
    put(2)
    try:
        workers.share([1, 2], lambda _: inside.append(get()), 2)
        assert inside == [1, 1] and get() == 2
    finally:
        put(before)
