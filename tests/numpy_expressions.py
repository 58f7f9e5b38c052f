"""Random expressions of NumPy functions: the same source is computed by NumPy, and differentiated twice on Tensors.

An expression is built from the leaves up. A call is kept if NumPy's value of it is finite and of moderate size, and if
its arguments stay away from the places where it has no derivative. Gradients and second derivatives are compared with
the complex step, in one random direction.

    python tests/numpy_expressions.py --seconds 480    # how many are right in eight minutes
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numerics import leaf

from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.autodiff.tensor import wrap

Array = np.ndarray[Any, Any]
Guard = Callable[..., bool]

LARGEST = 30.0
STEP = 1e-200


def anywhere(*xs: Array) -> bool:
    return True


def above(low: float) -> Guard:
    return lambda *xs: all(bool((x > low).all()) for x in xs)


def within(high: float) -> Guard:
    return lambda *xs: all(bool((abs(x) < high).all()) for x in xs)


def off_zero(*xs: Array) -> bool:
    return all(bool((abs(x) > 0.1).all()) for x in xs)


def last_off_zero(*xs: Array) -> bool:
    return off_zero(xs[-1])


def apart(a: Array, b: Array) -> bool:
    return bool((abs(a - b) > 0.02).all())


def distinct(x: Array) -> bool:
    """No two entries nearly equal, wherever they stand."""
    return bool((np.diff(np.sort(x, None)) > 1e-3).all())


def spread(x: Array) -> bool:
    """Along no axis nearly constant."""
    return all(bool((x.std(axis) > 0.05).all()) for axis in [None, *range(x.ndim)])


def quotient(*xs: Array) -> bool:
    return off_zero(xs[1]) and fractional(xs[0] / xs[1])


def same_shape(*xs: Array) -> bool:
    return len({x.shape for x in xs}) == 1


def matrices(*xs: Array) -> bool:
    return all(x.ndim == 2 for x in xs)


def rows(*xs: Array) -> bool:
    return all(x.ndim == 1 for x in xs)


def not_scalar(*xs: Array) -> bool:
    return all(x.ndim >= 1 for x in xs)


def well_posed(x: Array, *rest: Array) -> bool:
    """What the templates of linear algebra make of x can be inverted with little loss."""
    return x.ndim == 2 and within(4.0)(x) and all(b.ndim == 1 and len(b) == len(x) for b in rest)


def fractional(x: Array) -> bool:
    return bool((abs(x - np.rint(x)) > 0.05).all())


def calls(arguments: str, functions: str, guard: Guard) -> list[tuple[str, Guard]]:
    return [(f"np.{f}({arguments})", guard) for f in functions.split()]


# source with {0}, {1} for the arguments, {axis} for an axis and {flag} for True or False; where it may be used
TEMPLATES: list[tuple[str, Guard]] = [
    *calls("{0}", "sin cos tanh arctan arcsinh negative square positive", anywhere),
    *calls("{0}", "exp exp2 expm1 sinh cosh degrees", within(3.0)),
    *calls("{0}", "arcsin arccos arctanh tan", within(0.9)),
    *calls("{0}", "log log2 log10 sqrt reciprocal cbrt", above(0.1)),
    ("np.log1p({0})", above(-0.9)),
    ("np.arccosh({0})", above(1.1)),
    ("np.log(np.abs({0}))", off_zero),
    ("np.sqrt(1.0 + {0} * {0})", anywhere),
    ("np.abs({0})", off_zero),
    ("np.radians({0})", anywhere),
    ("{0} - np.floor({0})", fractional),
    ("np.where(np.ceil({0}) > 0, {0}, np.rint({0}))", fractional),
    *((f"{{0}} {sign} {{1}}", anywhere) for sign in "+-*"),
    *calls("{0}, {1}", "add subtract multiply", anywhere),
    ("np.divide({0}, {1})", last_off_zero),
    ("{0} / {1}", last_off_zero),
    ("np.power({0}, {1})", lambda x, p: above(0.1)(x) and within(3.0)(p)),
    ("{0} ** 3", within(3.0)),
    ("{0} ** -0.5", above(0.1)),
    ("2.0 ** {0}", within(3.0)),
    *calls("{0}, {1}", "maximum minimum", apart),
    ("np.where({0} > {1}, {0}, {1} * {1})", apart),
    ("np.clip({0}, -0.5, None)", lambda x: bool((abs(x + 0.5) > 0.02).all())),
    ("np.clip({0}, None, {1})", apart),
    *calls("{0}, {1}", "hypot arctan2", lambda a, b: off_zero(a, b)),
    *calls("{0}, {1}", "logaddexp logaddexp2", anywhere),
    *calls("{0}, {1}", "remainder fmod", quotient),
    *calls("{0}, axis={axis}, keepdims={flag}", "sum mean max min prod amax amin ptp median", distinct),
    *calls("{0}, axis={axis}, keepdims={flag}", "var std", spread),
    ("np.var({0}, ddof=1)", lambda x: x.size > 1),
    ("np.add.reduce({0}, axis={axis})", anywhere),
    ("np.multiply.outer({0}, {1})", lambda a, b: a.ndim + b.ndim < 3),
    ("np.add.accumulate({0})", not_scalar),
    ("np.cumsum({0}, axis={axis})", anywhere),
    ("np.cumprod({0}, axis={axis})", within(2.0)),
    ("np.diff({0}, axis=-1)", lambda x: x.ndim >= 1 and x.shape[-1] > 1),
    ("np.sort({0}, axis=-1)", lambda x: x.ndim >= 1 and distinct(x)),
    ("np.reshape({0}, -1)", anywhere),
    ("np.ravel({0})", anywhere),
    ("np.transpose({0})", anywhere),
    ("np.swapaxes({0}, 0, -1)", not_scalar),
    ("np.moveaxis({0}, 0, -1)", not_scalar),
    ("np.expand_dims({0}, 0)", lambda x: x.ndim < 3),
    ("np.squeeze({0})", anywhere),
    ("np.flip({0}, axis={axis})", anywhere),
    ("np.roll({0}, 1, axis={axis})", anywhere),
    ("np.repeat({0}, 2, axis={axis})", anywhere),
    ("np.tile({0}, 2)", anywhere),
    ("np.broadcast_to({0}, (2, *np.shape({0})))", lambda x: x.ndim < 3),
    ("np.atleast_2d({0})", anywhere),
    ("np.take({0}, [0, -1, 0], axis=0)", not_scalar),
    ("{0}[..., ::-1]", not_scalar),
    ("{0}[[0, -1]]", not_scalar),
    ("np.concatenate([{0}, {1}])", lambda a, b: same_shape(a, b) and not_scalar(a)),
    ("np.stack([{0}, {1}], axis=-1)", lambda a, b: same_shape(a, b) and a.ndim < 3),
    ("np.hstack([{0}, {1}])", lambda a, b: same_shape(a, b) and not_scalar(a)),
    ("np.split({0}, 2)[1]", lambda x: x.ndim >= 1 and x.shape[0] % 2 == 0),
    ("np.pad({0}, 1)", not_scalar),
    ("np.tril({0})", matrices),
    ("np.triu({0}, 1)", matrices),
    ("np.diag({0})", lambda x: x.ndim in (1, 2)),
    ("np.trace({0})", matrices),
    ("{0} @ {1}", lambda a, b: not_scalar(a, b)),
    ("np.matmul({0}, {1})", lambda a, b: not_scalar(a, b)),
    ("np.dot({0}, {1})", lambda a, b: a.ndim < 3 and b.ndim < 3),
    ("np.inner({0}, {1})", rows),
    ("np.outer({0}, {1})", rows),
    ("np.tensordot({0}, {1}, 1)", lambda a, b: not_scalar(a, b)),
    ("np.einsum('ij,ij->i', {0}, {1})", lambda a, b: matrices(a, b) and same_shape(a, b)),
    ("np.einsum('ij,kj->ik', {0}, {1})", matrices),
    ("np.einsum('i,j->ji', {0}, {1})", rows),
    ("np.linalg.norm({0})", spread),
    ("np.linalg.norm({0}, axis={axis})", lambda x: spread(x) and not_scalar(x)),
    ("np.linalg.inv({0} @ {0}.T + np.diag(2.0 + 0.0 * {0}[:, 0]))", well_posed),
    ("np.linalg.solve({0} @ {0}.T + np.diag(2.0 + 0.0 * {0}[:, 0]), {1})", well_posed),
    ("np.linalg.slogdet({0} @ {0}.T + np.diag(2.0 + 0.0 * {0}[:, 0]))[1]", well_posed),
    ("np.linalg.det({0} @ {0}.T + np.diag(2.0 + 0.0 * {0}[:, 0]))", well_posed),
]


@dataclass(frozen=True)
class Expression:
    """A scalar expression in x, y and z, and the point at which it is differentiated."""

    source: str
    point: dict[str, Array]

    def __call__(self, **arguments: Any) -> Any:
        return eval(self.source, {"np": np}, arguments)


def expression(rng: np.random.Generator, calls: int = 6) -> Expression:
    """A random expression of so many calls, and a random point."""
    shapes = [(), (3,), (2, 3), (3, 3), (2, 1, 3)]
    point = {name: rng.normal(size=shapes[rng.integers(len(shapes))]) for name in "xyz"}
    known = list(point.items())
    while len(known) < len(point) + calls:
        template, guard = TEMPLATES[rng.integers(len(TEMPLATES))]
        chosen = [known[-1 - int(rng.integers(min(4, len(known))))] for _ in range(1 + ("{1}" in template))]
        values = [value for _, value in chosen]
        axes = ["None", *map(str, range(-values[0].ndim, values[0].ndim))]
        settings = {"axis": axes[rng.integers(len(axes))], "flag": str(bool(rng.integers(2)))}
        source = template.format(*[f"({text})" if " " in text else text for text, _ in chosen], **settings)
        try:
            if len(source) > 400 or not guard(*values):
                continue
            value = np.asarray(eval(source, {"np": np}, point))
        except (ValueError, IndexError):
            continue  # the shapes do not fit
        if value.size and value.size <= 64 and value.ndim <= 3 and within(LARGEST)(value):
            known.append((source, value))
    return Expression(f"np.sum({known[-1][0]})", point)


def wrong(e: Expression, rng: np.random.Generator) -> str | None:
    """What is not as it should be, or None."""
    expected = np.asarray(e(**e.point))
    xs = {name: leaf(a) for name, a in e.point.items() if re.search(rf"\b{name}\b", e.source)}
    y = e(**{**e.point, **xs})
    if not isinstance(y, Tensor):
        return f"the result is no Tensor but {type(y).__name__}"
    if y.dtype != expected.dtype or y.shape != expected.shape:
        return f"got {y.dtype} {y.shape}, NumPy has {expected.dtype} {expected.shape}"
    if not np.allclose(y.array, expected, 1e-11, 1e-11):
        return f"the value is {y.array}, NumPy's {expected}"
    if y.node is None:
        return None
    v = {name: rng.normal(size=a.shape) for name, a in e.point.items()}
    first, second = derivatives(e, xs, y, v)
    moved = {name: leaf(e.point[name] + 1j * STEP * v[name]) for name in xs}
    z = e(**{**e.point, **moved})
    certain = float(z.array.imag / STEP)
    scale = 1.0 + sum(float(abs(v[name] * g).sum()) for name, g in first.items())
    along = sum(float((v[name] * g).sum()) for name, g in first.items())
    if not abs(along - certain) <= 1e-9 * scale:
        return f"the derivative along v is {along}, by the complex step {certain}"
    steps = gradient(z, moved)
    for name in xs:
        by_step = steps[name].imag / STEP
        scale = 1.0 + float(abs(by_step).max()) + float(abs(first[name]).max())
        if not np.abs(second[name] - by_step).max() <= 1e-8 * scale:
            return f"the second derivative by {name} is {second[name].tolist()}, by the complex step {by_step.tolist()}"
    return None


def gradient(y: Tensor, xs: dict[str, Tensor]) -> dict[str, Array]:
    one = wrap(np.ones((), y.dtype), None)
    found = autograd.grad(y, list(xs.values()), one, allow_unused=True)
    return {n: np.zeros(x.shape) if g is None else g.array for (n, x), g in zip(xs.items(), found, strict=True)}


def derivatives(
    e: Expression, xs: dict[str, Tensor], y: Tensor, v: dict[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The gradient of y, and the Hessian times v, by differentiating twice."""
    found = autograd.grad(y, list(xs.values()), create_graph=True, allow_unused=True)
    first = {n: g for n, g in zip(xs, found, strict=True) if g is not None}
    values = {n: first[n].array if n in first else np.zeros(x.shape) for n, x in xs.items()}
    followed = [n for n in first if first[n].node is not None]
    if not followed:
        return values, {n: np.zeros(x.shape) for n, x in xs.items()}
    again = autograd.grad([first[n] for n in followed], list(xs.values()), [v[n] for n in followed], allow_unused=True)
    second = {n: np.zeros(x.shape) if g is None else g.array for (n, x), g in zip(xs.items(), again, strict=True)}
    return values, second


def failures(seed: int, count: int | None = None, seconds: float = np.inf) -> Iterator[str | None]:
    """For expression after expression, what is wrong with it, or None; until `count` or the time is over."""
    end = time.monotonic() + seconds
    n = 0
    while n != count and time.monotonic() < end:
        rng = np.random.default_rng((seed, n))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            e = expression(rng)
            try:
                reason = wrong(e, rng)
            except Exception as error:  # every error is a failure to report, with its expression
                reason = f"{type(error).__name__}: {error}"
        yield None if reason is None else f"seed ({seed}, {n}): {e.source}\n  {reason}"
        n += 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Random expressions of NumPy functions, differentiated twice.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=np.inf)
    options = parser.parse_args()
    results = list(failures(options.seed, options.count, options.seconds))
    found = [text for text in results if text is not None]
    print("\n".join(found[:50]))
    print(f"{len(results)} expressions, {len(found)} wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
