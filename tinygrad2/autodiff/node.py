"""The tape: one node per recorded call.

Nodes hold arrays and other nodes, never a user's Tensor: there is no reference cycle, and counting frees the memory.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload
from weakref import ReferenceType

if TYPE_CHECKING:
    import numpy as np

    from tinygrad2.kernels.arrays import Array

P = ParamSpec("P")
T = TypeVar("T")
Cotangent = Any  # a Tensor: that class stands on this file


class Recorded(Protocol):
    """What a node knows of the operation that made it: its name, and how a cotangent passes back through the call."""

    name: str

    def vjp(self, node: Node, g: Cotangent, wanted: set[Node]) -> Iterable[tuple[Node, Cotangent]]:
        """The cotangent for every parent in `wanted`. g: the cotangent of the node."""
        ...


_recording: ContextVar[bool] = ContextVar("recording", default=True)
# Who switched the tape, latest last, with what they switched it to. They may end in another order than they began in:
# a generator that is suspended inside its block ends when it likes. So each takes only its own entry away.
_switches: ContextVar[tuple[tuple[recording, bool], ...]] = ContextVar("switches", default=())
next_id = itertools.count().__next__


class recording:
    """Switch the tape on or off for the calling thread (or asyncio task) while a block or a decorated function runs."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __enter__(self) -> None:
        _switches.set((*_switches.get(), (self, self.on)))
        _recording.set(self.on)

    def __exit__(self, *error: object) -> None:
        entries = list(_switches.get())
        own = [i for i, (owner, _) in enumerate(entries) if owner is self]
        if own:  # none where the block began in another thread: nothing was switched in this one
            del entries[own[-1]]
            _switches.set(tuple(entries))
            _recording.set(entries[-1][1] if entries else True)

    def __call__(self, f: Callable[P, T]) -> Callable[P, T]:
        """f, with the tape switched while its code runs: for a generator, only from each request to its answer."""
        if not callable(f):
            raise TypeError(f"no_grad: expected a function, or nothing, as in `with no_grad():`; got {f!r}")
        if inspect.iscoroutinefunction(f):
            return cast(Callable[P, T], self._coroutine(f))
        if inspect.isasyncgenfunction(f):
            return cast(Callable[P, T], self._async_generator(f))
        if inspect.isgeneratorfunction(f):
            return cast(Callable[P, T], self._generator(f))

        @wraps(f)
        def switched(*args: P.args, **kwargs: P.kwargs) -> T:
            with self:
                return f(*args, **kwargs)

        return switched

    def _generator(self, f: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        def switched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            inner = f(*args, **kwargs)
            step = partial(next, inner)
            try:
                while True:
                    with self:
                        value = step()
                    try:
                        step = partial(inner.send, (yield value))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = partial(inner.throw, error)
            except StopIteration as end:
                return end.value
            finally:
                with self:
                    inner.close()

        return switched

    def _awaited(self, f: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """What f() gives when awaited; others that run while it waits are not affected."""
        return _Awaited(self._generator(lambda: f().__await__())())

    def _coroutine(self, f: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @wraps(f)
        async def switched(*args: Any, **kwargs: Any) -> Any:
            return await self._awaited(partial(f, *args, **kwargs))

        return switched

    def _async_generator(self, f: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        async def switched(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            inner = f(*args, **kwargs)
            step = inner.__anext__
            try:
                while True:
                    value = await self._awaited(step)
                    try:
                        step = partial(inner.asend, (yield value))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = partial(inner.athrow, error)
            except StopAsyncIteration:
                return
            finally:
                await self._awaited(inner.aclose)

        return switched


class _Awaited:
    """An awaitable around what runs its steps."""

    def __init__(self, steps: Generator[Any, Any, Any]) -> None:
        self.steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.steps


@overload
def no_grad(f: None = None) -> recording: ...
@overload
def no_grad(f: Callable[P, T]) -> Callable[P, T]: ...
def no_grad(f: Any = None) -> Any:
    """Record nothing inside: `with no_grad(): ...`, or `@no_grad` above a function, with or without parentheses.

    It holds for this thread or asyncio task. The function may be a generator or asynchronous: nothing is recorded while
    its own code runs, and its caller is not affected. A `with` block around a `yield` also affects the caller until the
    generator goes on, so prefer the decorator there.

    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    return recording(False) if f is None else recording(False)(f)


is_recording = _recording.get

# Where a transform such as `grad` runs a function: the id that nodes had reached when it began. None outside.
_watched_from: ContextVar[int | None] = ContextVar("watched_from", default=None)
watched_from = _watched_from.get


@contextmanager
def watching_from(start: int | None) -> Iterator[None]:
    """While the block runs, the values of tensors recorded after `start` must not leave the tape unseen."""
    token = _watched_from.set(start)
    try:
        yield
    finally:
        _watched_from.reset(token)


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
