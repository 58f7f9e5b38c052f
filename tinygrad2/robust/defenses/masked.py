"""A regulariser that trains some layers only (Deep Defense, figure 4): its gradient in all others is masked to zero."""

from __future__ import annotations

from collections.abc import Collection

from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.nn import Layer
from tinygrad2.nn.layer import nearest
from tinygrad2.ops import sum


def masked(net: Layer, fit: Tensor, regularizer: Tensor, layers: Collection[str]) -> Tensor:
    """A loss of value fit + regularizer, whose second term has a gradient in the parameters of the named layers alone.

    fit, regularizer: scalars on the tape. layers: dotted names such as "fc1"; a single "fc1.bias" can be named too.
    With g = ∂regularizer/∂θ taken as a constant, ⟨g, θ⟩ has that gradient; it is added with the value 0.
    """
    loss = fit + regularizer.detach()
    chosen = parameters_of(net, layers)
    for p, g in zip(chosen, autograd.grad(regularizer, chosen, allow_unused=True), strict=True):
        if g is not None:
            inner = sum(g.detach() * p)
            loss = loss + (inner - inner.detach())
    return loss


def parameters_of(net: Layer, layers: Collection[str]) -> list[Tensor]:
    """The parameters inside the named layers. Raises ValueError for a name that has none."""
    if isinstance(layers, str):
        raise TypeError(f"layers: expected a collection of names, got the string {layers!r}; write [{layers!r}]")
    own = dict(net.named_parameters())
    inside = {name: [p for full, p in own.items() if f"{full}.".startswith(f"{name}.")] for name in layers}
    for name in (name for name, parameters in inside.items() if not parameters):
        known = [*dict.fromkeys(full.rpartition(".")[0] for full in own)]
        raise ValueError(f"no layer {name!r} has parameters{nearest(name, known)}; those that do: {', '.join(known)}")
    return list({id(p): p for parameters in inside.values() for p in parameters}.values())
