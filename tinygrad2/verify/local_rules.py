"""What people take for the local rule of an operation: other slopes of elementwise functions, other linear maps.

A slope is one factor per entry of the call's result: the derivative of tanh is 1 - y², and some write 1 - y. The other
maps change the matrix of an edge: transposed, shifted, flipped, only its diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from tinygrad2.autodiff import VariadicPrimitive
from tinygrad2.kernels import Array
from tinygrad2.verify.edges import Local, summed
from tinygrad2.verify.local_inverse import of_inverse, t
from tinygrad2.verify.local_windows import of_windows
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


def right_slope(step: Step, arg: int) -> str:
    """The right slope of a call by one of its arguments, with {x}, {a}, {b}, {y}; "" where it has no short text."""
    if step.op.name == "power" and step.consts and isinstance(step.consts[0], int | float):
        p = step.consts[0]
        return f"{p:g}·{{x}}^{p - 1:g}" if p != 2 else "2·{x}"
    texts = RIGHT.get(step.op.name, ())
    return texts[arg] if arg < len(texts) else ""


class Other(NamedTuple):
    """Another rule for an edge. apply: the flat cotangent of the call's result to the flat one of its operand.

    text: a slope where `slope` is true, else what was done; {x}, {a}, {b}, {y} stand for the operands and the result.
    scaled: a constant times this rule is tried too.
    """

    mistake: str
    text: str
    apply: Callable[[Array], Array]
    slope: bool = False
    scaled: bool = False
    cost: float = 0.0


ROOT = "√(the right slope)"  # one of two equal factors is missing
CONDITIONS = ("relu", "where", "maximum", "clip", "max", "mask", "abs", "minimum", "min")


def others(step: Step, i: int, local: Local, values: Sequence[tuple[str, Array]]) -> Iterator[Other]:
    """The other rules for argument i of a call. values: those at hand, with their texts."""
    to = step.inputs[i].shape
    if local.slope is not None and local.gather is not None and step.op.name not in ("add", "subtract", "negative"):
        gather = local.gather
        word = "mask" if step.op.name in CONDITIONS else "wrong-derivative"
        for n, (text, slope) in enumerate(_slopes(step, i, local.slope)):
            flat = np.broadcast_to(slope, step.out.shape).ravel()
            largest = 1e-6 * np.abs(local.slope).max(initial=0.0)  # less than that is a cut, which weights.py names
            if np.isfinite(flat).all() and np.abs(flat).max(initial=0.0) > largest:
                apply = partial(np.matmul, gather * flat)
                left_out = text in ("1", ROOT) and (word != "mask" or step.op.name == "abs")
                mistake = "missing-factor" if left_out else word
                yield Other(mistake, text, apply, True, True, 0.002 * n)
    if step.op.name in CONDITIONS and local.gather is not None:
        gather = local.gather
        for text, chosen in _conditions(step, values):
            apply = partial(np.matmul, gather * chosen.ravel())
            yield Other("mask", text, apply, True, True, 0.02)
    for text, other in _operands(step, i, values):
        apply = partial(_passed, other, i, to)
        yield Other("wrong-operand", text, apply, scaled=True, cost=0.12)
    if step.op.name == "matmul":
        for text, product in _products(step, i):
            apply = partial(_multiplied, product, step.out.shape, to)
            yield Other("transpose", text, apply)
    for mistake, text, chosen in _of_extreme(step):
        yield Other(mistake, text, partial(_to_entries, chosen, step.out.shape), scaled=True)
    for mistake, text, product in (*of_inverse(step, i), *of_windows(step, i)):
        yield Other(mistake, text, partial(_multiplied, product, step.out.shape, to))
    if step.op.name == "index":
        text = "entries that are taken several times overwrite each other, they must add"
        yield Other("unsummed", text, lambda g: _overwritten(step, g))
        text = "the places are ignored: the first rows get the cotangent, in its order"
        yield Other("wrong-index", text, lambda g: _in_order(step, g))
    if local.slope is None or local.matrix.shape[0] != local.matrix.shape[1]:
        for mistake, text, matrix in maps(local.matrix, to, step.out.shape):
            yield Other(mistake, text, partial(np.matmul, matrix), cost=0.1)


def _conditions(step: Step, values: Sequence[tuple[str, Array]]) -> Iterator[tuple[str, Array]]:
    """Other conditions under which an entry lets the cotangent through."""
    numbers = {0.0, *[float(c) for c in step.consts if isinstance(c, int | float) and np.isfinite(c)]}
    numbers |= {float(a) for a in step.inputs if a.ndim == 0 and np.isfinite(a)}
    for text, value in values:
        try:
            spread = np.broadcast_to(value, step.out.shape)
        except ValueError:
            continue
        for number in sorted(numbers):
            yield f"[{text} > {number:g}]", (spread > number) * 1.0
            yield f"[{text} < {number:g}]", (spread < number) * 1.0
            if number:
                yield f"[|{text}| < {abs(number):g}]", (np.abs(spread) < abs(number)) * 1.0


def _of_extreme(step: Step) -> Iterator[tuple[str, str, Array]]:
    """Mistakes with the entries that a maximum takes: (name, words, the weight of every entry)."""
    if step.op.name != "max":
        return
    x, axes = step.inputs[0], tuple(step.consts[0])
    count = x.size / max(step.out.size, 1)
    yield "mask", "the cotangent goes to every entry, not only to the one that is taken", np.ones(x.shape)
    yield "mask", "the cotangent is shared by all entries alike, as for a mean", np.full(x.shape, 1 / count)
    smallest = (x == x.min(axes, keepdims=True)) * 1.0
    yield "mask", "the cotangent goes to the other extreme: to the smallest entry in place of the largest", smallest
    places = np.stack(np.meshgrid(*[np.arange(n) for n in x.shape], indexing="ij")) if x.ndim else np.zeros((0,))
    firsts = np.all([places[a] == 0 for a in axes], 0) * np.ones(x.shape)
    lasts = np.all([places[a] == x.shape[a] - 1 for a in axes], 0) * np.ones(x.shape)
    yield "mask", "the cotangent goes to the first entry, whichever is the largest", firsts
    yield "mask", "the cotangent goes to the last entry, whichever is the largest", lasts
    for a in range(x.ndim):
        if (a,) != axes:
            taken = (x == x.max(a, keepdims=True)) * 1.0
            yield "wrong-axis", f"the largest entries are looked for along axis {a}", taken


def _to_entries(chosen: Array, out: tuple[int, ...], g: Array) -> Array:
    return (chosen * g.reshape(out)).ravel()


def _overwritten(step: Step, g: Array) -> Array:
    out = np.zeros(step.inputs[0].shape)
    out[step.consts[0]] = g.reshape(step.out.shape)
    return out.ravel()


def _in_order(step: Step, g: Array) -> Array:
    rows = g.reshape(step.out.shape)
    out = np.zeros(step.inputs[0].shape)
    if rows.ndim == 0 or rows.shape[1:] != out.shape[1:]:
        raise ValueError
    out[: len(rows)] = rows[: len(out)]
    return out.ravel()


def _passed(step: Step, i: int, to: tuple[int, ...], g: Array) -> Array:
    return summed(step.passed(i, g.reshape(step.out.shape)), to).ravel()


def _multiplied(product: Callable[[Array], Array], out: tuple[int, ...], to: tuple[int, ...], g: Array) -> Array:
    result = product(g.reshape(out))
    if result.shape != to:
        raise ValueError
    return result.ravel()


def _slopes(step: Step, i: int, right: Array) -> Iterator[tuple[str, Array]]:
    """Other slopes of argument i, with their texts. right: the right slope."""
    y = step.out
    with np.errstate(all="ignore"):
        yield "1", np.ones_like(y)
        if step.op.name == "power":
            yield from _of_power(step.inputs[0], float(step.consts[0]))
        one = len(step.inputs) == 1
        letters = ("{x}",) if one else ("{a}", "{b}")
        operands = {"{y}": y, **dict(zip(letters, step.inputs, strict=False))}
        for letter, value in operands.items():
            if value.dtype.kind == "f":
                for form, f in FORMS.items():
                    yield form.replace("{}", letter), f(value)
        if len(step.inputs) == 2 and all(a.dtype.kind == "f" for a in step.inputs):
            a, b = step.inputs
            yield "{a}/{b}", a / b
            yield "{a}/{b}²", a / b**2
            yield "{b}/{a}", b / a
            yield "{a}²/{b}", a * a / b
            yield "{a}·{b}", a * b
            yield "({a} - {b})", a - b
            yield "({a} + {b})", a + b
        yield "1 - (the right slope)", 1 - right
        yield "(the right slope)²", right * right
        yield ROOT, np.sqrt(right)
        yield "|the right slope|", np.abs(right)


def _of_power(x: Array, p: float) -> Iterator[tuple[str, Array]]:
    yield f"{{x}}^{p - 1:g} (without the factor {p:g})", x ** (p - 1)
    yield f"{p:g}·{{x}}^{p:g}", p * x**p
    yield f"{{x}}^{p:g}", x**p
    yield f"{p:g}·{{x}}", p * x
    yield f"{p - 1:g}·{{x}}^{p - 1:g}", (p - 1) * x ** (p - 1)
    yield f"{p:g}·{{x}}^{p - 2:g}", p * x ** (p - 2)
    yield f"{p:g}·{{x}}^{p + 1:g}", p * x ** (p + 1)
    yield f"{{x}}^{p + 1:g}", x ** (p + 1)
    yield f"{{x}}^{p - 2:g}", x ** (p - 2)


def _operands(step: Step, i: int, values: Sequence[tuple[str, Array]]) -> Iterator[tuple[str, Step]]:
    """The rule with another value in the place of an operand, or taken at another point."""
    if isinstance(step.op, VariadicPrimitive):
        return
    with np.errstate(all="ignore"):
        for j, own in enumerate(step.inputs):
            if own.dtype.kind != "f":
                continue
            written = "{x}" if len(step.inputs) == 1 else ("{a}", "{b}")[j] if len(step.inputs) == 2 else f"operand {j}"
            for text, value in values:
                if value.shape != own.shape or np.array_equal(value, own):
                    continue
                inputs = [value if n == j else a for n, a in enumerate(step.inputs)]
                yield f"{text} is used in the place of {written}", step._replace(inputs=inputs)
                try:
                    again = step._replace(inputs=inputs, out=step.op.fn(*inputs, *step.consts))
                except (ValueError, TypeError, IndexError, np.linalg.LinAlgError):
                    continue
                if len(step.inputs) == 1 and again.out.shape == step.out.shape:
                    yield f"the derivative is taken at {text} in place of {written}", again


def _products(step: Step, i: int) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Mistakes with the rule of a matrix product."""
    a, b = step.inputs
    if i == 0:
        yield "{b} is not transposed (right: g {b}ᵀ)", lambda g: g @ b
        yield "the product is transposed (right: g {b}ᵀ)", lambda g: t(g @ t(b))
        yield "the factors of the product are exchanged (right: g {b}ᵀ)", lambda g: t(b) @ g
        yield "the factors are exchanged and {b} is not transposed (right: g {b}ᵀ)", lambda g: b @ g
        yield "the cotangent is transposed (right: g {b}ᵀ)", lambda g: t(g) @ t(b)
        yield "the cotangent is transposed in the place of {b} (right: g {b}ᵀ)", lambda g: t(g) @ b
        yield "the factors are exchanged and both transposed wrongly (right: g {b}ᵀ)", lambda g: b @ t(g)
    else:
        yield "{a} is not transposed (right: {a}ᵀ g)", lambda g: a @ g
        yield "the product is transposed (right: {a}ᵀ g)", lambda g: t(t(a) @ g)
        yield "the factors of the product are exchanged (right: {a}ᵀ g)", lambda g: g @ t(a)
        yield "the factors are exchanged and {a} is not transposed (right: {a}ᵀ g)", lambda g: g @ a
        yield "the cotangent is transposed (right: {a}ᵀ g)", lambda g: t(a) @ t(g)
        yield "the cotangent is transposed in the place of {a} (right: {a}ᵀ g)", lambda g: a @ t(g)
        yield "the factors are exchanged and both transposed wrongly (right: {a}ᵀ g)", lambda g: t(g) @ a


# Mistakes with a linear map from cotangents of shape `out` to cotangents of shape `to`.
def maps(matrix: Array, to: tuple[int, ...], out: tuple[int, ...]) -> Iterator[tuple[str, str, Array]]:
    """(mistake, what was done, the other matrix) for every usual mistake with a linear map."""
    n, m = matrix.shape
    diagonal = n == m and not np.any(matrix - np.diag(np.diag(matrix)))
    if n == m and n > 1:
        if not diagonal:
            own = np.diag(np.diag(matrix))
            yield "transpose", "its transpose is used", matrix.T
            yield "elementwise", "it is treated as if every entry depended on the same entry alone", own
            yield "elementwise", "the dependence of an entry on itself is left out", matrix - own
            yield "only-part", "the dependence on later entries is left out", np.triu(matrix)
            yield "only-part", "the dependence on earlier entries is left out", np.tril(matrix)
        yield "missing-factor", "its derivative is left out: the cotangent is passed on unchanged", np.eye(n)
    for text, shape, left in (("the result", to, True), ("the cotangent", out, False)):
        for mistake, what, order in reorderings(shape):
            yield mistake, f"{text} is {what}", matrix[order] if left else matrix[:, order]


@lru_cache(1000)
def reorderings(shape: tuple[int, ...]) -> list[tuple[str, str, Array]]:
    """(mistake, words, the order) for orders in which the entries of an array get mixed up; all of them keep it."""
    return [*_orders(shape)]


def _orders(shape: tuple[int, ...]) -> Iterator[tuple[str, str, Array]]:
    places = np.arange(int(np.prod(shape))).reshape(shape)
    for axis, size in enumerate(shape):
        if size > 1:
            along = f"along axis {axis}" if len(shape) > 1 else ""
            yield "flip", f"reversed {along}".strip(), np.flip(places, axis).ravel()
            if size % 2 == 0:
                yield (
                    "swap",
                    f"taken with its two halves exchanged {along}".strip(),
                    np.roll(places, size // 2, axis).ravel(),
                )
            if size > 2:
                yield "shift", f"shifted by one {along}".strip(), np.roll(places, 1, axis).ravel()
                yield "shift", f"shifted by minus one {along}".strip(), np.roll(places, -1, axis).ravel()
    for a in range(len(shape)):
        for b in range(a):
            if shape[a] == shape[b] > 1:
                yield "transpose", f"transposed (axes {b} and {a})", np.swapaxes(places, a, b).ravel()
