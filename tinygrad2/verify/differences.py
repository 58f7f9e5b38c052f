"""Central differences with two Richardson steps, certified: all sample points lie on the same side of every kink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.kinks import Sides

Watched = Callable[[Array], tuple[Array, Sides | None]]  # a value, and the sides of the kinks where f shows them

FIRST = 1e-3  # step of the differences
SMALLEST = 1e-9
EPS = float(np.finfo(np.float64).eps)


class Uncertified(ArithmeticError):
    """No difference can be trusted here: the point is on a kink or at the edge of the domain. Take another point.

    >>> import numpy as np
    >>> from tinygrad2.verify import gradcheck
    >>> gradcheck(np.abs, np.zeros(2), vjp=lambda g, x: g)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tinygrad2.verify.differences.Uncertified: the point is exactly on a kink...
    """


@dataclass(frozen=True)
class Estimate:
    """A measured derivative, how far off it may be (same shape), and how it was measured."""

    value: Array
    budget: Array
    scheme: str

    def transposed(self, g: Array) -> Estimate:
        """Of a Jacobian (m, n): its product with the cotangent g (m,)."""
        return Estimate(self.value.T @ g, self.budget.T @ np.abs(g), self.scheme)


def bent(far: Array, near: Array, h: float, y: Array) -> bool:
    """True if the function has a kink at the point itself.

    far, near: (f(x+hv) + f(x-hv) - 2f(x)) / h at a larger and a smaller h; they shrink with h where f is smooth.
    """
    noise = 256 * EPS * np.abs(y).max(initial=0.0) / h + 1e-7
    return bool(np.any((np.abs(near) > noise) & (np.abs(near) > 0.6 * np.abs(far))))


def richardson(f: Watched, x: Array, v: Array) -> Estimate:
    """The derivative of f at x along v by central differences at h, h/2, h/4, extrapolated twice.

    f returns its value and its sides. h shrinks until all seven points are on the same sides, or, where f shows none,
    until the two last extrapolations agree. Raises Uncertified where no step down to 1e-9 does.
    """
    y, sides = f(x)
    if not np.isfinite(y).all():
        raise Uncertified("the function is not finite here")
    unit = np.abs(v).max(initial=0.0) or 1.0
    h = FIRST / unit
    while h * unit >= SMALLEST:
        values = _samples(f, x, v, h, sides)
        if values is not None:
            estimate = _extrapolate(values, y, h)
            scale = np.abs(estimate.value).max(initial=0.0) + np.abs(y).max(initial=0.0)
            enough = 1e-4 if sides is not None else 1e-6  # what is no more certain than that could hide a mistake
            if estimate.budget.max(initial=0.0) <= enough * max(scale, 1e-300):
                if bent((values[0].sum(0) - 2 * y) / h, (values[2].sum(0) - 2 * y) / (h / 4), h / 4, y):
                    break
                return estimate
        h /= 8
    raise Uncertified("the point is on a kink, or at the edge of the domain: no step down to 1e-9 avoids it")


def _samples(f: Watched, x: Array, v: Array, h: float, sides: Sides | None) -> Array | None:
    """f ahead and behind at h, h/2, h/4, as (3, 2, m); None as soon as one is in another region, or not finite."""
    values = []
    for step in (h, -h, h / 2, -h / 2, h / 4, -h / 4):
        y, seen = f(x + step * v)
        if (seen is not None and sides is not None and seen.masks != sides.masks) or not np.isfinite(y).all():
            return None
        values.append(y)
    return np.array(values).reshape(3, 2, -1)


def _extrapolate(values: Array, y: Array, h: float) -> Estimate:
    """values: (3, 2, m), the function ahead and behind at h, h/2, h/4; y: (m,), at the point itself.

    The budget is the last correction, and the noise of f: f(x+h) + f(x-h) - 2f(x) is c·h², but for rounding.
    """
    d1, d2, d4 = ((ahead - behind) / (2 * s) for (ahead, behind), s in zip(values, (h, h / 2, h / 4), strict=True))
    r1, r2 = (4 * d2 - d1) / 3, (4 * d4 - d2) / 3
    value = (16 * r2 - r1) / 15
    s1, s2, s4 = values.sum(1) - 2 * y
    noise = (np.abs(s1 - 4 * s2) + np.abs(s2 - 4 * s4)).max(initial=0.0) + 64 * EPS * np.abs(values).max(initial=0.0)
    return Estimate(value, np.abs(value - r2) + noise / h, f"Richardson differences, h = {h:.0e}")
