"""The configurations in which a derivation must hold: sizes of named axes, parameters such as stride, and a seed.

`Space("n c h w, o c kh kw", {"stride": [1, 2]})` declares them in one line; equal names stay equal. A case is a few
integers, so the smallest failing one is found by lowering them one by one; arrays follow from the seed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad2.kernels import Array

Sizes = Mapping[str, int]
Draw = Callable[[np.random.Generator, tuple[int, ...], Sizes], Array]
LARGEST = 4  # of an axis, where the space does not say


@dataclass(frozen=True)
class Case:
    """One configuration; printed and parsed as "n=1, c=2, stride=2, seed=3, x:ones".

    where: the region that the arrays are drawn from, "" for the first that f takes; of examples "given" or "near".
    simple: name of an input or cotangent -> the simple array in its place, see `simple_array`.
    """

    sizes: dict[str, int]
    params: dict[str, Any]
    seed: int = 0
    where: str = ""
    simple: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.where == "given" and not self.simple:
            return ", ".join([*(f"{k}={v!r}" for k, v in self.params.items()), "the given values"])
        parts = [f"{k}={v!r}" for k, v in {**self.sizes, **self.params}.items()]
        where = [f"values={self.where}"] if self.where else []
        return ", ".join([*parts, f"seed={self.seed}", *where, *(f"{k}:{v}" for k, v in self.simple.items())])


def grid(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> Array:
    """Distinct odd multiples of a power of two between -2 and 2: no zero, no tie, and exact in float32 and float64."""
    n = int(np.prod(shape))
    k = 2 ** max(5, int(np.ceil(np.log2(max(n, 1)))))
    return ((2 * rng.permutation(k)[:n] + 1 - k) * (2.0 / k)).reshape(shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> Array:
    """Distinct numbers between 1/2 and 2½."""
    return grid(rng, shape, sizes) / 2 + 1.5


def unit(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> Array:
    """Distinct numbers between 0.1 and 0.9."""
    return grid(rng, shape, sizes) / 5 + 0.5


def simple_array(form: str, like: Array) -> Array:
    """The array that "ones", "counting", "rounded" or "one-hot(3)" stand for in the place of another.

    >>> simple_array("one-hot(1)", np.zeros(3))
    array([0., 1., 0.])
    """
    if form == "ones":
        return np.ones(like.shape)
    if form == "counting":
        return np.arange(1.0, like.size + 1).reshape(like.shape)
    if form == "rounded":
        return np.round(like)
    found = re.fullmatch(r"one-hot\((\d+)\)", form)
    if not found:
        raise ValueError(f"{form!r} is no simple array; known: ones, counting, rounded, one-hot(0), one-hot(1), ...")
    return (np.arange(like.size) == int(found[1])).astype(np.float64).reshape(like.shape)


def integers(axis: str) -> Draw:
    """Integers that count along an axis: labels, or rows of a table."""
    return lambda rng, shape, sizes: rng.integers(0, sizes[axis], shape)


REGIONS: dict[str, Draw] = {"between -2 and 2": grid, "positive": positive, "between 0 and 1": unit}


@dataclass(frozen=True)
class Space:
    """Named axes per input ("n c h w, o c kh kw"; "" is a scalar), values of the parameters, and limits.

    params: name -> the values to try, the simplest first. sizes: axis -> (smallest, largest), else 1 to 4.
    draws: input number -> how its values are drawn, where not real numbers. valid: which sizes and parameters fit.
    """

    axes: str
    params: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    draws: Mapping[int, Draw] = field(default_factory=dict)
    valid: Callable[..., bool] = lambda **_: True

    def __post_init__(self) -> None:
        for name in self.names:
            if not re.fullmatch(r"[^\W\d]\w*", name):
                raise ValueError(f"axes {self.axes!r}: {name!r} is no name; write them as in 'n c h w, o c kh kw'")
        for name, values in self.params.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
                raise ValueError(f"params: {name!r} needs a list of the values to try, such as [1, 2]; got {values!r}")
        last = len(self.inputs_axes) - 1
        for i in self.draws:
            if i not in range(last + 1):
                raise ValueError(f"draws: expected the number of an input, from 0 to {last}, got {i!r}")

    @property
    def inputs_axes(self) -> list[list[str]]:
        """The names of every input's axes."""
        return [part.split() for part in self.axes.split(",")]

    @property
    def names(self) -> list[str]:
        """All axes, each once."""
        return list(dict.fromkeys(name for axes in self.inputs_axes for name in axes))

    def limits(self, name: str) -> tuple[int, int]:
        """The smallest and the largest size of an axis."""
        return self.sizes.get(name, (1, LARGEST))

    def fits(self, case: Case) -> bool:
        """True if the sizes and parameters belong together."""
        return self.valid(**case.sizes, **case.params)

    def draw(self, rng: np.random.Generator) -> Case:
        """A random case that fits."""
        for _ in range(1000):
            sizes = {name: int(rng.integers(lo, hi + 1)) for name in self.names for lo, hi in [self.limits(name)]}
            params = {name: values[int(rng.integers(len(values)))] for name, values in self.params.items()}
            case = Case(sizes, params, int(rng.integers(1000)))
            if self.fits(case):
                return case
        raise ValueError(f"no configuration of {self.axes!r} fits in 1000 draws: is `valid` right?")

    def smaller(self, case: Case) -> Iterator[Case]:
        """The cases with one size lowered, or one parameter simpler, the smallest first."""
        for name, value in case.params.items():
            values = list(self.params[name])
            for simpler in values[: values.index(value)]:
                yield replace(case, params={**case.params, name: simpler})
        for name, size in case.sizes.items():
            for n in range(self.limits(name)[0], size):
                yield replace(case, sizes={**case.sizes, name: n})

    @property
    def regions(self) -> list[str]:
        """The regions that values are drawn from, in turn, until f takes them."""
        return list(REGIONS)

    @property
    def dtypes(self) -> list[type]:
        """The dtypes that a rule has to keep."""
        return [np.float64, np.float32]

    def inputs(self, case: Case, region: str = "between -2 and 2") -> list[Array]:
        """The arrays of a case."""
        rng = np.random.default_rng(case.seed)
        shapes = [tuple(case.sizes[name] for name in axes) for axes in self.inputs_axes]
        return [self.draws.get(i, REGIONS[region])(rng, s, case.sizes) for i, s in enumerate(shapes)]

    def parse(self, text: str) -> Case:
        """The case that prints as `text`. ValueError says what is unknown or missing."""
        parts = [part.strip() for part in text.split(",")]
        given = dict(part.split("=", 1) for part in parts if "=" in part)
        simple = dict(part.split(":", 1) for part in parts if "=" not in part and ":" in part)
        known = [*self.names, *self.params]
        if missing := [k for k in known if k not in given]:
            raise ValueError(
                f"case {text!r}: missing {', '.join(missing)}; expected such as {self.draw(np.random.default_rng(0))}"
            )
        where = given.pop("values", "")
        values = {k: ast.literal_eval(v) for k, v in given.items()}
        if unknown := [k for k in values if k not in [*known, "seed"]]:
            raise ValueError(f"case {text!r}: unknown {', '.join(unknown)}; known: {', '.join(known)}, seed")
        params = {k: values[k] for k in self.params}
        return Case({k: values[k] for k in self.names}, params, values.get("seed", 0), where, simple)


@dataclass(frozen=True)
class Examples:
    """Given arrays: their values are checked first, then values around them, then drawn ones of their size.

    Integer and bool arrays are held as they are.
    """

    arrays: Sequence[Array]
    params: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def fits(self, case: Case) -> bool:
        """True: there is nothing that could not fit."""
        return True

    def draw(self, rng: np.random.Generator) -> Case:
        """A random seed, and parameters."""
        params = {name: values[int(rng.integers(len(values)))] for name, values in self.params.items()}
        return Case({}, params, int(rng.integers(1000)))

    def smaller(self, case: Case) -> Iterator[Case]:
        """The cases with one parameter simpler: there are no sizes."""
        return Space("", self.params).smaller(case)

    @property
    def regions(self) -> list[str]:
        """The regions that values are drawn from, in turn, until f takes them."""
        return [*REGIONS, "near"]

    @property
    def dtypes(self) -> list[type]:
        """The dtypes that a rule has to keep: float64, and float32 where it is given."""
        return [np.float64, np.float32] if any(a.dtype == np.float32 for a in self.arrays) else [np.float64]

    def inputs(self, case: Case, region: str = "between -2 and 2") -> list[Array]:
        """Arrays of the examples' shapes: the given ones, near them, or drawn from a region, of the given size."""
        rng = np.random.default_rng(case.seed)
        return [a.copy() if a.dtype.kind != "f" else self._values(a, region, rng) for a in self.arrays]

    def _values(self, a: Array, region: str, rng: np.random.Generator) -> Array:
        size = largest(a)
        a = a.astype(np.float64)
        if region == "given":
            return a
        if region == "near":
            return a + 0.05 * grid(rng, a.shape, {}) * np.where(a == 0, size, np.abs(a))
        return size * REGIONS[region](rng, a.shape, {})

    def parse(self, text: str) -> Case:
        """The case that prints as `text`."""
        return Space.parse(Space("", self.params), text)


def largest(a: Array) -> float:
    """The power of two nearest to the largest entry; 1 where all are zero."""
    top = float(np.abs(a).max(initial=0.0))
    return float(2.0 ** np.round(np.log2(top))) if np.isfinite(top) and top > 0 else 1.0


AnySpace = Space | Examples  # what the checker draws its cases from
