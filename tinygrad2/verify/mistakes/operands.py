"""Mistakes with what goes into the rule: operands transposed, flipped or exchanged, factors of saved values forgotten.

The repair runs the rule again with changed operands, or multiplies by what is missing.
"""

# mypy: disable-error-code="misc"
# (it cannot infer lambdas with default arguments, which bind the loop variables here)

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.mistakes.hypothesis import Hypothesis, again, cotangent, fit, got, put, saved, subsets
from tinygrad2.verify.problem import Point


def of_operands(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The rule on transposed, flipped or exchanged operands; other readings of the rule."""
    first = points[0]
    for mistake, (said, rule) in first.problem.variants.items():
        yield Hypothesis(mistake.split()[0], said, lambda p, k, r=rule: again(p, k, rule=r))
    for i, a in enumerate(first.inputs):
        name = first.problem.names[i]
        if a.dtype.kind != "f":
            continue
        for axes in subsets(a.ndim) if a.ndim > 1 else []:
            which = "both kernel axes" if a.ndim == 4 and axes == (2, 3) else f"axis {', '.join(map(str, axes))}"
            said = f"Right when {name} is flipped along {which} first."
            yield Hypothesis(
                "flip", said, lambda p, k, i=i, s=axes: again(p, k, inputs=put(p, i, np.flip(p.inputs[i], s)))
            )
        for x, y in combinations(range(a.ndim), 2):
            mistake = "swap" if a.ndim > 2 and (x, y) == (0, 1) else "transpose"
            said = f"Right when {name} is given with its axes {x} and {y} exchanged."
            move = lambda p, k, i=i, x=x, y=y: again(p, k, inputs=put(p, i, np.swapaxes(p.inputs[i], x, y)))
            yield Hypothesis(mistake, said, move)
    for i, j in combinations(range(len(first.inputs)), 2):
        said = f"Right when {first.problem.names[i]} and {first.problem.names[j]} change places."
        yield Hypothesis("swap", said, lambda p, k, i=i, j=j: again(p, k, inputs=_exchanged(p.inputs, i, j)))
    c = first.problem.cotangent
    for axes in subsets(len(first.truth.out_shapes[0])):
        said = f"Right when {c} is flipped along axis {', '.join(map(str, axes))} first."
        yield Hypothesis("flip", said, lambda p, k, s=axes: again(p, k, g=np.flip(cotangent(p), s).ravel()))
    yield Hypothesis("transpose", "Right along the other axis: you worked along rows in place of columns.", _other_axis)


def _exchanged(inputs: Sequence[Array], i: int, j: int) -> list[Array]:
    new = list(inputs)
    new[i], new[j] = new[j], new[i]
    return new


def _other_axis(p: Point, k: int) -> Array:
    """The rule on transposed matrices, its result transposed back."""
    turned = [a.T if a.ndim == 2 and a.shape == p.expected[k].shape else a for a in p.inputs]
    return p.part(cotangent(p).T, turned, k).T


FACTORS: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("[{} > 0]", lambda a: (a > 0) * 1.0),
    ("[{} < 0]", lambda a: (a < 0) * 1.0),
    ("{}", lambda a: a),
    ("{}²", lambda a: a * a),
    ("(1 - {})", lambda a: 1 - a),
    ("(1 + {})", lambda a: 1 + a),
    ("{}(1 - {})", lambda a: a * (1 - a)),
    ("(1 - {}²)", lambda a: 1 - a * a),
    ("sign({})", np.sign),
    ("|{}|", np.abs),
    ("exp({})", np.exp),
    ("√{}", np.sqrt),
    ("{}³", lambda a: a**3),
    ("‖{}‖", lambda a: np.sqrt((a * a).sum())),
    ("‖{}‖²", lambda a: (a * a).sum()),
    ("‖{}‖ of each row", lambda a: np.sqrt((a * a).sum(-1, keepdims=True))),
    ("‖{}‖² of each row", lambda a: (a * a).sum(-1, keepdims=True)),
)


def of_saved(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The rule run with another saved value in the place of an input, or with an input scaled by one."""
    first = points[0]
    for i, a in enumerate(first.inputs):
        for name, value in saved(first).items():
            own = first.problem.names[i]
            if a.dtype.kind != "f" or name == own:
                continue
            if value.shape == a.shape:
                said = f"The rule uses {own} where it needs {name}: right when {name} is given in its place."
                yield Hypothesis(
                    "missing-factor", said, lambda p, k, i=i, n=name: again(p, k, inputs=put(p, i, saved(p)[n]))
                )
            said = f"The factor {name} is missing: right when {own} is multiplied by it first."
            scaled = lambda p, k, i=i, n=name: again(
                p, k, inputs=put(p, i, p.inputs[i] * fit(saved(p)[n], p.inputs[i].shape))
            )
            yield Hypothesis("missing-factor", said, scaled)


def of_factors(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """A factor made of saved values: on the result, on the cotangent, or one too many."""
    c = points[0].problem.cotangent
    for name, front in _operands(points[0]):
        for form, f in FACTORS:
            factor = lambda p, shape, name=name, f=f, front=front: fit(f(saved(p)[name]), shape, front)
            said = form.replace("{}", name)
            result = lambda p, k, f=factor: got(p, k) * f(p, p.expected[k].shape)
            first = lambda p, k, f=factor: again(p, k, g=(cotangent(p) * f(p, cotangent(p).shape)).ravel())
            mistake, word = ("mask", "mask") if form.startswith("[") else ("missing-factor", "factor")
            yield Hypothesis(
                mistake, f"The {word} {said} is missing: right after multiplying the result by it.", result
            )
            yield Hypothesis(mistake, f"The {word} {said} is missing: right when {c} is multiplied by it first.", first)
            if mistake == "mask":
                continue
            less = lambda p, k, f=factor: got(p, k) / f(p, p.expected[k].shape)
            before = lambda p, k, f=factor: again(p, k, g=(cotangent(p) / f(p, cotangent(p).shape)).ravel())
            yield Hypothesis(
                mistake, f"The factor 1/({said}) is missing: right after dividing the result by {said}.", less
            )
            yield Hypothesis(
                mistake, f"The factor 1/({said}) is missing: right when {c} is divided by {said} first.", before
            )


def of_exchanged(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """One factor of saved values where another should be."""
    forms = [
        (form, f) for form, f in FACTORS if form in ("{}", "(1 - {})", "(1 + {})", "{}²", "(1 - {}²)", "{}(1 - {})")
    ]
    for name, front in _operands(points[0]):
        for (there, f), (wanted, h) in permutations(forms, 2):
            said = f"The factor {there.replace('{}', name)} stands where {wanted.replace('{}', name)} should."
            ratio = lambda p, shape, n=name, f=f, h=h, front=front: fit(h(saved(p)[n]) / f(saved(p)[n]), shape, front)
            yield Hypothesis("missing-factor", said, lambda p, k, r=ratio: got(p, k) * r(p, p.expected[k].shape))


def _operands(p: Point) -> Iterator[tuple[str, bool]]:
    """Every saved value, and whether its axes are the front ones of a larger array (one number per sample)."""
    for name, a in saved(p).items():
        yield name, False
        if np.ndim(a):
            yield name, True
