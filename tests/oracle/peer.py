"""Deep Defense in plain PyTorch, written from the paper and not from this project: every row of a Jacobian is recorded.

Slow on purpose: nothing here is clever, so that it can be believed. Use it in float64.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import nn

from tinygrad2 import Tensor
from tinygrad2.autodiff import autograd

EPSILON = {"corrected": 0.0, "coded": 5e-6}
RTOL = 1e-9


def assert_close(ours: Tensor, theirs: torch.Tensor, what: str) -> None:
    """Float64 arrays of one shape, whose values agree to RTOL of the largest."""
    a, b = ours.detach().numpy(), theirs.numpy(force=True)
    assert a.shape == b.shape and a.dtype == b.dtype == np.float64, what
    np.testing.assert_allclose(a, b, 0, RTOL * np.abs(b).max(initial=1e-300), err_msg=what)


def assert_same_gradients(ours: Tensor, theirs: torch.Tensor, net: Any, twin: nn.Module) -> None:
    """The value, and the gradient by every parameter: zeros where a penalty does not depend on it."""
    assert_close(ours, theirs, "value")
    names = [name for name, _ in net.named_parameters()]
    assert names == [name for name, _ in twin.named_parameters()]
    left = autograd.grad(ours, net.parameters(), allow_unused=True)
    right = torch.autograd.grad(theirs, list(twin.parameters()), allow_unused=True, materialize_grads=True)
    for name, a, b in zip(names, left, right, strict=True):
        assert_close(Tensor(np.zeros(b.shape)) if a is None else a, b, name)


def twin(net: Any) -> nn.Sequential:
    """The PyTorch network with the layers, names and parameters of a tinygrad2 Sequential, in float64."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in net.layers.items():
        kind = type(layer).__name__
        if kind == "Conv2d":
            o, i, *kernel = layer.weight.shape
            layers[name] = nn.Conv2d(i, o, tuple(kernel))
        elif kind == "Linear":
            layers[name] = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        elif kind == "MaxPool2d":
            layers[name] = nn.MaxPool2d(layer.kernel_size)
        else:
            layers[name] = {"ReLU": nn.ReLU, "Tanh": nn.Tanh, "Flatten": nn.Flatten}[kind]()
    result = nn.Sequential(layers).double()
    result.load_state_dict({name: torch.tensor(values).double() for name, values in net.state_dict().items()})
    return result


def jacobian(net: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits (n, K) at x and their Jacobian (n, K, D), one recorded backward pass for each class."""
    if not x.requires_grad:
        x = x.clone().requires_grad_()
    z = net(x)
    rows = [torch.autograd.grad(z[:, k].sum(), x, create_graph=True)[0].flatten(1) for k in range(z.shape[1])]
    return z, torch.stack(rows, 1)


def deepfool(
    net: nn.Module, x: torch.Tensor, labels: torch.Tensor | None, mode: str, max_iter: int = 5, overshoot: float = 0.02
) -> tuple[torch.Tensor, torch.Tensor]:
    """Δ (N, D), and whether each sample was fooled; with labels a misclassified sample goes to its own."""
    predicted = net(x).argmax(1)
    wrong = torch.zeros_like(predicted, dtype=torch.bool) if labels is None else predicted != labels
    r = torch.zeros_like(x).flatten(1)
    fooled = torch.zeros_like(wrong)
    for _ in range(max_iter):
        moving = torch.nonzero(~fooled)[:, 0]
        z, j = jacobian(net, x[moving] + r[moving].reshape(x[moving].shape))
        origin = torch.where(wrong[moving], z.argmax(1), predicted[moving])
        n = torch.arange(len(moving))
        f = (z - z[n, origin][:, None]).abs()
        w = j - j[n, origin][:, None]
        length = torch.linalg.vector_norm(w + EPSILON[mode], dim=2)
        allowed = torch.ones_like(f, dtype=torch.bool)
        allowed[n, origin] = False
        if labels is not None:
            only = nn.functional.one_hot(labels[moving], z.shape[1]).bool()
            allowed = torch.where(wrong[moving][:, None], only, allowed)
        distance = torch.where(allowed, f / length, torch.inf).detach()
        k = distance.argmin(1)
        step = (f[n, k] / length[n, k])[:, None] * w[n, k] / length[n, k][:, None]
        r = r.index_add(0, moving, step)
        with torch.no_grad():
            now = net(x[moving] + (1 + overshoot) * r[moving].reshape(x[moving].shape)).argmax(1)
        reached = now != predicted[moving]
        if labels is not None:
            reached = torch.where(wrong[moving], now == labels[moving], reached)
        fooled[moving] = reached
        if fooled.all():
            break
    return (1 + overshoot) * r, fooled


def deep_defense(
    net: nn.Module, x: torch.Tensor, labels: torch.Tensor, lam: float, c: float, d: float, mode: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean objective of equation 6 and ρ of each sample."""
    z = net(x)
    right = z.argmax(1) == labels
    delta, _ = deepfool(net, x, labels, mode)
    rho = torch.linalg.vector_norm(delta, dim=1) / torch.linalg.vector_norm(x.flatten(1), dim=1)
    penalty = torch.where(right, torch.exp(-c * rho), torch.exp(d * rho)).sum() * lam / len(x)
    return nn.functional.cross_entropy(z, labels) + penalty, rho
