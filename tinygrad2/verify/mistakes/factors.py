"""Mistakes with a factor that is made of a saved value: it is missing, is there once too often, or is another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.mistakes.hypothesis import Hypothesis, again, cotangent, fit, got, saved
from tinygrad2.verify.point import Point

# What a factor may be of a saved value: how it is printed, and how it is computed.
FORMS: dict[str, Callable[[Array], Array]] = {
    "[{} > 0]": lambda a: (a > 0) * 1.0,
    "[{} < 0]": lambda a: (a < 0) * 1.0,
    "{}": lambda a: a,
    "{}²": lambda a: a * a,
    "(1 - {})": lambda a: 1 - a,
    "(1 + {})": lambda a: 1 + a,
    "{}(1 - {})": lambda a: a * (1 - a),
    "(1 - {}²)": lambda a: 1 - a * a,
    "sign({})": np.sign,
    "|{}|": np.abs,
    "exp({})": np.exp,
    "√{}": np.sqrt,
    "{}³": lambda a: a**3,
    "‖{}‖": lambda a: np.sqrt((a * a).sum()),
    "‖{}‖²": lambda a: (a * a).sum(),
    "‖{}‖ of each row": lambda a: np.sqrt((a * a).sum(-1, keepdims=True)),
    "‖{}‖² of each row": lambda a: (a * a).sum(-1, keepdims=True),
}
SLOPES = ("{}", "(1 - {})", "(1 + {})", "{}²", "(1 - {}²)", "{}(1 - {})")  # those that one takes for another


class Factor(NamedTuple):
    """A form of a saved value. front: its axes are the front ones of the larger array (one number per sample)."""

    name: str
    front: bool
    form: str
    below: str = ""  # the form that it is divided by

    def __str__(self) -> str:
        return self.form.replace("{}", self.name)

    def at(self, p: Point, shape: tuple[int, ...]) -> Array:
        """The factor at a point, for an array of the shape."""
        a = saved(p)[self.name]
        value = FORMS[self.form](a)
        return fit(value / FORMS[self.below](a) if self.below else value, shape, self.front)


def of_factors(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """A factor made of saved values: on the result, on the cotangent, or one too many."""
    c = points[0].problem.cotangent
    for name, front in _operands(points[0]):
        for form in FORMS:
            factor = Factor(name, front, form)
            word = "mask" if form.startswith("[") else "factor"
            mistake = "mask" if word == "mask" else "missing-factor"
            missing = f"The {word} {factor} is missing: right"
            yield Hypothesis(mistake, f"{missing} after multiplying the result by it.", partial(_result_times, factor))
            yield Hypothesis(mistake, f"{missing} when {c} is multiplied by it first.", partial(_first_times, factor))
            if word == "factor":
                missing = f"The factor 1/({factor}) is missing: right"
                over = partial(_result_over, factor)
                yield Hypothesis(mistake, f"{missing} after dividing the result by {factor}.", over)
                yield Hypothesis(
                    mistake, f"{missing} when {c} is divided by {factor} first.", partial(_first_over, factor)
                )


def of_exchanged(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """One factor of saved values where another should be."""
    for name, front in _operands(points[0]):
        for there, wanted in permutations(SLOPES, 2):
            said = f"The factor {Factor(name, front, there)} stands where {Factor(name, front, wanted)} should."
            yield Hypothesis("missing-factor", said, partial(_result_times, Factor(name, front, wanted, there)))


def _result_times(factor: Factor, p: Point, k: int) -> Array:
    return got(p, k) * factor.at(p, p.expected[k].shape)


def _result_over(factor: Factor, p: Point, k: int) -> Array:
    return got(p, k) / factor.at(p, p.expected[k].shape)


def _first_times(factor: Factor, p: Point, k: int) -> Array:
    g = cotangent(p)
    return again(p, k, g=(g * factor.at(p, g.shape)).ravel())


def _first_over(factor: Factor, p: Point, k: int) -> Array:
    g = cotangent(p)
    return again(p, k, g=(g / factor.at(p, g.shape)).ravel())


def _operands(p: Point) -> Iterator[tuple[str, bool]]:
    """Every saved value, and whether its axes are the front ones of a larger array."""
    for name, a in saved(p).items():
        yield name, False
        if np.ndim(a):
            yield name, True
