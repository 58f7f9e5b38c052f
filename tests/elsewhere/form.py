"""How an entry of this collection is written: a function, example inputs, right rules and wrong rules.

A rule of a `Function` with check "vjp" is called `rule(g, *inputs)` and returns one array, or a tuple with one array
for each input. With check "jacobian" it is called `rule(*inputs)` and returns the Jacobian, shape output + input, of a
function of one input. With check "double_vjp" it is called `rule(g, u, x)`, where `vjp(g, x)` is a right rule of the
forward function and u is the cotangent of its value, and returns `(dx, dg)`.

The wrong rules are written from what people get wrong on paper, and without a look at any checker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# What a kind means, in words a judge may read as paraphrases of it.
KINDS = {
    "factor": "the whole gradient of some input is off by one constant number",
    "factor-in-term": "one term, branch or path of the gradient is off by a constant number",
    "sign": "the whole gradient of some input has the wrong sign",
    "sign-in-term": "one term, branch or entry of the gradient has the wrong sign",
    "missing-term": "a summand of the product, quotient, sum or chain rule is missing; one path is not followed",
    "extra-term": "something is added that does not belong there",
    "missing-inner-derivative": "a factor of the chain rule is missing: the derivative of an inner function",
    "missing-factor": "a factor that is not a constant (a weight, a gate, another argument) is missing",
    "extra-factor": "the gradient is multiplied by something, not a constant, that does not belong there",
    "wrong-derivative": "the derivative of an elementary function is wrong",
    "wrong-power": "an exponent is wrong, for instance that of a square root, a norm or a denominator",
    "wrong-constant": "a constant of the formula is wrong",
    "wrong-point": "a derivative is taken at the wrong value, such as the output for the input",
    "wrong-variable": "one variable stands where another should",
    "detached": "a statistic or normaliser that depends on the input is treated as a constant",
    "elementwise": "a Jacobian with off-diagonal entries is treated as diagonal",
    "transpose": "a matrix, mask or pair of indices is transposed, or is not where it should be",
    "missing-sum": "a sum over a batch, broadcast, window or time axis is missing",
    "mean-for-sum": "a mean stands where a sum should",
    "sum-for-mean": "a sum stands where a mean should",
    "wrong-axis": "a sum, mean, softmax or selection runs over the wrong axis",
    "shift": "an index or a position is off, often by one",
    "wrong-index": "a recurrence uses the state or coefficient of another step",
    "only-part": "only a part of the steps, inputs, roles or entries has been treated",
    "swapped": "two gradients, halves or branches are exchanged",
    "mask": "a mask or the condition of a branch is forgotten or is wrong",
    "wrong-order": "positions are visited or laid out in the wrong order or direction",
    "epsilon": "the small constant of a denominator or root is forgotten or misplaced",
    "inverse": "a matrix is inverted where it should not be, or the reverse",
}


@dataclass(frozen=True)
class Wrong:
    """A wrong rule.

    `truth` says what is wrong with it; a name that somebody else gives to the mistake is true if it says the same as
    the truth, as the kind, or as one of `accepts` (other kinds and paraphrases). `line` is the part of a line of the
    forward function that is differentiated wrongly, or "" where no single line is.
    """

    name: str
    rule: Callable
    kind: str
    truth: str
    accepts: tuple[str, ...]
    line: str = ""


@dataclass(frozen=True)
class Function:
    """A function with its right and wrong rules; see the top of this module for how they are called."""

    name: str
    forward: Callable
    inputs: tuple[np.ndarray, ...]
    right: tuple[Callable, ...]
    wrong: tuple[Wrong, ...]
    check: str = "vjp"
    vjp: Callable | None = None


def draw(seed: int, *shapes: tuple[int, ...], scale: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, ...]:
    """Normal numbers, float64, one array for each shape."""
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(shift + scale * rng.standard_normal(shape)) for shape in shapes)


def positive(seed: int, *shapes: tuple[int, ...], low: float = 0.5, high: float = 2.0) -> tuple[np.ndarray, ...]:
    """Uniform numbers between low and high, float64, one array for each shape."""
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(rng.uniform(low, high, shape)) for shape in shapes)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
