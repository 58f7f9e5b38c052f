"""Tracing a function that fills arrays: `y = np.zeros(n)`, then `y[i] = v`; or `np.array([a, b])` of what it computed.

Inside the block, in this thread, an assignment into a Tensor gives the Tensor a new value that depends on the old one,
np.array of Tensors stacks them, and the arrays that f makes to be filled are Tensors. What comes of it is believed only
where it equals the measured derivative, so an array that is filled through a view does no harm.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygrad2 import ops
from tinygrad2.autodiff import Tensor

_tracing: ContextVar[bool] = ContextVar("tracing", default=False)
_lock = threading.Lock()
_inside = 0
_refuse = Tensor.__setitem__
_PLAIN: dict[str, Callable[..., Any]] = {
    name: getattr(np, name) for name in ("array", "asarray", "zeros", "empty", "ones", "full")
}


@contextmanager
def filling() -> Iterator[None]:
    """Let the functions called in the block fill Tensors as they fill arrays."""
    token = _tracing.set(True)
    _exchange(1)
    try:
        yield
    finally:
        _exchange(-1)
        _tracing.reset(token)


def _exchange(change: int) -> None:
    """Put the stand-ins in their places while somebody needs them."""
    global _inside
    with _lock:
        _inside += change
        Tensor.__setitem__ = _assign if _inside else _refuse  # type: ignore[method-assign]
        for name, plain in _PLAIN.items():
            setattr(np, name, _stand_in(plain) if _inside else plain)


def _stand_in(plain: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function, which answers f's own code with a Tensor where that may be needed."""

    def called(*args: Any, **kwargs: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__", "")).partition(".")[0]
        if not _tracing.get() or caller in ("tinygrad2", "numpy"):
            return plain(*args, **kwargs)
        if plain in (_PLAIN["array"], _PLAIN["asarray"]):
            return _stacked(args[0]) if args and _computed(args[0]) else plain(*args, **kwargs)
        made = plain(*args, **kwargs)
        return Tensor(made) if made.dtype.kind == "f" else made

    return called


def _computed(value: Any) -> bool:
    """True if there is a Tensor in nested lists."""
    return isinstance(value, Tensor) or (isinstance(value, list | tuple) and any(map(_computed, value)))


def _stacked(value: Any) -> Tensor:
    """Nested lists of Tensors and numbers as one Tensor."""
    if isinstance(value, list | tuple):
        return ops.stack([_stacked(v) for v in value])
    return value if isinstance(value, Tensor) else Tensor(_PLAIN["asarray"](value, np.float64))


def _assign(self: Tensor, key: Any, value: Any) -> None:
    if not _tracing.get():
        _refuse(self, key, value)
    result = _with_entries(self, key, value)
    self.array = result.array
    self.node = result.node


def _with_entries(x: Tensor, key: Any, value: Any) -> Tensor:
    """x with other entries at the key, as a function of x and of them."""
    at = np.arange(x.size).reshape(x.shape)[key]
    free = np.isin(np.arange(x.size).reshape(x.shape), at, invert=True)
    kept = ops.mask(x, free)
    if not isinstance(value, Tensor):
        others = np.where(free, 0.0, 1.0)
        others[key] = value
        return kept + others if others.any() else kept
    source = _PLAIN["full"](x.size, np.size(at))  # the place of each entry among the new ones; after them stands a 0
    source[np.ravel(at)] = np.arange(np.size(at))
    entries = ops.reshape(ops.broadcast_to(value, np.shape(at)), (-1,))
    return kept + ops.concatenate([entries, Tensor([0.0])])[source.reshape(x.shape)]
