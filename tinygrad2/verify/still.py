"""Checking moves nothing: what a function holds (layers, generators, float32 tensors) is as before afterwards.

While a check runs, the tape records, whatever the caller has switched off; the tensors that the function holds are
float64; and every call of the function starts from the same statistics, masks and generators of its layers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.autodiff.node import recording
from tinygrad2.nn import Layer

DEPTH = 3  # functions that functions hold are looked into so far


@contextmanager
def still(*functions: Any) -> Iterator[tuple[Any, ...]]:
    """The functions, to be called inside the block; outside of it nothing has changed."""
    held = [thing for f in functions for thing in _held(f, DEPTH)]
    layers = [thing for thing in held if isinstance(thing, Layer)]
    tensors = {id(t): t for thing in held for t in _tensors(thing)}
    generators = {id(g): g for thing in held for g in _generators(thing)}
    own = {id(g): g for layer in layers for g in _generators(layer)}
    arrays = [(t, t.array) for t in tensors.values()]
    states = [(g, g.bit_generator.state) for g in generators.values()]
    common = np.random.get_state()  # noqa: NPY002  (what f may draw from)

    def reset() -> None:
        for t, exact in copies:
            t.array = exact
        for g, state in states:
            if id(g) in own:
                g.bit_generator.state = state

    def steady(f: Any) -> Any:
        if f is None or not layers:
            return f

        @functools.wraps(f if inspect.isroutine(f) else type(f).__call__)
        def run(*args: Any, **kwargs: Any) -> Any:
            reset()
            return f(*args, **kwargs)

        run.__name__ = getattr(f, "__name__", type(f).__name__)
        return run

    copies = [(t, _exact(a)) for t, a in arrays]
    try:
        for t, exact in copies:
            t.array = exact
        with recording(True):
            yield tuple(steady(f) for f in functions)
    finally:
        for t, array in arrays:
            t.array = array
        for g, state in states:
            g.bit_generator.state = state
        np.random.set_state(common)  # noqa: NPY002


def _exact(a: Any) -> Any:
    """The array in float64, read-only as a Tensor's array is."""
    if a.dtype != np.float32:
        return a
    exact = a.astype(np.float64)
    if isinstance(exact, np.ndarray):
        exact.flags.writeable = False
    return exact


def _held(f: Any, depth: int) -> list[Any]:
    """f itself, and what it can reach: its object, its closure, its defaults, and the globals that it names."""
    if isinstance(f, Layer | Tensor | np.random.Generator) or depth == 0 or f is None:
        return [f]
    if isinstance(f, functools.partial):
        return [thing for part in (f.func, *f.args, *f.keywords.values()) for thing in _held(part, depth - 1)]
    if isinstance(f, dict | list | tuple):
        parts = f.values() if isinstance(f, dict) else f
        return [thing for part in list(parts)[:1000] for thing in _held(part, depth - 1)]
    code = getattr(f, "__code__", None)
    if code is None:
        owner = getattr(f, "__self__", None)
        return _held(owner, depth - 1) if isinstance(owner, Layer) else []
    cells = [c.cell_contents for c in f.__closure__ or () if _filled(c)]
    named = [f.__globals__[name] for name in code.co_names if name in f.__globals__]
    parts = [*cells, *named, *(f.__defaults__ or ()), getattr(f, "__self__", None)]
    return [thing for part in parts if not inspect.ismodule(part) for thing in _held(part, depth - 1)]


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (raises where it is empty)
    except ValueError:
        return False
    return True


def _tensors(thing: Any) -> list[Tensor]:
    if isinstance(thing, Tensor):
        return [thing]
    if not isinstance(thing, Layer):
        return []
    return [v for _, part in thing.named_layers() for v in vars(part).values() if isinstance(v, Tensor)]


def _generators(thing: Any) -> list[np.random.Generator]:
    if isinstance(thing, np.random.Generator):
        return [thing]
    if not isinstance(thing, Layer):
        return []
    return [v for _, part in thing.named_layers() for v in vars(part).values() if isinstance(v, np.random.Generator)]
