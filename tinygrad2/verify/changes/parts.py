"""Only some of the entries: the first or the last along an axis, one triangle, the diagonal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import Change, Effect, Missing, Search, Value, at
from tinygrad2.verify.edges import Pass


def parts(s: Search) -> Iterator[Change]:
    """Only the first or the last entries along an axis, only one triangle, or all but these."""
    for v in s.values:
        n = at(s.first, v)
        for j, (what, _) in enumerate(_masks(s.trace.value(n).shape)):
            for weight, said in (
                (0.0, "is left out"),
                (-1.0, "has the wrong sign"),
                (2.0, "counts twice"),
                (0.5, "counts half"),
            ):
                effect = _masked(v, j, weight)
                if not s.plausible(effect):
                    continue
                sentence = f"In the cotangent of {s.said(v)}, {what} {said}."
                mistake = {"has the wrong sign": "sign", "is left out": "only-part"}.get(said, "factor")
                yield Change(mistake, sentence, effect, s.distance(v) + 0.01 * j)


def _masked(v: Value, j: int, weight: float) -> Effect:
    def effect(p: Pass) -> Array:
        n = at(p, v)
        found = _masks(p.trace.value(n).shape)
        if len(found) <= j:
            raise Missing
        return (weight - 1) * (p.reach[n] @ (found[j][1].ravel() * p.cotangents[n]))

    return effect


@lru_cache(1000)
def _masks(shape: tuple[int, ...]) -> list[tuple[str, Array]]:
    return [*_drawn(shape)]


def _drawn(shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """Parts of an array, as masks, with what they are called."""
    yield "every entry", np.ones(shape)
    for axis, size in enumerate(shape):
        if size < 2:
            continue
        place = np.arange(size).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        along = f" along axis {axis}" if len(shape) > 1 else ""
        for what, chosen in {
            "the first entry": place == 0,
            "the last entry": place == size - 1,
            "every entry but the first": place > 0,
            "every entry but the last": place < size - 1,
            "the first and the last entry": (place == 0) | (place == size - 1),
            "every entry but the first and the last": (place > 0) & (place < size - 1),
            "every second entry": place % 2 == 1,
            "every other entry, from the first,": place % 2 == 0,
            "the first half": place < size // 2,
            "the second half": place >= size // 2,
        }.items():
            if not chosen.all():
                yield what + along, np.broadcast_to(chosen, shape) * 1.0
    if len(shape) > 1 and shape[-1] == shape[-2]:
        n = shape[-1]
        for what, chosen in {
            "the diagonal": np.eye(n),
            "everything but the diagonal": 1 - np.eye(n),
            "the upper triangle": np.triu(np.ones((n, n)), 1),
            "the lower triangle": np.tril(np.ones((n, n)), -1),
            "the upper triangle with the diagonal": np.triu(np.ones((n, n))),
            "the lower triangle with the diagonal": np.tril(np.ones((n, n))),
        }.items():
            yield what, np.broadcast_to(chosen, shape) * 1.0
