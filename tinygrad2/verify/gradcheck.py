"""Is the derivative of a function right at one point? Every entry is compared with measured differences.

The second order is the same question about another function: (inputs, g) ↦ Jᵀg, the first-order product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, algebra
from tinygrad2.autodiff import vjp as vjp_of
from tinygrad2.autodiff.tree import flatten
from tinygrad2.kernels import Array, to_numpy
from tinygrad2.verify.differences import EPS, Uncertified
from tinygrad2.verify.judge import Judged, Product, judge, lost
from tinygrad2.verify.problem import Function, Rule
from tinygrad2.verify.report import Verdict
from tinygrad2.verify.still import still
from tinygrad2.verify.truth import Measured, arrays_of, beside, joined, names_of, split

ENTRIES = 2000  # with more inputs than this, random directions are compared in place of every entry
DIRECTIONS = 8


@dataclass(repr=False)
class GradReport(Verdict):
    """The result of gradcheck. It is true in an `if` exactly when the derivative is right; print it to see where not.

    verdict: "right", "wrong", or "uncertified" where the truth cannot be told; reason: why. lines: the worst entries.
    scheme: how the truth was measured. worst: the largest error beside its entry. budget: the largest error that is
    allowed beside its entry.

    >>> import numpy as np
    >>> from tinygrad2.verify import gradcheck
    >>> report = gradcheck(lambda x: x**3, np.array([1.0, 2.0]), vjp=lambda g, x: 2 * x**2 * g)
    >>> report.ok, report.lines[0].split(":")[0]
    (False, 'x[1]')
    """

    what: str
    ok: bool
    lines: list[str] = field(default_factory=list)
    scheme: str = ""
    worst: float = 0.0
    budget: float = 0.0
    reason: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return f"{self.what}: UNCERTIFIED: {self.reason}"
        verdict = "right" if self.ok else "WRONG"
        head = f"{self.what}: {verdict}; largest error {self.worst:.1e} of its entry, allowed {self.budget:.1e}"
        head += f" ({self.scheme})"
        return "\n".join([head, *("  " + line for line in self.lines)])


def gradcheck(f: Function, *inputs: Any, vjp: Rule | None = None, seed: int = 0) -> GradReport:
    """Compare the derivative of f with measured truth, entry by entry, in float64, for a random cotangent.

    f: maps the inputs (arrays, Tensors, or nested tuples, lists and dicts of them) to arrays or Tensors.
    vjp: the claim, vjp(g, *inputs) -> one cotangent per floating input, each of its input's shape; g has the shape of
    f's result. None: the tape of f is checked; f must be written with operators, methods or tinygrad2's functions.
    float32 inputs, and float32 tensors that f holds, are taken in float64. seed: of the random cotangent.
    The report is uncertified where the point is on a kink, at the edge of the domain, where f draws random numbers, and
    where rounding hides the answer. Raises TypeError where there is no tape, ValueError for wrong shapes.

    >>> import numpy as np
    >>> from tinygrad2.verify import gradcheck
    >>> gradcheck(lambda x: (x * x).sum(), np.array([1.0, 2.0])).ok
    True
    """
    return _checked(f, inputs, vjp, seed, f"gradcheck of {_name(f)}")


def _checked(f: Function, inputs: Sequence[Any], vjp: Rule | None, seed: int, what: str) -> GradReport:
    """gradcheck under a name of its own."""
    inputs = [numbers(a) for a in inputs]
    _not_empty(f, inputs)
    names = _names(f, inputs)
    with still(f, vjp) as (steady, rule):
        try:
            point = Measured(steady, inputs, tape_counts=vjp is not None)
            rng = np.random.default_rng(seed)
            g = [rng.uniform(0.5, 1.5, s) * rng.choice([-1, 1], s) for s in point.out_shapes]
            claim: Claim = partial(_by_tape, point) if vjp is None else partial(_by_claim, point, rule)
            got = claim(g, point.x)
            return _compare(point, joined(g), got, claim, names, what, rng)
        except Uncertified as error:
            return GradReport(what, False, reason=str(error))


def numbers(tree: Any) -> Any:
    """A list of numbers as the array that is meant; anything else as it is."""
    if isinstance(tree, list) and tree and all(isinstance(v, int | float) for v in flatten(tree)[0]):
        try:
            return np.asarray(tree)
        except ValueError:  # lists of several lengths: a tree
            return tree
    return tree


def _not_empty(f: Function, inputs: Sequence[Any]) -> None:
    """ValueError or TypeError where there is nothing to check."""
    leaves = arrays_of(list(inputs))
    if any(a.size == 0 for a in leaves) or not leaves:
        shapes = ", ".join(str(a.shape) for a in leaves) or "none"
        raise ValueError(f"gradcheck: an input is empty (shapes {shapes}), so nothing would be checked")
    if not any(a.dtype.kind == "f" for a in leaves):
        kinds = ", ".join(str(a.dtype) for a in leaves)
        raise TypeError(
            f"gradcheck: there is nothing to differentiate by, the inputs are {kinds}; write 1.0 for 1, or convert "
            "with .astype(float)"
        )


def gradgradcheck(
    f: Function,
    *inputs: Any,
    vjp: Rule | None = None,
    double_vjp: Callable[..., Any] | None = None,
    seed: int = 0,
) -> GradReport:
    """Compare the second derivative of f with measured truth: gradcheck of (inputs, g) ↦ Jᵀg.

    For f in Tensors both orders come from the tape. For f in NumPy give vjp(g, *inputs), which must be right, and
    double_vjp(g, u, *inputs) -> one cotangent per floating input, and last one for g. u is the cotangent of vjp's
    result, of the inputs' shapes. Raises as gradcheck does, and TypeError where a rule is missing.

    >>> import numpy as np
    >>> from tinygrad2 import ops
    >>> from tinygrad2.verify import gradgradcheck
    >>> gradgradcheck(lambda x: ops.tanh(x) * x, np.ones((2, 3))).ok
    True
    """
    if vjp is not None and double_vjp is None:
        raise TypeError("gradgradcheck: vjp= needs double_vjp= beside it, the rule that is to be checked")
    inputs = tuple(numbers(a) for a in inputs)
    what = f"gradgradcheck of {_name(f)}"
    first = _checked(f, inputs, vjp, seed, what)
    if not first.ok:
        return first
    with still(f, vjp, double_vjp) as (steady, _, _):
        point = Measured(steady, inputs)
        point.tensors |= vjp is None  # its tape has just been checked
        rng = np.random.default_rng(seed)
        g = [rng.uniform(0.5, 1.5, s) * rng.choice([-1, 1], s) for s in point.out_shapes]
    single = g[0] if len(g) == 1 else tuple(g)
    exact = [_in_float64(a) for a in inputs]
    if vjp is None:
        return _checked(_first_order(f), [*exact, single], None, seed + 1, what)
    claim = lambda u, *rest: double_vjp(rest[-1], u, *rest[:-1])  # type: ignore[misc]
    return _checked(lambda *rest: vjp(rest[-1], *rest[:-1]), [*exact, single], claim, seed + 1, what)


def _in_float64(tree: Any) -> Any:
    """The same tree with its float32 leaves in float64."""
    leaves, rebuild = flatten(tree)
    arrays = [to_numpy(a.array) if isinstance(a, Tensor) else np.asarray(a) for a in leaves]
    return rebuild(iter([a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]))


def _first_order(f: Function) -> Function:
    """(inputs, g) ↦ the cotangents of all floating inputs, recorded, so that it can be differentiated in turn."""

    def first_order(*args: Any) -> list[Tensor]:
        *inputs, g = args
        leaves, rebuild = flatten(list(inputs))
        places = [i for i, a in enumerate(leaves) if arrays_of(a)[0].dtype.kind == "f"]

        def of_floats(*floats: Tensor) -> Tensor:
            all_leaves = list(leaves)
            for i, t in zip(places, floats, strict=True):
                all_leaves[i] = t
            return _joined_tensors(f(*rebuild(iter(all_leaves))))

        _, pullback = vjp_of(of_floats, *[leaves[i] for i in places])
        return list(pullback(_joined_tensors(g)))

    first_order.__name__ = f"the first-order product of {_name(f)}"
    return first_order


def _joined_tensors(tree: Any) -> Tensor:
    return algebra.concatenate([algebra.reshape(t, (-1,)) for t in map(_tensor, flatten(tree)[0])])


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


def _by_tape(point: Measured, g: Sequence[Array], x: Array) -> Array:
    """The tape's Jᵀg: of f as it is, or called with Tensors where it was called with arrays."""
    tape = point.tape(joined(g), x) if point.tensors else point.traced(joined(g), x)
    if tape is None:
        raise TypeError(
            "gradcheck: f is written in NumPy, or turns its input into an array, so there is no tape to check; give "
            "the claimed derivative as vjp=lambda g, *inputs: ... (gradgradcheck: and double_vjp=), or write f with "
            "operators and tinygrad2's functions"
        )
    return tape


def _by_claim(point: Measured, vjp: Rule, g: Sequence[Array], x: Array) -> Array:
    given: Any = [Tensor(c) if point.tensors else c.copy() for c in g]
    arguments, floats = point.arguments(x)
    result = vjp(given[0] if len(given) == 1 else tuple(given), *arguments)
    if any(leaf is None for leaf in flatten(result)[0]):
        raise ValueError("vjp returned None, which is no claim: did you forget `return`, or to return zeros?")
    if not point.tensors and not np.array_equal(joined(floats), x, equal_nan=True):
        raise ValueError("vjp changes one of its inputs in place: others still need it; copy it first")
    if not point.tensors and not np.array_equal(joined(given), joined(g)):
        raise ValueError("vjp changes the cotangent g in place: others still need it; copy it first")
    leaves = arrays_of(result)
    if len(leaves) == len(point.leaves) != len(point.shapes):
        leaves = [leaves[i] for i in point.places]
    shapes = [a.shape for a in leaves]
    if shapes != point.shapes:
        raise ValueError(f"vjp must return one cotangent per floating input, of shapes {point.shapes}; got {shapes}")
    return joined(leaves)


Claim = Callable[[Sequence[Array], Array], Array]  # cotangents of the outputs, and x -> the claimed Jᵀg


def _compare(
    point: Measured, g: Array, got: Array, claim: Claim, names: Sequence[str], what: str, rng: np.random.Generator
) -> GradReport:
    if point.x.size <= ENTRIES:
        truth = point.vjp(g)
        where = [f"{name}{_at(i, s)}" for name, s in zip(names, point.shapes, strict=True) for i in np.ndindex(s)]
        judged = judge(got, truth)
        if (judged.wrong | judged.unsure).any():
            judged = judge(got, truth, _rounding(point, g, got, claim))
        return _report(what, got, truth, judged, where)
    directions = [rng.standard_normal(point.x.size) / np.sqrt(point.x.size) for _ in range(DIRECTIONS)]
    truth = along(point, directions, g)
    where = [f"along random direction {i}" for i in range(DIRECTIONS)]
    claimed = np.array([got @ v for v in directions])
    return _report(what, claimed, truth, judge(claimed, truth), where)


def along(point: Measured, directions: Sequence[Array], g: Array) -> Product:
    """⟨g, Jv⟩ for every direction v, as entries that can be judged."""
    slopes = [point.slope(v) for v in directions]
    size = np.abs(g)
    value = np.array([s.value @ g for s in slopes])
    terms = np.array([np.abs(s.value) @ size for s in slopes])
    budget = np.array([s.budget @ size for s in slopes])
    noise = np.array([s.noise @ size for s in slopes])
    heights = float(np.maximum(np.abs(point.y), point.rounding / EPS) @ size)
    largest = np.full(len(slopes), terms.max(initial=0.0))
    natural = np.array([heights * np.median(np.abs(v)) for v in directions]) / float(np.median(point.leaf_sizes))
    scheme = slopes[0].scheme + f", {len(slopes)} random directions"
    return Product(value, budget, noise, terms, largest, 16 * EPS * natural, natural, scheme)


def _rounding(point: Measured, g: Array, got: Array, claim: Claim) -> Array:
    """How far rounding moves the claim: it is made again a few units of the last place beside x and g."""
    again = [claim(split(beside(g, seed + 3), point.out_shapes), beside(point.x, seed)) for seed in (1, 2, 3)]
    moved = [np.abs(a - got) for a in again]
    return np.nan_to_num(16 * np.max(moved, 0) + 4 * EPS * np.abs(got))


def _report(what: str, got: Array, truth: Product, judged: Judged, where: Sequence[str]) -> GradReport:
    expected = truth.value
    wrong = np.flatnonzero(judged.wrong)
    worst = sorted(wrong.tolist(), key=lambda i: -np.nan_to_num(judged.error[i], nan=np.inf))[:5]
    lines = [
        f"{where[i]}: expected {expected[i]:.10g}, got {got[i]:.10g} (error {judged.error[i]:.1e}, allowed "
        f"{judged.allowed[i]:.1e})"
        for i in worst
    ]
    if len(wrong) > len(lines):
        lines.append(f"... {len(wrong)} of {len(got)} entries are wrong")
    reason = lost(truth, judged) if judged.unsure.any() and not len(wrong) else None
    beside_entry = np.maximum(np.abs(expected), np.maximum(truth.terms, 64 * EPS * truth.natural))
    beside_entry = np.maximum(beside_entry, 1e-300)
    largest = [float((e / beside_entry).max(initial=0.0)) for e in (judged.error, judged.allowed)]
    return GradReport(what, not len(wrong) and reason is None, lines, truth.scheme, largest[0], largest[1], reason)


def _name(f: Function) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _at(index: tuple[int, ...], shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if shape else ""


def _names(f: Function, inputs: Sequence[Any]) -> list[str]:
    """A name such as x or params['w'][0] for every floating leaf of the inputs."""
    given = names_of(f, len(inputs))
    return [name for start, tree in zip(given, inputs, strict=False) for name in _paths(start, tree)]


def _paths(start: str, tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return [p for key, branch in tree.items() for p in _paths(f"{start}[{key!r}]", branch)]
    if isinstance(tree, tuple | list):
        return [p for i, branch in enumerate(tree) for p in _paths(f"{start}[{i}]", branch)]
    return [start] if arrays_of(tree)[0].dtype.kind == "f" else []
