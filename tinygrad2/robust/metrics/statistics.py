"""What follows from a few seeds or a finite test set: mean ± sd, intervals, and a paired test.

Student's t and Wilcoxon's distribution come from SciPy, which nothing else needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Values: TypeAlias = Sequence[float] | np.ndarray


class Interval(NamedTuple):
    """Both ends of a confidence interval."""

    low: float
    high: float


def mean_sd(values: Values) -> tuple[float, float]:
    """Mean and standard deviation √(Σ(v - mean)²/(n - 1)), as papers print over seeds; one value has the sd nan."""
    v = _finite("values", values)
    return float(v.mean()), float(v.std(ddof=1)) if v.size > 1 else float("nan")


def mean_interval(values: Values, confidence: float = 0.95) -> Interval:
    """The interval mean ± t·sd/√n that holds the mean of the population of (normal) values. Student 1908."""
    v = _finite("values", values)
    if v.size < 2:
        raise ValueError("one value has no interval: a mean needs at least 2 values")
    _check_confidence(confidence)
    mean, sd = mean_sd(v)
    reach = float(_scipy_stats().t.ppf((1 + confidence) / 2, v.size - 1)) * sd / sqrt(v.size)
    return Interval(mean - reach, mean + reach)


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval of an accuracy of which `right` of n independent images are a sample. Wilson 1927.

    With p = right/n: (p + z²/2n ± z√(p(1-p)/n + z²/4n²)) / (1 + z²/n), inside [0, 1] and of some width even at 0 and 1.
    """
    _check_confidence(confidence)
    if not 0 <= right <= n or n < 1:
        raise ValueError(f"an accuracy is `right` of n ≥ 1 images, 0 ≤ right ≤ n; got {right} of {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = right / n
    centre = p + z * z / (2 * n)
    reach = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Interval(max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale))


def wilcoxon(a: Values, b: Values) -> float:
    """The two-sided p of Wilcoxon's signed-rank test that paired values differ only by chance. Wilcoxon 1945.

    a, b: (n,), in pairs, such as two methods' results with the same seeds. Pairs that are equal are left out; without
    any other p is 1. n pairs cannot give less than 2^(1-n): five runs, as in the smooth gradient paper, no less than
    0.0625.
    """
    a = _finite("a", a)
    b = _finite("b", b)
    if a.shape != b.shape:
        raise ValueError(f"the values come in pairs: got {a.size} and {b.size} of them")
    if (a == b).all():
        return 1.0
    return float(_scipy_stats().wilcoxon((a - b)[a != b]).pvalue)


def _finite(name: str, values: Values) -> np.ndarray:
    v = np.asarray(values, np.float64)
    if v.ndim != 1 or not v.size or not np.isfinite(v).all():
        raise ValueError(f"{name}: expected a list of at least one finite number, got {values!r}")
    return v


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a probability between 0 and 1, such as 0.95; got {confidence}")


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("this needs SciPy: pip install 'tinygrad2[lab]'", name=error.name) from error
    return stats
