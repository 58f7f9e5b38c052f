"""How a penalty's values become one number, by name: each penalty has a table of its forms and says how λ converts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Trace
from tinygrad2.nn.layer import nearest
from tinygrad2.ops import mean, reshape, sum

T = TypeVar("T")

# Of all entries of an array: λ_printed = λ_corrected / (entries per sample).
ENTRIES: dict[str, Callable[[Tensor], Tensor]] = {
    "corrected": mean,
    "printed": lambda entries: sum(entries) * (1.0 / entries.shape[-2]),  # entries: (..., N, D)
}


def pick(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of that name. Raises ValueError with the nearest name."""
    if name not in table:
        raise ValueError(
            f"unknown {what} {name!r}{nearest(name, table)}; expected one of {', '.join(map(repr, table))}"
        )
    return table[name]


def flat(trace: Trace, rows: Tensor) -> Tensor:
    """Cotangents of the input with its axes in one. rows: (..., N, *in); result: (..., N, D)."""
    return reshape(rows, (*rows.shape[: rows.ndim - trace.input.ndim + 1], -1))


def classes(trace: Trace) -> tuple[int, int]:
    """N and K of the traced logits. Raises ValueError where the net gives no (N, K) with K ≥ 2."""
    if trace.output.ndim != 2 or trace.output.shape[1] < 2:
        raise ValueError(f"the network must give logits (N, K) for K ≥ 2 classes; got shape {trace.output.shape}")
    n, k = trace.output.shape
    return n, k
