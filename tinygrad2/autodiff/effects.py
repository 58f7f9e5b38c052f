"""What a function does besides computing: it moves statistics, draws from a generator, counts.

That happens once, in the forward pass. `checkpoint` runs its function again in the backward pass; then everything that
is declared here starts from the state it had, and is left as if the function had not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Restore = Callable[[], None]  # put back the state that was seen


@dataclass
class _Run:
    """A run of a checkpointed function: its first, which notes the states, or a repetition, which puts them back."""

    states: list[Restore]
    repeats: bool
    position: int = 0


_runs: ContextVar[tuple[_Run, ...]] = ContextVar("runs", default=())  # the outermost first


def observed() -> bool:
    """Whether a checkpointed function runs, so that blocks have to be declared."""
    return bool(_runs.get())


@contextmanager
def stateful(snapshot: Callable[[], Restore]) -> Iterator[None]:
    """Declare a block that changes a state. snapshot: looks at the state, and gives the function that puts it back.

    >>> count = [0]
    >>> def snapshot():
    ...     seen = count[0]
    ...     return lambda: count.__setitem__(0, seen)
    >>> @tg.checkpoint
    ... def f(x):
    ...     with tg.autodiff.stateful(snapshot):
    ...         count[0] += 1
    ...     return tg.exp(x)
    >>> tg.grad(f)(0.0), count
    (Tensor(1., float64), [1])
    """
    runs = _runs.get()
    if not runs:
        yield
        return
    present = snapshot()
    repeats = False
    for run in runs:
        if not run.repeats:
            run.states.append(snapshot())
        elif run.position < len(run.states):
            run.states[run.position]()
            run.position += 1
            repeats = True
    try:
        yield
    finally:
        if repeats:
            present()


@contextmanager
def remembering() -> Iterator[list[Restore]]:
    """The first run of a checkpointed function. Gives the list that is filled with the states at its blocks."""
    run = _Run([], repeats=False)
    token = _runs.set((*_runs.get(), run))
    try:
        yield run.states
    finally:
        _runs.reset(token)


@contextmanager
def repeating(states: Sequence[Restore]) -> Iterator[None]:
    """A repetition, whose blocks start from these states."""
    token = _runs.set((*_runs.get(), _Run(list(states), repeats=True)))
    try:
        yield
    finally:
        _runs.reset(token)
