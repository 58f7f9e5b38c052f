"""Running a function under the recorder, and then as many backward passes as the picture is to have orders."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, engine
from tinygrad2.autodiff.node import recording
from tinygrad2.autodiff.tree import flatten, leaves
from tinygrad2.autodiff.watch import watching
from tinygrad2.nn import Layer
from tinygrad2.view.recorder import Recorder, code_of


@dataclass
class Run:
    """A recorded run. output: the number of fn's value; gradients: for each order the results of its pass."""

    recorder: Recorder
    fn: Callable[..., Any]
    output: int
    gradients: list[dict[str, int]]


def run(
    fn: Callable[..., Any],
    args: Sequence[Any],
    orders: int,
    by: Sequence[str] | None,
    cotangent: Any,
    tangents: Any,
) -> Run:
    """Record fn(*args) and the backward passes that are missing to the given order."""
    names, inputs, new = _prepared(fn, args)
    recorder = Recorder(code_of(fn), names, run.__code__)
    for t, name in inputs:
        recorder.add(t.array, "input" if t.node is not None else "constant", name, t.node)
    with recording(True), watching(recorder.see, recorder):
        y = fn(*new)
        if not isinstance(y, Tensor):
            raise TypeError(f"steps: the function must return one Tensor, got {type(y).__name__}")
        output = recorder.of(y)
        recorder.look_again()
        targets = _targets(recorder, inputs, y, by)
        gradients = []
        outputs = [y]
        order = recorder.values[output].order
        seeds = [engine.seed(y, cotangent)] if order < orders and y.node is not None else []
        for _ in range(order, orders):
            if all(t.node is None for t in outputs):
                break
            results = engine.vector_jacobian_product(outputs, seeds, [t for _, t in targets], True, allow_unused=True)
            found = [(name, g) for (name, _), g in zip(targets, results, strict=True) if g is not None]
            gradients.append({name: recorder.of(g) for name, g in found})
            given = _tangents(found, tangents)
            tangents = None
            outputs = [g for _, g in found if g.node is not None]
            seeds = [v for (_, g), v in zip(found, given, strict=True) if g.node is not None]
    return Run(recorder, fn, output, gradients)


def _prepared(
    fn: Callable[..., Any], args: Sequence[Any]
) -> tuple[dict[int, str], list[tuple[Tensor, str]], list[Any]]:
    """The names of what is known by name, the tensors among the arguments, and the arguments to call fn with."""
    names: dict[int, str] = {}
    inputs: list[tuple[Tensor, str]] = []
    new: list[Any] = []
    for name, arg in zip(_parameter_names(fn, len(args)), args, strict=True):
        if isinstance(arg, Layer):
            _name_layers(names, arg, "")
            new.append(arg)
            continue
        found, rebuild = flatten(arg)
        paths = [".".join([name, *map(str, path)]) for path, _ in leaves(arg)]
        made = [_leaf(value, path) for value, path in zip(found, paths, strict=True)]
        inputs += [(t, path) for t, path in zip(made, paths, strict=True) if isinstance(t, Tensor)]
        new.append(rebuild(iter(made)))
    for name, held in _closed_over(fn):
        if isinstance(held, Layer):
            _name_layers(names, held, "")
        elif isinstance(held, Tensor):
            names[id(held)] = held.name or name
    return names, inputs, new


def _leaf(value: Any, name: str) -> Any:
    """An argument as the leaf that fn is to see; what holds no floating numbers stays as it is."""
    if isinstance(value, Tensor):
        return Tensor(value.array, requires_grad=value.dtype.kind == "f", name=value.name or name)
    if isinstance(value, float) or (isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f"):
        return Tensor(value, requires_grad=True, name=name)
    return value


def _name_layers(names: dict[int, str], net: Layer, name: str) -> None:
    for path, layer in net.named_layers(name):
        names.setdefault(id(layer), path or type(layer).__name__)
    for path, t in net.named_tensors():
        names.setdefault(id(t), path)


def _parameter_names(fn: Callable[..., Any], count: int) -> list[str]:
    """What fn calls its arguments; x0, x1, ... where it does not say."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(named) < count and count == 1:
        return ["x"]
    return [*named[:count], *[f"x{i}" for i in range(len(named), count)]]


def _closed_over(fn: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """What a function uses without having been given it: the layers and tensors among it are worth a name."""
    fn = inspect.unwrap(fn)
    if isinstance(fn, Layer):
        yield "net", fn
    if inspect.isfunction(fn):
        found = inspect.getclosurevars(fn)
        yield from {**found.globals, **found.nonlocals}.items()
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, Layer):
        yield "net", owner


def _targets(
    recorder: Recorder, inputs: Sequence[tuple[Tensor, str]], y: Tensor, by: Sequence[str] | None
) -> list[tuple[str, Tensor]]:
    """What is differentiated by: the floating arguments and the parameters that y depends on, or those named."""
    known = {t.node: (name, t) for t, name in inputs if t.node is not None}
    found: list[tuple[str, Tensor]] = list(known.values())
    for value in recorder.values:
        if value.kind == "parameter":
            t = recorder.tensor_of(value.number)
            if t is not None and t.node not in known:
                found.append((value.name or f"w{value.number}", t))
    if by is None:
        if y.node is None:
            return found
        reached = set(engine.reachable([y.node], "sources"))
        return [(name, t) for name, t in found if t.node in reached]
    table = dict(found)
    unknown = [name for name in by if name not in table]
    if unknown:
        raise ValueError(f"steps: by={list(by)!r} names {unknown[0]!r}; there are {', '.join(map(repr, table))}")
    return [(name, table[name]) for name in by]


def _tangents(found: Sequence[tuple[str, Tensor]], tangents: Any) -> list[Tensor]:
    """The direction of the next order, one array for each gradient: the gradient itself unless given."""
    if tangents is None:
        return [g.detach() for _, g in found]
    given = tangents if isinstance(tangents, list | tuple) else [tangents]
    if len(given) != len(found):
        raise ValueError(
            f"steps: tangents has {len(given)} arrays; it needs one for each gradient: {', '.join(n for n, _ in found)}"
        )
    return [engine.seed(g, v) for (_, g), v in zip(found, given, strict=True)]
