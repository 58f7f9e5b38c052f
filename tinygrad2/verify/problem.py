"""What is to be checked, in one form: a function f, and a rule that claims Jᵀg for some of f's inputs.

The three things that a person derives are brought to it here. A vector-Jacobian product is such a rule as it is. A
Jacobian J claims Jᵀg, its product with g. A double backward is the rule of the function (inputs, g) ↦ Jᵀg of f.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.space import AnySpace
from tinygrad2.verify.truth import arrays_of, names_of

Function = Callable[..., Any]  # f(*inputs, **params) -> one array
Rule = Callable[..., Any]  # rule(g, *inputs, **params) -> one cotangent per floating input
Wrt = str | int | Sequence[str | int] | None  # some inputs, by name or number; None: all that have a derivative
Terms = Callable[..., Sequence[Mapping[str, Array]]]


@dataclass(frozen=True)
class Problem:
    """f and the rule for it. names: of f's inputs. wrt: which inputs the rule returns cotangents for.

    cotangent: what the rule's first argument is called. cotangent_of: for a double backward the function whose output
    has the cotangent g, which is then the last input. second_order: f stands for the function (inputs, g) ↦ Jᵀg of f.
    variants: other readings of the rule, mistake -> (sentence, rule); one that is right everywhere is the diagnosis.
    terms(g, *inputs, **params): per wrt, the named terms whose sum is the right answer. saved(*inputs, **params): named
    intermediate values that a rule may have forgotten. remarks: mistake -> what to add where it is found.
    operations: f once more, written with the library's operations: there a mistake is looked for, if f is not.
    """

    name: str
    f: Function
    rule: Rule
    space: AnySpace
    names: Sequence[str]
    wrt: Sequence[int]
    cotangent: str = "g"
    cotangent_of: Function | None = None
    second_order: bool = False
    variants: Mapping[str, tuple[str, Rule]] = field(default_factory=dict)
    terms: Terms | None = None
    saved: Callable[..., Mapping[str, Array]] | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)
    operations: Function | None = None

    def result(self, k: int) -> str:
        """What the cotangent of the k-th claimed input is called."""
        return f"d{self.names[self.wrt[k]]}"


def vjp_problem(f: Function, vjp: Rule, space: AnySpace, name: str | None = None) -> Problem:
    """A vector-Jacobian product: a rule as it is, by all floating inputs. TypeError where f is no function."""
    if not callable(f):
        raise TypeError(f"the first argument must be the function that was differentiated, got {type(f).__name__}")
    if not callable(vjp):
        raise TypeError(f"the second argument must be the rule that was derived, a function; got {type(vjp).__name__}")
    case = space.draw(np.random.default_rng(0))
    inputs = space.inputs(case)
    names = names_of(f, len(inputs))
    _takes(f, inputs, case.params)
    for label, a in zip(names, inputs, strict=False):
        if not a.size:
            raise ValueError(
                f"{label} is empty (shape {a.shape}), so nothing would be checked; give at least one entry"
            )
    floating = tuple(i for i, a in enumerate(inputs) if a.dtype.kind == "f")
    if not floating:
        kinds = ", ".join(f"{label} is {a.dtype}" for label, a in zip(names, inputs, strict=False))
        raise TypeError(
            f"there is nothing to differentiate by: {kinds}; write 1.0 for 1, or convert with .astype(float)"
        )
    return Problem(name or _called(vjp, "vjp"), f, vjp, space, names, floating)


def _takes(f: Function, inputs: Sequence[Array], params: Mapping[str, Any]) -> None:
    """TypeError where f takes another number of inputs."""
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # a built-in function that does not say
        return
    try:
        signature.bind(*inputs, **params)
    except TypeError as error:
        given = f"{len(inputs)} input{'s' * (len(inputs) != 1)}"
        given += f" and {', '.join(params)}" if params else ""
        raise TypeError(f"f{signature} cannot be called with {given}: {error}") from None


def partial(problem: Problem, wrt: Wrt) -> Problem:
    """The problem of some inputs alone, given by name or number. ValueError for an unknown one."""
    if wrt is None:
        return problem
    wanted = [wrt] if isinstance(wrt, str | int) else list(wrt)
    places = [problem.names.index(w) if isinstance(w, str) and w in problem.names else w for w in wanted]
    known = ", ".join(problem.names[i] for i in problem.wrt)
    for place, w in zip(places, wanted, strict=True):
        if place not in problem.wrt:
            raise ValueError(f"wrt={w!r} is no input that has a derivative; there are: {known}")
    if not places:
        raise ValueError(f"wrt is empty, so nothing would be checked; name some of: {known}")
    return replace(problem, wrt=tuple(int(place) for place in places))


def jacobian_problem(
    f: Function, jacobian: Callable[..., Any], space: AnySpace, name: str | None = None, wrt: str | int | None = None
) -> Problem:
    """A claimed Jacobian by one input (the first), as the rule Jᵀg. If its transpose is right, that is the mistake."""
    base = vjp_problem(f, jacobian, space)
    (place,) = partial(base, base.wrt[0] if wrt is None else wrt).wrt

    def rule_of(transposed: bool) -> Rule:
        def rule(g: Any, *inputs: Any, **params: Any) -> Array:
            x = arrays_of(inputs[place])[0]
            g = arrays_of(g)[0]
            claimed = jacobian(*inputs, **params)
            if claimed is None:
                raise ValueError("the Jacobian is None, which is no claim: did you forget `return`?")
            j = np.asarray(claimed if isinstance(claimed, list) else arrays_of(claimed)[0])
            rows, columns = (x, g) if transposed else (g, x)
            if j.shape not in ((rows.size, columns.size), rows.shape + columns.shape):
                raise ValueError(
                    f"the Jacobian must have shape {(g.size, x.size)}, one row per output, or {g.shape + x.shape}; "
                    f"got {j.shape}"
                )
            j = j.reshape(rows.size, columns.size)
            product = (j if transposed else j.T) @ g.ravel()
            return product.reshape(x.shape).astype(x.dtype, copy=False)  # np.eye(n) in a Jacobian is no mistake

        return rule

    said = "Right after transposing J: its rows belong to the outputs, its columns to the inputs."
    label = name or _called(jacobian, "jacobian")
    return Problem(label, f, rule_of(False), space, base.names, (place,), variants={"transpose": (said, rule_of(True))})


def double_problem(f: Function, double_vjp: Callable[..., Any], space: AnySpace, name: str | None = None) -> Problem:
    """A double backward (g, u, *inputs) as the rule (u, *inputs, g) of the function (inputs, g) ↦ Jᵀg."""

    def rule(u: Any, *rest: Any, **params: Any) -> Any:
        *inputs, g = rest
        return double_vjp(g, u, *inputs, **params)

    base = vjp_problem(f, double_vjp, space)
    return Problem(
        name or _called(double_vjp, "double backward"),
        f,
        rule,
        space,
        [*base.names, "g"],
        (*base.wrt, len(base.names)),
        cotangent="u",
        cotangent_of=f,
        second_order=True,
    )


def first_order_of(vjp: Rule) -> Function:
    """The function (inputs, g) ↦ vjp(g, *inputs), which a double backward differentiates."""
    return lambda *args, **params: vjp(args[-1], *args[:-1], **params)


def _called(rule: Callable[..., Any], otherwise: str) -> str:
    return str(getattr(rule, "__name__", otherwise))
