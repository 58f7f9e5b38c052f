"""Mistakes with what goes into the rule: operands transposed, flipped or exchanged, another saved value in their place.

The repair runs the rule again with changed operands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.mistakes.hypothesis import Hypothesis, again, axes_named, cotangent, fit, put, saved, subsets
from tinygrad2.verify.point import Point

Change = Callable[[Array], Array]


def of_operands(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The rule on transposed, flipped or exchanged operands; other readings of the rule."""
    problem = points[0].problem
    inputs = points[0].inputs
    for mistake, (said, rule) in problem.variants.items():
        yield Hypothesis(mistake, said, partial(again, rule=rule))
    for i, a in enumerate(inputs):
        if a.dtype.kind == "f":
            yield from _of_axes(problem.names[i], i, a.ndim)
    for i, j in combinations(range(len(inputs)), 2):
        said = f"Right when {problem.names[i]} and {problem.names[j]} change places."
        yield Hypothesis("swap", said, partial(_exchanged, i, j))
    for axes in subsets(len(points[0].truth.out_shapes[0])):
        said = f"Right when {problem.cotangent} is flipped along axis {', '.join(map(str, axes))} first."
        yield Hypothesis("flip", said, partial(_with_cotangent, partial(np.flip, axis=axes)))
    yield Hypothesis("transpose", "Right along the other axis: you worked along rows in place of columns.", _other_axis)


def _of_axes(name: str, i: int, ndim: int) -> Iterator[Hypothesis]:
    """Input i with flipped or exchanged axes."""
    for axes in subsets(ndim) if ndim > 1 else []:
        said = f"Right when {name} is flipped along {axes_named(axes, ndim)} first."
        yield Hypothesis("flip", said, partial(_with_input, i, partial(np.flip, axis=axes)))
    for x, y in combinations(range(ndim), 2):
        mistake = "swap" if ndim > 2 and (x, y) == (0, 1) else "transpose"
        said = f"Right when {name} is given with its axes {x} and {y} exchanged."
        yield Hypothesis(mistake, said, partial(_with_input, i, partial(np.swapaxes, axis1=x, axis2=y)))


def of_saved(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The rule run with another saved value in the place of an input, or with an input scaled by one."""
    first = points[0]
    for i, a in enumerate(first.inputs):
        own = first.problem.names[i]
        for name, value in saved(first).items():
            if a.dtype.kind != "f" or name == own:
                continue
            if value.shape == a.shape:
                said = f"The rule uses {own} where it needs {name}: right when {name} is given in its place."
                yield Hypothesis("missing-factor", said, partial(_saved_for_input, i, name))
            said = f"The factor {name} is missing: right when {own} is multiplied by it first."
            yield Hypothesis("missing-factor", said, partial(_saved_times_input, i, name))


def _with_input(i: int, change: Change, p: Point, k: int) -> Array:
    return again(p, k, inputs=put(p, i, change(p.inputs[i])))


def _with_cotangent(change: Change, p: Point, k: int) -> Array:
    return again(p, k, g=change(cotangent(p)).ravel())


def _exchanged(i: int, j: int, p: Point, k: int) -> Array:
    inputs = list(p.inputs)
    inputs[i], inputs[j] = inputs[j], inputs[i]
    return again(p, k, inputs=inputs)


def _saved_for_input(i: int, name: str, p: Point, k: int) -> Array:
    return again(p, k, inputs=put(p, i, saved(p)[name]))


def _saved_times_input(i: int, name: str, p: Point, k: int) -> Array:
    return again(p, k, inputs=put(p, i, p.inputs[i] * fit(saved(p)[name], p.inputs[i].shape)))


def _other_axis(p: Point, k: int) -> Array:
    """The rule on transposed matrices, its result transposed back."""
    turned = [a.T if a.ndim == 2 and a.shape == p.expected[k].shape else a for a in p.inputs]
    return p.part(cotangent(p).T, turned, k).T
