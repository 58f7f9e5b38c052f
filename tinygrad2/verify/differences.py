"""Central differences with two Richardson steps. How far off they may be is measured too, output by output.

The step is searched: a large one drowns in curvature, a small one in rounding, and each output keeps its best. Where f
shows the sides of its kinks, all sample points lie on the same side of every kink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.kinks import Sides

Watched = Callable[[Array], tuple[Array, Sides | None]]  # a value, and the sides of the kinks where f shows them

FIRST = 2.0**-10  # the first step, as a part of the size of the inputs
FACTOR = 16.0  # from one step to the next
UP = 12  # at most so many larger steps, while they help
DOWN = 6  # at most so many smaller ones
GOOD = 1e-7  # a slope this certain needs no other step
EPS = float(np.finfo(np.float64).eps)


class Uncertified(ArithmeticError):
    """The truth cannot be measured here, and the message says why: a kink, an edge, random numbers, rounding.

    `raise_for_error` of a report that is neither right nor wrong raises it.

    >>> import numpy as np
    >>> from tinygrad2.verify import gradcheck
    >>> report = gradcheck(np.abs, np.zeros(2), vjp=lambda g, x: g)
    >>> report.verdict
    'uncertified'
    >>> report.raise_for_error()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tinygrad2.verify.differences.Uncertified: gradcheck of absolute: UNCERTIFIED: on a kink: ...
    """


class Unsteady(Uncertified):
    """f gives two values for one input, so no other point would do either."""


@dataclass(frozen=True)
class Estimate:
    """A measured derivative, how far off it may be, and how it was measured.

    noise: what of the value may be rounding; an entry that is no larger is zero as far as anybody can tell.
    """

    value: Array
    budget: Array
    noise: Array
    scheme: str


def richardson(
    f: Watched, x: Array, v: Array, unit: float | None = None, rounding: Array | float = 0.0, size: float = 1.0
) -> Estimate:
    """The derivative of f at x along v by central differences at h, h/2, h/4, extrapolated twice.

    f returns its value and its sides. unit: how far x may move along v without becoming another number altogether.
    rounding: of each output of f, as measured. size: of the inputs. Raises Uncertified on a kink, at the edge of the
    domain, and where no step gives a slope.
    """
    y, sides = f(x)
    if not np.isfinite(y).all():
        raise Uncertified("f is not finite here")
    unit = unit or 1.0 / (np.abs(v).max(initial=0.0) or 1.0)
    line = _Line(f, x, v, y, sides, np.maximum(rounding, 4 * EPS * np.abs(y)), unit)
    best = line.at(0)
    if best is not None and line.kinked:
        line.refuse_kink()
    if best is None or not line.good(best, size):
        best = _search(line, best, size)
    if best is None:
        line.refuse_edge()
    assert best is not None
    if np.any((best.budget > 0.01 * np.abs(best.value)) & (best.budget > 8 * best.noise)):
        raise Uncertified("the slope does not settle as the step shrinks: f is not smooth here, or at a kink's edge")
    return best


def _search(line: _Line, best: Estimate | None, size: float) -> Estimate | None:
    """Other steps: larger ones where rounding is what hurts, smaller ones where curvature, kinks or edges do."""
    noisy = best is not None and bool(np.any(best.noise > 0.5 * best.budget))
    for k in range(1, UP + 1) if noisy else []:
        more = line.at(k)
        assert best is not None
        if more is None:
            break
        merged = _better(best, more, coarse=True)
        if np.array_equal(merged.budget, best.budget):
            break
        best = merged
        if line.good(best, size):
            return best
    for k in range(-1, -DOWN - 1, -1):
        more = line.at(k)
        if more is None:
            continue
        if line.kinked:
            line.refuse_kink()
        best = more if best is None else _better(best, more, coarse=False)
        if line.good(best, size):
            break
    return best


def _better(old: Estimate, new: Estimate, coarse: bool) -> Estimate:
    """Per output the more certain of two slopes. Where they contradict each other, the one of the smaller step."""
    meet = np.abs(new.value - old.value) <= 4 * (new.budget + old.budget)
    take = (meet & (new.budget < old.budget)) | (~meet & (not coarse))
    merged = [np.where(take, b, a) for a, b in zip(_parts(old), _parts(new), strict=True)]
    return Estimate(merged[0], merged[1], merged[2], old.scheme if not take.any() else new.scheme)


def _parts(e: Estimate) -> tuple[Array, Array, Array]:
    return e.value, e.budget, e.noise


class _Line:
    """f along the line x + t·v, sampled at steps of FIRST·unit·FACTOR**k."""

    def __init__(
        self, f: Watched, x: Array, v: Array, y: Array, sides: Sides | None, rounding: Array, unit: float
    ) -> None:
        self.f = f
        self.x = x
        self.v = v
        self.y = y
        self.sides = sides
        self.rounding = rounding
        self.first = float(2.0 ** np.round(np.log2(FIRST * unit)))
        moved = np.abs(x[v != 0]).max(initial=0.0) / (np.abs(v).max(initial=0.0) or 1.0)
        self.exactness = 4 * EPS * moved  # x + h is rounded too
        self.kinked = False
        self.jump: tuple[float, float] | None = None

    def at(self, k: int) -> Estimate | None:
        """The slope with the k-th step; None where a sample is not finite, or on another side of a kink."""
        h = self.first * FACTOR**k
        values = self._samples(h)
        if values is None:
            return None
        with np.errstate(all="ignore"):
            d1, d2, d4 = ((a - b) / (2 * s) for (a, b), s in zip(values, (h, h / 2, h / 4), strict=True))
            r1 = (4 * d2 - d1) / 3
            r2 = (4 * d4 - d2) / 3
            value = (16 * r2 - r1) / 15
            s1, s2, s4 = values.sum(1) - 2 * self.y
            # 20 and 64 cancel what is smooth in the second differences up to h⁴: what stays is rounding, or a kink
            scatter = np.abs(s1 - 20 * s2 + 64 * s4) / 32
            rounding = np.maximum(self.rounding, 4 * EPS * np.abs(values).max((0, 1)))
            still = (values == self.y).all((0, 1))
            noise = np.where(still, EPS * np.abs(self.y), 2 * rounding + scatter) / h
            noise = noise + self.exactness / h * np.abs(value)
            # At a kink of the slope the error falls with h, not with h²: then the last step says little of what is left
            rough = np.abs(d1 - d2) < 3 * np.abs(d2 - d4) - 8 * noise
            error = np.where(rough, np.abs(r2 - r1), np.abs(value - r2))
        if not np.isfinite(value).all():
            return None
        self.kinked = self.sides is None and self._kink(s1 / h, 2 * s2 / h, 4 * s4 / h, rounding / h)
        return Estimate(value, error + noise, noise, f"Richardson differences, h = {h:.0e}")

    def good(self, e: Estimate, size: float) -> bool:
        """True if every slope is certain beside its own size, or zero beside what the output is made of."""
        natural = np.maximum(np.abs(self.y), self.rounding / EPS) / (size or 1.0)
        zero = (np.abs(e.value) <= 4 * e.budget) & (e.budget <= 1e-9 * natural)
        return bool(np.all((e.budget <= GOOD * np.abs(e.value)) | zero))

    def refuse_kink(self) -> None:
        """Raise with the slopes of both sides."""
        left, right = self.jump or self._one_sided(self.first)
        raise Uncertified(f"on a kink: the slope is {left:.8g} on one side and {right:.8g} on the other")

    def refuse_edge(self) -> None:
        """Raise: no step fits. Either a kink that f shows is at the point, or f ends there."""
        with np.errstate(all="ignore"):
            tiny = self.first * FACTOR**-DOWN
            ends = [np.isfinite(self.f(self.x + s * self.v)[0]).all() for s in (tiny, -tiny)]
        if not all(ends):
            raise Uncertified("at the edge of the domain: f is not finite on one side of the point")
        self.jump = self._one_sided(tiny * FACTOR)
        self.refuse_kink()

    def _kink(self, t1: Array, t2: Array, t4: Array, noise: Array) -> bool:
        """True if the one-sided slopes differ at the point itself. t: second differences over the step.

        t is (jump) + c·h where f is smooth on both sides: two of them give the jump, three how certain it is.
        """
        jump = 2 * t4 - t2
        sure = np.abs(jump - (2 * t2 - t1))
        found = np.abs(jump) > 3 * sure + 64 * noise + 1e-9 * np.abs(t1)
        if not found.any():
            return False
        i = int(np.argmax(np.where(found, np.abs(jump), 0)))
        near = self.first * FACTOR**-3
        values = self._samples(near)
        if values is not None:
            s2, s4 = values[1].sum(0) - 2 * self.y, values[2].sum(0) - 2 * self.y
            there = (8 * s4 - 2 * s2)[i] / near
            blind = 64 * self.rounding[i] / near
            if abs(there) < 0.5 * abs(jump[i]) and blind < 0.25 * abs(jump[i]):
                return False  # it is beside the point: a smaller step avoids it
        self.jump = self._one_sided(self.first if values is None or blind > 0.1 * abs(jump[i]) else near, i)
        return True

    def _one_sided(self, h: float, i: int | None = None) -> tuple[float, float]:
        """The slopes to the left and to the right, of the output where they differ most."""
        right = (self.f(self.x + h * self.v)[0] - self.y) / h
        left = (self.y - self.f(self.x - h * self.v)[0]) / h
        i = int(np.argmax(np.abs(right - left))) if i is None else i
        return float(left[i]), float(right[i])

    def _samples(self, h: float) -> Array | None:
        """f ahead and behind at h, h/2, h/4, as (3, 2, m)."""
        values = []
        for step in (h, -h, h / 2, -h / 2, h / 4, -h / 4):
            y, seen = self.f(self.x + step * self.v)
            other = seen is not None and self.sides is not None and seen.masks != self.sides.masks
            if other or not np.isfinite(y).all():
                return None
            values.append(y)
        return np.array(values).reshape(3, 2, -1)
