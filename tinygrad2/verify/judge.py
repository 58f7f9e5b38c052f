"""The one place that decides: right, wrong, or uncertified. Every entry is judged by its own size.

An entry is wrong if it differs by more than the error of the measurement and of rounding. It is right if it does not,
and if that error is small beside the entry. Otherwise nobody can tell, and it is uncertified.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.differences import EPS

RTOL = 1e-7  # of the entry itself: far above the rounding of a formula, far below any mistake
SMALL = 3e-5  # an error is small beside an entry if it is no larger part of it
ZERO = 3e-8  # of what it is made of: where rounding is no more than this, an entry that is lost in it is zero


@dataclass(frozen=True)
class Product:
    """A measured Jᵀg, one number per input entry: the value, and all by which a claim about it can be judged.

    budget: how far off the value may be. noise: what of it may be rounding. terms: Σ|J||g|, what it is a sum of.
    largest: of the entries of the same input. doubt: the rounding of an output seen from this entry. natural: the size
    that a slope of these outputs has where nothing cancels.
    """

    value: Array
    budget: Array
    noise: Array
    terms: Array
    largest: Array
    doubt: Array
    natural: Array
    scheme: str

    def part(self, where: slice) -> Product:
        """The entries of one input."""
        arrays: dict[str, Any] = {name: a[where] for name, a in vars(self).items() if isinstance(a, np.ndarray)}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Judged:
    """Per entry: is it wrong, is it unsure; the error, and the largest that is allowed."""

    wrong: Array
    unsure: Array
    error: Array
    allowed: Array


def judge(got: Array, truth: Product, rounding: Array | float = 0.0) -> Judged:
    """Compare a claim with the truth, entry by entry. got: (n,). rounding: of the claim itself, (n,)."""
    with np.errstate(all="ignore"):
        size = np.abs(truth.value)
        error = np.abs(got - truth.value)
        allowed = 4 * truth.budget + rounding + RTOL * size + 64 * EPS * truth.terms
        beside = np.maximum(truth.largest, truth.natural)
        floor = np.maximum(rounding, 64 * EPS * beside)
        nothing = size <= np.maximum(np.maximum(truth.noise, rounding), 64 * EPS * truth.terms)
        zero = nothing & (np.abs(got) <= floor) & (allowed <= ZERO * beside)
        certain = (allowed <= SMALL * size) | ((error == 0) & (allowed == 0))
        lost_in_noise = size <= 4 * truth.noise  # nothing but rounding is known of it
        doubt = np.maximum(truth.doubt, np.where(lost_in_noise, 512 * EPS * truth.natural, 0))
        wrong = ~(error <= np.maximum(allowed, doubt)) & ~zero  # a nan is wrong
        unsure = ~wrong & ~zero & ~(certain & (error <= allowed))
    return Judged(wrong, unsure, error, allowed)


def lost(truth: Product, judged: Judged) -> str:
    """Why entries are unsure, with the entry for which it is worst and the scale in which it is lost."""
    i = int(
        np.argmax(np.where(judged.unsure, np.nan_to_num(judged.allowed / np.maximum(np.abs(truth.value), 1e-300)), -1))
    )
    error = max(float(judged.allowed[i]), float(truth.doubt[i]) if judged.error[i] > judged.allowed[i] else 0.0)
    beside = max(float(truth.largest[i]), float(truth.natural[i]))
    return (
        f"lost in rounding: an entry of size {abs(truth.value[i]):.1e} is known to {error:.0e} only, "
        f"beside values of size {beside:.1e}"
    )
