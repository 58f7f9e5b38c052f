"""Seeing every call of a primitive, with the place in the user's code that made it, and every step of a backward pass.

It costs nothing while unused: only while somebody watches are the methods exchanged that make calls and pass cotangents
back, and only what the watching thread does is reported.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

from tinygrad2.autodiff import custom, engine
from tinygrad2.autodiff.node import Node
from tinygrad2.autodiff.primitive import Primitive, VariadicPrimitive
from tinygrad2.autodiff.tensor import Tensor

_PACKAGE = Path(__file__).parents[1]
_OWN = tuple(str(_PACKAGE / name) for name in ("autodiff", "kernels", "ops", "nn", "verify/filling.py"))


class Place(NamedTuple):
    """Where in the user's code a call was made: `text` is the expression, `line` the whole line it begins on."""

    file: str
    function: str
    number: int
    line: str
    text: str
    columns: tuple[int, int]  # of the text within the file's line


class Call(NamedTuple):
    """One call of a primitive: what went in, as it was given, and what came out (`out.node` is its tape node)."""

    op: Primitive
    args: tuple[Any, ...]
    out: Tensor
    frame: FrameType  # the one that made the call

    def place(self) -> Place | None:
        """Where in the user's code the call was made: to be asked inside `see`, while the code still is there.

        The innermost place outside this package's own operations; None where the source is not known.
        """
        frame = self.users_frame()
        return _place(frame.f_code, frame.f_lasti) if frame is not None else None

    def users_frame(self) -> FrameType | None:
        """The innermost frame outside this package's own operations; None where there is none."""
        frame: FrameType | None = self.frame
        while frame is not None and is_own(frame):
            frame = frame.f_back
        return frame


See = Callable[[Call], None]


class Sweeps(Protocol):
    """Who wants to see backward passes. One begins, undoes call after call, and ends; a rule may begin one inside."""

    def begins(self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor], targets: Sequence[Node]) -> None:
        """A backward pass begins. outputs, cotangents: of equal shapes, any; targets: whose cotangents are wanted."""

    def undoes(self, node: Node, g: Tensor) -> None:
        """The rules of a recorded call are about to run. g: the cotangent of its result, of that shape or larger."""

    def undone(self, node: Node, passed: Sequence[tuple[Node, Tensor]]) -> None:
        """They have run. passed: what they give to each parent, of any shapes, in the order in which they ran."""

    def arrives(self, node: Node, total: Tensor) -> None:
        """A cotangent has arrived at a node. total: the sum of all that have arrived, of the node's shape."""

    def ends(self) -> None:
        """The backward pass is over."""


class _Watcher(NamedTuple):
    see: See
    sweeps: Sweeps | None


_watchers: ContextVar[tuple[_Watcher, ...]] = ContextVar("watchers", default=())
_running: ContextVar[Primitive | None] = ContextVar("running", default=None)
_lock = threading.Lock()
_watching = 0


@contextmanager
def watching(see: See, sweeps: Sweeps | None = None) -> Iterator[None]:
    """Report every call of a primitive that this thread makes inside the block: `see(call)`, right after the call.

    sweeps: who is told of backward passes.

    >>> import numpy as np
    >>> import tinygrad2 as tg
    >>> names = []
    >>> with watching(lambda call: names.append(call.op.name)):
    ...     y = tg.exp(tg.Tensor(np.ones(2)) * 3.0)
    >>> names
    ['multiply', 'exp']
    """
    token = _watchers.set((*_watchers.get(), _Watcher(see, sweeps)))
    _exchange(1)
    try:
        yield
    finally:
        _exchange(-1)
        _watchers.reset(token)


def _exchange(change: int) -> None:
    """Put reporting functions in the place of the plain ones while there is at least one watcher."""
    global _watching
    with _lock:
        _watching += change
        for (owner, name), (plain, reporting) in _plain.items():
            setattr(owner, name, reporting(plain) if _watching else plain)


def _calls(skipped: int) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """For a method that makes calls. skipped: how many of its arguments come before those of the call."""

    def reporting(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(self: Primitive, *args: Any) -> Tensor:
            watchers = _watchers.get()
            if not watchers or _running.get() is self:  # the same call once more, its arguments now made Tensors
                return plain(self, *args)
            token = _running.set(self)
            try:
                result = plain(self, *args)
            finally:
                _running.reset(token)
            for watcher in watchers:
                watcher.see(Call(self, args[skipped:], result, sys._getframe(1)))
            return result

        return call

    return reporting


def _told() -> list[Sweeps]:
    return [watcher.sweeps for watcher in _watchers.get() if watcher.sweeps is not None]


def _sweeping(plain: Callable[..., Any]) -> Callable[..., Any]:
    def sweep(outputs: Sequence[Tensor], cotangents: Sequence[Tensor], targets: Sequence[Node]) -> Any:
        told = _told()
        for watcher in told:
            watcher.begins(outputs, cotangents, targets)
        try:
            return plain(outputs, cotangents, targets)
        finally:
            for watcher in told:
                watcher.ends()

    return sweep


def _undoing(plain: Callable[..., Any]) -> Callable[..., Any]:
    def vjp(self: Any, node: Node, g: Tensor, wanted: set[Node]) -> list[tuple[Node, Tensor]]:
        told = _told()
        for watcher in told:
            watcher.undoes(node, g)
        passed = list(plain(self, node, g, wanted))
        for watcher in told:
            watcher.undone(node, passed)
        return passed

    return vjp


def _arriving(plain: Callable[..., None]) -> Callable[..., None]:
    def accumulate(pending: dict[Node, Tensor], node: Node, c: Tensor, source: str) -> None:
        plain(pending, node, c, source)
        for watcher in _told():
            watcher.arrives(node, pending[node])

    return accumulate


Reporting = Callable[[Callable[..., Any]], Callable[..., Any]]

# What is exchanged: the functions as they are, and what makes a reporting one of each.
_plain: dict[tuple[Any, str], tuple[Callable[..., Any], Reporting]] = {
    (Primitive, "__call__"): (Primitive.__call__, _calls(0)),
    (Primitive, "record"): (Primitive.record, _calls(1)),
    (VariadicPrimitive, "__call__"): (VariadicPrimitive.__call__, _calls(0)),
    (Primitive, "vjp"): (Primitive.vjp, _undoing),
    (VariadicPrimitive, "vjp"): (VariadicPrimitive.vjp, _undoing),
    (custom._Again, "vjp"): (custom._Again.vjp, _undoing),
    (custom, "sweep"): (engine.sweep, _sweeping),
    (engine, "sweep"): (engine.sweep, _sweeping),
    (engine, "_accumulate"): (engine._accumulate, _arriving),
}


def is_own(frame: FrameType) -> bool:
    """Whether a frame runs this package's own operations, or NumPy's functions around them."""
    return frame.f_code.co_filename.startswith(_OWN) or _is_numpy(frame)


def _is_numpy(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "numpy"


_places: dict[tuple[CodeType, int], Place | None] = {}


def _place(code: CodeType, instruction: int) -> Place | None:
    key = code, instruction
    if key not in _places:
        if len(_places) > 10_000:
            _places.clear()
        _places[key] = _look_up(code, instruction)
    return _places[key]


def _look_up(code: CodeType, instruction: int) -> Place | None:
    start, end, left, right = list(code.co_positions())[instruction // 2]
    if start is None or end is None or left is None or right is None:
        return None
    lines = [linecache.getline(code.co_filename, n) for n in range(start, end + 1)]
    if not lines[0]:
        return None
    pieces = [line.encode() for line in lines]  # columns count bytes
    pieces[-1] = pieces[-1][:right]
    pieces[0] = pieces[0][left:]
    text = " ".join(piece.decode().strip() for piece in pieces)
    function = code.co_name if code.co_name != "<lambda>" else "the lambda"
    return Place(code.co_filename, function, start, lines[0].strip(), text, (left, right))
