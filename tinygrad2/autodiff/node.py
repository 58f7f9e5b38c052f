"""The tape: one node per recorded call.

Nodes hold arrays and other nodes, never a user's Tensor: there is no reference cycle, and counting frees the memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import _GeneratorContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ReferenceType

if TYPE_CHECKING:
    import numpy as np

    from tinygrad2.kernels.arrays import Array

Cotangent = Any  # a Tensor: that class stands on this file


class Recorded(Protocol):
    """What a node knows of the operation that made it: its name, and how a cotangent passes back through the call."""

    name: str

    def vjp(self, node: Node, g: Cotangent, wanted: set[Node]) -> Iterable[tuple[Node, Cotangent]]:
        """The cotangent for every parent in `wanted`. g: the cotangent of the node."""
        ...


_recording: ContextVar[bool] = ContextVar("recording", default=True)
next_id = itertools.count().__next__


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Switch the tape on or off for the calling thread (or asyncio task) while the block runs."""
    token = _recording.set(on)
    try:
        yield
    finally:
        _recording.reset(token)


def no_grad() -> _GeneratorContextManager[None]:
    """Record nothing inside: `with no_grad(): ...`, or `@no_grad()` above a function. Only for this thread or task.

    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    return recording(False)


is_recording = _recording.get


class Node:
    """One recorded call: what its rules read, and the nodes its inputs came from.

    `sources` are the nodes of all inputs; `parents` the same with None where no cotangent flows. Ids grow with time, so
    sorting by id is a topological order. A leaf has no operation, but a weak reference to the Tensor with its `.grad`.
    """

    __slots__ = ("__weakref__", "arrays", "consts", "dtype", "id", "leaf", "op", "out", "parents", "shape", "sources")

    def __init__(
        self,
        like: Array,
        op: Recorded | None = None,
        sources: Sequence[Node | None] = (),
        parents: Sequence[Node | None] = (),
        arrays: Sequence[Array | None] = (),
        out: Array | None = None,
        consts: tuple[Any, ...] = (),
    ) -> None:
        self.id = next_id()
        self.shape: tuple[int, ...] = like.shape
        self.dtype: np.dtype[Any] = like.dtype
        self.op = op
        self.sources = sources
        self.parents = parents
        self.arrays = arrays
        self.out = out
        self.consts = consts
        self.leaf: ReferenceType[Any] | None = None

    def __repr__(self) -> str:
        tensor = self.leaf() if self.leaf else None
        leaf = f"leaf {tensor.name!r}" if tensor is not None and tensor.name else "leaf"
        name = self.op.name if self.op else leaf
        return f"<{name} {self.shape} {self.dtype}>"
