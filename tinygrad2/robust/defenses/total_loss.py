"""The sum of what a network is trained on, in which a regulariser may train some layers only."""

from __future__ import annotations

from collections.abc import Collection

from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.nn import Layer
from tinygrad2.nn.layer import nearest
from tinygrad2.ops import sum


def total_loss(net: Layer, fit: Tensor, regularizer: Tensor, layers: Collection[str] | None = None) -> Tensor:
    """fit + regularizer, where the gradient of the regularizer reaches the named layers alone (all of them if None).

    fit, regularizer: scalars on the tape
    layers: dotted names such as "fc1"; a single parameter such as "fc1.bias" can be named too

    With g = ∂regularizer/∂θ taken as a constant, ⟨g, θ⟩ has the gradient g. It is added with the value 0.
    Raises ValueError for a name that has no parameters. Source: Deep Defense (Yan et al. 2018), figure 4.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> regularizer = tg.sum(net[0].weight) + tg.sum(net[1].weight)
    >>> robust.total_loss(net, tg.sum(net[0].bias), regularizer, ["1"]).backward()
    >>> net[0].weight.grad is None, net[1].weight.grad.numpy()
    (True, array([[1., 1.]], dtype=float32))
    """
    if layers is None:
        return fit + regularizer
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
