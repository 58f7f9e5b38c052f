"""Seeing every call of a primitive, with the place in the user's code that made it. It costs nothing while unused.

Only while somebody watches is the method that records calls exchanged; only the watching thread's calls are reported.
"""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

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
        frame: FrameType | None = self.frame
        while frame is not None and (frame.f_code.co_filename.startswith(_OWN) or _is_numpy(frame)):
            frame = frame.f_back
        return _place(frame.f_code, frame.f_lasti) if frame is not None else None


See = Callable[[Call], None]

_watchers: ContextVar[tuple[See, ...]] = ContextVar("watchers", default=())
_running: ContextVar[Primitive | None] = ContextVar("running", default=None)
_lock = threading.Lock()
_watching = 0
# The methods that make calls, and how many of their arguments come before those of the call.
_plain: dict[tuple[type[Primitive], str], tuple[Callable[..., Tensor], int]] = {
    (Primitive, "__call__"): (Primitive.__call__, 0),
    (Primitive, "record"): (Primitive.record, 1),
    (VariadicPrimitive, "__call__"): (VariadicPrimitive.__call__, 0),
}


@contextmanager
def watching(see: See) -> Iterator[None]:
    """Report every call of a primitive that this thread makes inside the block: `see(call)`, right after the call.

    >>> import numpy as np
    >>> import tinygrad2 as tg
    >>> names = []
    >>> with watching(lambda call: names.append(call.op.name)):
    ...     y = tg.exp(tg.Tensor(np.ones(2)) * 3.0)
    >>> names
    ['multiply', 'exp']
    """
    token = _watchers.set((*_watchers.get(), see))
    _exchange(1)
    try:
        yield
    finally:
        _exchange(-1)
        _watchers.reset(token)


def _exchange(change: int) -> None:
    """Put reporting methods in the place of the plain ones while there is at least one watcher."""
    global _watching
    with _lock:
        _watching += change
        for (kind, name), (plain, skipped) in _plain.items():
            setattr(kind, name, _reporting(plain, skipped) if _watching else plain)


def _reporting(plain: Callable[..., Tensor], skipped: int) -> Callable[..., Tensor]:
    def call(self: Primitive, *args: Any) -> Tensor:
        watchers = _watchers.get()
        if not watchers or _running.get() is self:  # the same call once more, its arguments now made Tensors
            return plain(self, *args)
        token = _running.set(self)
        try:
            result = plain(self, *args)
        finally:
            _running.reset(token)
        for see in watchers:
            see(Call(self, args[skipped:], result, sys._getframe(1)))
        return result

    return call


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
