"""What is to be checked, in one form: a function f, and a rule that claims Jᵀg for some of f's inputs.

The three things that a person derives are brought to it here. A vector-Jacobian product is such a rule as it is. A
Jacobian J claims Jᵀg, its product with g. A double backward is the rule of the function (inputs, g) ↦ Jᵀg of f.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.space import AnySpace
from tinygrad2.verify.truth import arrays_of, names_of

Function = Callable[..., Any]  # f(*inputs, **params) -> one array
Rule = Callable[..., Any]  # rule(g, *inputs, **params) -> one cotangent per floating input
Terms = Callable[..., Sequence[Mapping[str, Array]]]


@dataclass(frozen=True)
class Problem:
    """f and the rule for it. names: of f's inputs. wrt: which inputs the rule returns cotangents for.

    cotangent: what the rule's first argument is called. cotangent_of: for a double backward the function whose output
    has the cotangent g, which is then the last input. second_order: f stands for the function (inputs, g) ↦ Jᵀg of f.
    variants: other readings of the rule, mistake -> (sentence, rule); one that is right everywhere is the diagnosis.
    terms(g, *inputs, **params): per wrt, the named terms whose sum is the right answer. saved(*inputs, **params): named
    intermediate values that a rule may have forgotten. remarks: mistake -> what to add where it is found.
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

    def result(self, k: int) -> str:
        """What the cotangent of the k-th claimed input is called."""
        return f"d{self.names[self.wrt[k]]}"


def vjp_problem(f: Function, vjp: Rule, space: AnySpace, name: str | None = None) -> Problem:
    """A vector-Jacobian product: a rule as it is, by all floating inputs. TypeError where f is no function."""
    if not callable(f):
        raise TypeError(f"the first argument must be the function that was differentiated, got {type(f).__name__}")
    inputs = space.inputs(space.draw(np.random.default_rng(0)))
    floating = tuple(i for i, a in enumerate(inputs) if a.dtype.kind == "f")
    return Problem(name or _called(vjp, "vjp"), f, vjp, space, names_of(f, len(inputs)), floating)


def jacobian_problem(f: Function, jacobian: Callable[..., Any], space: AnySpace, name: str | None = None) -> Problem:
    """A claimed Jacobian by the first input, as the rule Jᵀg. If its transpose is right, that is the mistake."""

    def rule_of(transposed: bool) -> Rule:
        def rule(g: Any, *inputs: Any, **params: Any) -> Array:
            x = arrays_of(inputs[0])[0]
            g = arrays_of(g)[0]
            j = arrays_of(jacobian(*inputs, **params))[0]
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
    names = vjp_problem(f, jacobian, space).names
    label = name or _called(jacobian, "jacobian")
    return Problem(label, f, rule_of(False), space, names, (0,), variants={"transpose": (said, rule_of(True))})


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
