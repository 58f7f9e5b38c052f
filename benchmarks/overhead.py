"""What the tape costs beside NumPy, for one small operation; and what batch normalisation costs double backward.

A chain of additions of two 4×4 arrays, as NumPy does it, recorded, and recorded and differentiated. NumPy's own
functions on such arrays, recorded by the sides whose tensors NumPy knows. Then the step of the input-gradient penalty
over the plain one, with and without batch normalisation.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.rows import row, start
from benchmarks.setting import problem

CHAIN = 1000
SIDES = ("tinygrad2", "PyTorch eager")

Chain = tuple[Callable[[], Any], Callable[[Any], Any]]  # record a chain; differentiate what that gave


def overhead(report: dict[str, Any], options: argparse.Namespace, save: Callable[[], None]) -> None:
    """Microseconds of an addition, and ratios of steps."""
    found = report["overhead"]
    if "microseconds" not in found:
        found["microseconds"] = one_operation(10 * options.repeats)
        save()
    for name, values in found["microseconds"].items():
        print(f"{name}: " + ", ".join(f"{what} {us:.2f} µs an addition" for what, us in values.items()), flush=True)
    if "microseconds of NumPy's functions" not in found:
        found["microseconds of NumPy's functions"] = numpys_functions(10 * options.repeats)
        save()
    for name, values in found["microseconds of NumPy's functions"].items():
        print(f"{name}: " + ", ".join(f"{call} {us:.2f} µs" for call, us in values.items()), flush=True)
    ratios = found.setdefault("penalty / plain step", {})
    for kind in ("without", "with"):
        if kind not in ratios:
            ratios[kind] = normalisation(kind == "with", options)
            save()
        print(f"penalty / plain step {kind} batch normalisation: {ratios[kind]}", flush=True)


def normalisation(normalised: bool, options: argparse.Namespace) -> dict[str, float]:
    """side -> the time of a step of the input-gradient penalty over that of a plain one."""
    workers = start(problem("three convolutions", 100, 0, steps=0, normalised=normalised), SIDES)
    try:
        rows = [row(workers, step, options.repeats, options.budget) for step in ("cross-entropy", "input gradient")]
    finally:
        for worker in workers:
            worker.close()
    plain, penalty = (r["seconds"] for r in rows)
    return {name: penalty[name] / plain[name] for name in plain if name in penalty}


def one_operation(repeats: int) -> dict[str, dict[str, float]]:
    """side -> what -> the shortest time of an operation in microseconds; the sides take turns."""
    chains = {name: make() for name, (package, make) in CHAINS.items() if find_spec(package)}
    best: dict[str, dict[str, float]] = {name: {} for name in chains}
    for _ in range(repeats):
        for name, (record, differentiate) in chains.items():
            begin = time.perf_counter()
            tape = record()
            between = time.perf_counter()
            differentiate(tape)
            times = {"recorded": between - begin, "forward and backward": time.perf_counter() - begin}
            for what, seconds in times.items():
                best[name][what] = min(1e6 * seconds / CHAIN, best[name].get(what, math.inf))
    del best["NumPy"]["forward and backward"]  # it has no backward
    return best


def numpys_functions(repeats: int) -> dict[str, dict[str, float]]:
    """side -> call -> its shortest time in microseconds, recorded where the side records; the sides take turns."""
    operands = {name: make() for name, (package, make) in OPERANDS.items() if find_spec(package)}
    best: dict[str, dict[str, float]] = {name: {} for name in operands}
    for _ in range(repeats):
        for call, f in CALLS.items():
            for name, (x, y) in operands.items():
                begin = time.perf_counter()
                for _ in range(CHAIN):
                    f(x, y)
                us = 1e6 * (time.perf_counter() - begin) / CHAIN
                best[name][call] = min(us, best[name].get(call, math.inf))
    return best


def chain(x: Any, b: Any) -> Any:
    """x + b + b + …"""
    for _ in range(CHAIN):
        x = x + b
    return x


def _numpy() -> Chain:
    x = np.ones((4, 4), np.float32)
    b = np.ones((4, 4), np.float32)
    return lambda: chain(x, b), lambda y: None


def _tinygrad2() -> Chain:
    from tinygrad2 import Tensor
    from tinygrad2.autodiff import autograd

    x, b, u = (Tensor(np.ones((4, 4), np.float32), requires_grad=True) for _ in range(3))
    return lambda: chain(x, b), lambda y: autograd.grad(y, [x, b], u)


def _torch() -> Chain:
    import torch

    x, b = (torch.ones(4, 4, requires_grad=True) for _ in range(2))
    return lambda: chain(x, b), lambda y: torch.autograd.grad(y, [x, b], torch.ones(4, 4))


def _autograd() -> Chain:
    import autograd

    x, b, u = (np.ones((4, 4), np.float32) for _ in range(3))
    record = autograd.make_vjp(lambda both: chain(*both))
    return lambda: record((x, b)), lambda tape: tape[0](u)


CHAINS = {
    "NumPy": ("numpy", _numpy),
    "tinygrad2": ("tinygrad2", _tinygrad2),
    "PyTorch": ("torch", _torch),
    "HIPS autograd": ("autograd", _autograd),
}


def _two() -> list[Any]:
    return [np.ones((4, 4), np.float32), np.full((4, 4), 2, np.float32)]


def _two_tensors() -> list[Any]:
    from tinygrad2 import Tensor

    return [Tensor(a, requires_grad=True) for a in _two()]


def _two_of_mygrad() -> list[Any]:
    import mygrad

    return [mygrad.tensor(a) for a in _two()]


OPERANDS = {
    "NumPy": ("numpy", _two),
    "tinygrad2": ("tinygrad2", _two_tensors),
    "MyGrad": ("mygrad", _two_of_mygrad),
}
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "np.exp(x)": lambda x, y: np.exp(x),
    "np.add(x, y)": lambda x, y: np.add(x, y),
    "np.maximum(x, y)": lambda x, y: np.maximum(x, y),
    "np.sum(x)": lambda x, y: np.sum(x),
    "np.sum(x, axis=0)": lambda x, y: np.sum(x, axis=0),
    "np.mean(x)": lambda x, y: np.mean(x),
}
