"""Numbers with a name: the constants, sizes and quotients of sizes by which a derivation may be off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np

from tinygrad2.verify.point import Point


def named_numbers(points: Sequence[Point], values: Sequence[float]) -> Iterator[tuple[str, Callable[[Point], float]]]:
    """The numbers with a name (a constant, a size, 1/size, ...) that equal the values at all points; none for 1."""
    if all_close(values, [1.0] * len(values)):
        return
    if all_close(values, [values[0]] * len(values)) and abs(values[0]) > 1e-9:
        constant = values[0]
        yield _constant(constant), lambda p: constant
    sizes = [_sizes(p) for p in points]
    names = [n for n in sizes[0] if all(n in s for s in sizes)]
    for said, f in _formulas(names):
        if all_close(values, [f(s) for s in sizes]):
            yield said, _at(f)


def _at(f: Callable[[dict[str, float]], float]) -> Callable[[Point], float]:
    return lambda p: f(_sizes(p))


# What a factor is often made of: one, two or three sizes or parameters.
FORMULAS: dict[str, Callable[..., float]] = {
    "{0}": lambda a: a,
    "1/{0}": lambda a: 1 / a,
    "2/{0}": lambda a: 2 / a,
    "{0}/2": lambda a: a / 2,
    "({0}-1)/{0}": lambda a: (a - 1) / a,
    "{0}/({0}-1)": lambda a: a / max(a - 1, 1e-9),
    "{0}·{1}": lambda a, b: a * b,
    "1/({0}·{1})": lambda a, b: 1 / (a * b),
    "{0}/{1}": lambda a, b: a / b,
    "{1}/{0}": lambda a, b: b / a,
    "1/({0}·{1}·{2})": lambda a, b, c: 1 / (a * b * c),
    "{0}·{1}·{2}": lambda a, b, c: a * b * c,
}


def _formulas(names: Sequence[str]) -> Iterator[tuple[str, Callable[[dict[str, float]], float]]]:
    """Every formula with every choice of sizes, those of fewer sizes first."""

    def of(f: Callable[..., float], chosen: tuple[str, ...]) -> Callable[[dict[str, float]], float]:
        return lambda sizes: f(*[sizes[name] for name in chosen])

    for count in (1, 2, 3):
        for chosen in combinations(names, count):
            for said, f in FORMULAS.items():
                if f.__code__.co_argcount == count:
                    yield said.format(*chosen), of(f, chosen)


def _sizes(p: Point) -> dict[str, float]:
    """Everything in a case that a factor could be made of."""
    numbers = {k: v for k, v in p.case.params.items() if isinstance(v, int | float) and not isinstance(v, bool) and v}
    squares = {f"{k}²": v * v for k, v in numbers.items()}
    outs = {f"output axis {i}": n for i, n in enumerate(p.truth.out_shapes[0])}
    ins = {
        f"{name}.shape[{i}]": n
        for name, a in zip(p.problem.names, p.inputs, strict=False)
        for i, n in enumerate(a.shape)
    }
    return {
        **p.case.sizes,
        **numbers,
        **squares,
        **({} if p.case.sizes else ins),
        **outs,
        "output size": max(p.truth.y.size, 1),
    }


def _constant(c: float) -> str:
    for bottom in (1, 2, 3, 4):
        if abs(c * bottom - round(c * bottom)) < 1e-7 * abs(c * bottom) and round(c * bottom):
            return f"{round(c * bottom)}" if bottom == 1 else f"{round(c * bottom)}/{bottom}"
    return f"{c:.6g}"


def all_close(a: Sequence[float], b: Sequence[float]) -> bool:
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-12))
