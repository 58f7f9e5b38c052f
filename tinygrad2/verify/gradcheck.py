"""Is the derivative of a function right at one point? Every entry is compared with measured differences.

The second order is the same question about another function: (inputs, g) ↦ Jᵀg, the first-order product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, algebra
from tinygrad2.autodiff import vjp as vjp_of
from tinygrad2.autodiff.tree import flatten
from tinygrad2.kernels import Array
from tinygrad2.verify.differences import Estimate
from tinygrad2.verify.problem import Function, Rule
from tinygrad2.verify.report import Verdict
from tinygrad2.verify.truth import Measured, arrays_of, joined, names_of

ENTRIES = 2000  # with more inputs than this, random directions are compared in place of every entry
DIRECTIONS = 8
RTOL = 1e-9


@dataclass(repr=False)
class GradReport(Verdict):
    """The result of gradcheck. It is true in an `if` exactly when the derivative is right; print it to see where not.

    lines: the worst entries. scheme: how the truth was measured. worst: the largest error. budget: the largest error
    that is allowed.

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

    def __str__(self) -> str:
        verdict = "right" if self.ok else "WRONG"
        head = f"{self.what}: {verdict}; largest error {self.worst:.1e}, error budget {self.budget:.1e} ({self.scheme})"
        return "\n".join([head, *("  " + line for line in self.lines)])


def gradcheck(f: Function, *inputs: Any, vjp: Rule | None = None, seed: int = 0) -> GradReport:
    """Compare the derivative of f with measured truth, entry by entry, in float64, for a random cotangent.

    f: maps the inputs (arrays, Tensors, or nested tuples, lists and dicts of them) to arrays or Tensors.
    vjp: the claim, vjp(g, *inputs) -> one cotangent per floating input, each of its input's shape; g has the shape of
    f's result. None: the tape of f is checked, which must be written in Tensors. seed: of the random cotangent.
    Raises Uncertified where the point is on a kink, TypeError where there is no tape, ValueError for wrong shapes.

    >>> import numpy as np
    >>> from tinygrad2 import ops
    >>> from tinygrad2.verify import gradcheck
    >>> gradcheck(lambda x: ops.tanh(x) * x, np.ones((2, 3))).ok
    True
    """
    point = Measured(f, inputs)
    rng = np.random.default_rng(seed)
    g = [rng.uniform(0.5, 1.5, s) * rng.choice([-1, 1], s) for s in point.out_shapes]
    got = _by_tape(point, g) if vjp is None else _by_claim(vjp, point, g)
    return _compare(point, joined(g), got, _names(f, inputs), f"gradcheck of {_name(f)}", rng)


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
    point = Measured(f, inputs)
    if vjp is None and not point.tensors:
        raise TypeError("gradgradcheck: f is written in NumPy, so there is no tape: give vjp= and double_vjp=")
    if vjp is not None and double_vjp is None:
        raise TypeError("gradgradcheck: vjp= needs double_vjp= beside it, the rule that is to be checked")
    first = gradcheck(f, *inputs, vjp=vjp, seed=seed)
    if not first.ok:
        return first
    rng = np.random.default_rng(seed)
    g = [rng.uniform(0.5, 1.5, s) * rng.choice([-1, 1], s) for s in point.out_shapes]
    single = g[0] if len(g) == 1 else tuple(g)
    if vjp is None:
        second = gradcheck(_first_order(f), *inputs, single, seed=seed + 1)
    else:
        claim = lambda u, *rest: double_vjp(rest[-1], u, *rest[:-1])  # type: ignore[misc]
        second = gradcheck(lambda *rest: vjp(rest[-1], *rest[:-1]), *inputs, single, vjp=claim, seed=seed + 1)
    second.what = f"gradgradcheck of {_name(f)}"
    return second


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


def _by_tape(point: Measured, g: Sequence[Array]) -> Array:
    if not point.tensors:
        raise TypeError(
            "gradcheck: f is written in NumPy, so there is no tape to check; give the claimed derivative as "
            "vjp=lambda g, *inputs: ..., or write f with tinygrad2's functions"
        )
    return point.tape(joined(g))


def _by_claim(vjp: Rule, point: Measured, g: Sequence[Array]) -> Array:
    given: Any = [Tensor(c) if point.tensors else c.copy() for c in g]
    result = vjp(given[0] if len(given) == 1 else tuple(given), *point.arguments(point.x)[0])
    leaves = arrays_of(result)
    if len(leaves) == len(point.leaves) != len(point.shapes):
        leaves = [leaves[i] for i in point.places]
    shapes = [a.shape for a in leaves]
    if shapes != point.shapes:
        raise ValueError(f"vjp must return one cotangent per floating input, of shapes {point.shapes}; got {shapes}")
    return joined(leaves)


def _compare(
    point: Measured, g: Array, got: Array, names: Sequence[str], what: str, rng: np.random.Generator
) -> GradReport:
    if point.x.size <= ENTRIES:
        truth = point.jacobian().transposed(g)
        where = [f"{name}{_at(i, s)}" for name, s in zip(names, point.shapes, strict=True) for i in np.ndindex(s)]
        claimed = got
    else:
        directions = [rng.standard_normal(point.x.size) / np.sqrt(point.x.size) for _ in range(DIRECTIONS)]
        slopes = [point.jvp(v) for v in directions]
        value = np.array([s.value @ g for s in slopes])
        budget = np.array([s.budget @ np.abs(g) for s in slopes])
        truth = Estimate(value, budget, slopes[0].scheme + f", {DIRECTIONS} random directions")
        where = [f"along random direction {i}" for i in range(DIRECTIONS)]
        claimed = np.array([got @ v for v in directions])
    return _report(what, claimed, truth.value, truth.budget, truth.scheme, where)


def _report(what: str, got: Array, expected: Array, budget: Array, scheme: str, where: Sequence[str]) -> GradReport:
    error = np.abs(got - expected)
    allowed = 4 * budget + RTOL * max(np.abs(expected).max(initial=0.0), 1e-3)
    wrong = np.flatnonzero(~(error <= allowed))  # a nan is wrong
    worst = sorted(wrong.tolist(), key=lambda i: -np.nan_to_num(error[i], nan=np.inf))[:5]
    lines = [
        f"{where[i]}: expected {expected[i]:.10g}, got {got[i]:.10g} (error {error[i]:.1e}, allowed {allowed[i]:.1e})"
        for i in worst
    ]
    if len(wrong) > len(lines):
        lines.append(f"... {len(wrong)} of {len(got)} entries are wrong")
    return GradReport(
        what, not len(wrong), lines, scheme, float(error.max(initial=0.0)), float(allowed.max(initial=0.0))
    )


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
