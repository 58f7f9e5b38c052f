"""What people take for the local rule of an operation: other slopes of elementwise functions, other linear maps.

A slope is one factor per entry of the call's result: the derivative of tanh is 1 - y², and some write 1 - y. The other
maps change the matrix of an edge: transposed, shifted, flipped, only its diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.tracing import Step

# The right slopes, as they are printed: x or a, b are the operands, y the result, p an exponent.
RIGHT: dict[str, tuple[str, ...]] = {
    "multiply": ("{b}", "{a}"),
    "divide": ("1/{b}", "-{a}/{b}²"),
    "exp": ("{y}",),
    "log": ("1/{x}",),
    "sqrt": ("1/(2·{y})",),
    "tanh": ("1 - {y}²",),
    "sigmoid": ("{y}·(1 - {y})",),
    "relu": ("[{x} > 0]",),
    "abs": ("sign({x})",),
    "sin": ("cos({x})",),
    "cos": ("-sin({x})",),
    "log1p": ("1/(1 + {x})",),
    "expm1": ("{y} + 1",),
    "square": ("2·{x}",),
    "reciprocal": ("-1/{x}²",),
    "softplus": ("1/(1 + exp(-{x}))",),
    "arctan": ("1/(1 + {x}²)",),
    "sinh": ("cosh({x})",),
    "cosh": ("sinh({x})",),
    "negative": ("-1",),
}

# Functions of one value that people take for a slope or a factor, simplest first.
FORMS: dict[str, Callable[[Array], Array]] = {
    "{}": lambda v: v,
    "1/{}": lambda v: 1 / v,
    "{}²": lambda v: v * v,
    "1/{}²": lambda v: 1 / (v * v),
    "(1 - {})": lambda v: 1 - v,
    "(1 + {})": lambda v: 1 + v,
    "√{}": np.sqrt,
    "1/√{}": lambda v: 1 / np.sqrt(v),
    "(1 - {}²)": lambda v: 1 - v * v,
    "(1 + {}²)": lambda v: 1 + v * v,
    "1/(1 - {})": lambda v: 1 / (1 - v),
    "1/(1 + {})": lambda v: 1 / (1 + v),
    "1/(1 - {}²)": lambda v: 1 / (1 - v * v),
    "1/(1 + {}²)": lambda v: 1 / (1 + v * v),
    "{}·(1 - {})": lambda v: v * (1 - v),
    "1/({}·(1 - {}))": lambda v: 1 / (v * (1 - v)),
    "{}³": lambda v: v**3,
    "1/{}³": lambda v: v**-3.0,
    "[{} > 0]": lambda v: (v > 0) * 1.0,
    "[{} < 0]": lambda v: (v < 0) * 1.0,
    "sign({})": np.sign,
    "|{}|": np.abs,
    "exp({})": np.exp,
    "exp(-{})": lambda v: np.exp(-v),
    "log({})": np.log,
    "tanh({})": np.tanh,
    "sigmoid({})": lambda v: 1 / (1 + np.exp(-v)),
    "sin({})": np.sin,
    "cos({})": np.cos,
    "(1 - tanh({})²)": lambda v: 1 - np.tanh(v) ** 2,
}


def slopes(step: Step, i: int, right: Array, names: dict[str, str]) -> Iterator[tuple[str, Array]]:
    """Other slopes of argument i, with their texts. names: what x, a, b and y are called. right: the right slope."""
    y = step.out
    with np.errstate(all="ignore"):
        yield "1", np.ones_like(y)
        if step.op.name == "power":
            x, p = step.inputs[0], step.consts[0]
            yield from _of_power(x, float(p), names)
        operands = {"y": y, **dict(zip(("x",) if len(step.inputs) == 1 else ("a", "b"), step.inputs, strict=False))}
        for letter, value in operands.items():
            if value.dtype.kind != "f":
                continue
            for form, f in FORMS.items():
                yield form.replace("{}", names[letter]), np.broadcast_to(f(value), y.shape)
        if len(step.inputs) == 2 and all(a.dtype.kind == "f" for a in step.inputs):
            a, b = step.inputs
            for text, value in {
                "{a}/{b}": a / b,
                "{a}/{b}²": a / b**2,
                "{b}/{a}": b / a,
                "{a}²/{b}": a * a / b,
                "{a}·{b}": a * b,
                "{a} - {b}": a - b,
                "{a} + {b}": a + b,
            }.items():
                yield text.format(**names), np.broadcast_to(value, y.shape)
        name = step.op.name
        letters = names[next(iter(operands.keys() - {"y"}))] if len(step.inputs) == 1 else ""
        derivative = f"the derivative of {name} at {letters}" if letters else "the right slope"
        yield f"1 - ({derivative})", 1 - right
        yield f"({derivative})²", right * right
        yield f"√({derivative})", np.sqrt(right)
        yield f"|{derivative}|", np.abs(right)
        yield from _elsewhere(step, i, operands, names)


def _of_power(x: Array, p: float, names: dict[str, str]) -> Iterator[tuple[str, Array]]:
    n = names["x"]
    for text, value in {
        f"{n}^{p - 1:g} (without the factor {p:g})": x ** (p - 1),
        f"{p:g}·{n}^{p:g}": p * x**p,
        f"{n}^{p:g}": x**p,
        f"{p:g}·{n}": p * x,
        f"{p - 1:g}·{n}^{p - 1:g}": (p - 1) * x ** (p - 1),
        f"{p:g}·{n}^{p - 2:g}": p * x ** (p - 2),
        f"{p:g}·{n}^{p + 1:g}": p * x ** (p + 1),
        f"{n}^{p + 1:g}": x ** (p + 1),
        f"{n}^{p - 2:g}": x ** (p - 2),
        f"{n}^{1 / p:g}" if p else "1": x ** (1 / p) if p else x * 0 + 1,
    }.items():
        yield text, value


def _elsewhere(step: Step, i: int, operands: dict[str, Array], names: dict[str, str]) -> Iterator[tuple[str, Array]]:
    """The right rule at a wrong point: taken at the result in the place of the input."""
    if len(step.inputs) == 1 and step.inputs[0].shape == step.out.shape and step.out.dtype.kind == "f":
        try:
            there = step._replace(inputs=[step.out], out=step.op.fn(step.out, *step.consts))
            text = f"the derivative of {step.op.name} at {names['y']}, its result,"
            yield text, there.passed(i, np.ones_like(step.out))
        except (ValueError, TypeError, FloatingPointError):
            return


# Mistakes with a linear map from cotangents of shape `out` to cotangents of shape `to`.
def maps(matrix: Array, to: tuple[int, ...], out: tuple[int, ...]) -> Iterator[tuple[str, str, Array]]:
    """(mistake, what was done, the other matrix) for every usual mistake with a linear map."""
    n, m = matrix.shape
    if n == m and n > 1:
        yield "transpose", "its transpose is used", matrix.T
        yield "elementwise", "it is treated as if every entry depended on the same entry alone", np.diag(np.diag(matrix))
        yield "elementwise", "the dependence of an entry on itself is left out", matrix - np.diag(np.diag(matrix))
        yield "missing-factor", "its derivative is left out: the cotangent is passed on unchanged", np.eye(n)
    for text, shape, left in (("the result", to, True), ("the cotangent", out, False)):
        for mistake, what, order in reorderings(shape):
            yield mistake, f"{text} is {what}", matrix[order] if left else matrix[:, order]


def reorderings(shape: tuple[int, ...]) -> Iterator[tuple[str, str, Array]]:
    """(mistake, words, the order) for orders in which the entries of an array get mixed up; all of them keep it."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    for axis, size in enumerate(shape):
        if size > 1:
            along = f"along axis {axis}" if len(shape) > 1 else ""
            yield "flip", f"reversed {along}".strip(), np.flip(places, axis).ravel()
            if size > 2:
                yield "shift", f"shifted by one {along}".strip(), np.roll(places, 1, axis).ravel()
                yield "shift", f"shifted by minus one {along}".strip(), np.roll(places, -1, axis).ravel()
    for a in range(len(shape)):
        for b in range(a):
            if shape[a] == shape[b] > 1:
                yield "transpose", f"transposed (axes {b} and {a})", np.swapaxes(places, a, b).ravel()


def products(step: Step, i: int, g: Array) -> Iterator[tuple[str, str, Array]]:
    """(mistake, what was done, the result) for mistakes with the rule of a matrix product."""
    if step.op.name == "matmul":
        a, b = step.inputs
        t = lambda x: np.swapaxes(x, -1, -2)
        said = {0: ("b", b, "g bᵀ"), 1: ("a", a, "aᵀ g")}[i]
        other = said[1]
        for text, f in {
            f"{said[0]} is not transposed": (lambda: g @ other) if i == 0 else (lambda: other @ g),
            "the product is transposed": (lambda: t(g @ t(b))) if i == 0 else (lambda: t(t(a) @ g)),
            "the factors of the product are exchanged": (lambda: t(b) @ g) if i == 0 else (lambda: g @ t(a)),
            "the cotangent is transposed": (lambda: t(g) @ t(b)) if i == 0 else (lambda: t(a) @ t(g)),
            "the product is taken in the other order, nothing transposed": (lambda: other @ g)
            if i == 0
            else (lambda: g @ other),
            "the product is transposed, its factor not": (lambda: t(g @ other)) if i == 0 else (lambda: t(other @ g)),
            "the cotangent is transposed, the factor not": (lambda: t(g) @ b) if i == 0 else (lambda: a @ t(g)),
        }.items():
            try:
                value = f()
            except ValueError:
                continue
            if value.shape == step.inputs[i].shape:
                yield "transpose", f"{text} (right: {said[2]})", value
    if step.op.name == "index" and step.consts:
        out = np.zeros(step.inputs[0].shape)
        out[step.consts[0]] = g
        yield "unsummed", "entries that are taken several times overwrite each other, they must add", out
