"""Deep Defense in plain PyTorch, written from the paper and not from this project: every row of a Jacobian is recorded.

Slow on purpose: nothing here is clever, so that it can be believed. Use it in float64.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
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


class Residual(nn.Module):
    """body(x) + shortcut(x)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


def conv2d(layer: Any) -> nn.Conv2d:
    o, i, *kernel = layer.weight.shape
    settings = layer.stride, layer.padding, layer.dilation, layer.groups, layer.bias is not None
    return nn.Conv2d(i * layer.groups, o, tuple(kernel), *settings)


def sequential(net: Any) -> nn.Sequential:
    return nn.Sequential(OrderedDict((name, module(layer)) for name, layer in net.layers.items()))


# PyTorch's module for each kind of layer.
MODULES: dict[str, Callable[[Any], nn.Module]] = {
    "AvgPool2d": lambda a: nn.AvgPool2d(a.kernel_size, a.stride, a.padding),
    "BatchNorm1d": lambda a: nn.BatchNorm1d(a.weight.size, a.eps, a.momentum),
    "BatchNorm2d": lambda a: nn.BatchNorm2d(a.weight.size, a.eps, a.momentum),
    "Conv2d": conv2d,
    "Dropout": lambda a: nn.Dropout(a.p),
    "Flatten": lambda a: nn.Flatten(),
    "GlobalAvgPool": lambda a: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "Identity": lambda a: nn.Identity(),
    "Linear": lambda a: nn.Linear(a.weight.shape[1], a.weight.shape[0], a.bias is not None),
    "LocalResponseNorm": lambda a: nn.LocalResponseNorm(a.size, a.alpha, a.beta, a.k),
    "MaxPool2d": lambda a: nn.MaxPool2d(a.kernel_size, a.stride, a.padding),
    "ReLU": lambda a: nn.ReLU(),
    "Residual": lambda a: Residual(module(a.body), module(a.shortcut)),
    "Sequential": sequential,
    "Tanh": lambda a: nn.Tanh(),
}


def module(layer: Any) -> nn.Module:
    return MODULES[type(layer).__name__](layer)


def alone(layer: Any) -> nn.Module:
    """PyTorch's layer of the same name, made with the same settings, with the same state and mode, in float64."""
    kind = type(layer).__name__
    settings = {k: v for k, v in vars(layer).items() if isinstance(v, int | float | str | tuple) and k != "training"}
    shape = getattr(getattr(layer, "weight", None), "shape", ())
    if kind in {"Linear", "Conv1d", "Conv2d", "ConvTranspose2d"}:
        settings["bias"] = layer.bias is not None
    if kind.startswith("BatchNorm"):
        settings |= {"affine": layer.weight is not None, "track_running_stats": layer.running_mean is not None}
    if kind in {"LayerNorm", "RMSNorm"}:
        settings["elementwise_affine"] = layer.weight is not None
    if kind == "LayerNorm":
        settings["bias"] = layer.bias is not None
    if kind == "GroupNorm":
        settings["affine"] = layer.weight is not None
    positional = {
        "Linear": lambda: (shape[1], shape[0]),
        "Conv1d": lambda: (shape[1] * layer.groups, shape[0], shape[2]),
        "Conv2d": lambda: (shape[1] * layer.groups, shape[0], shape[2:]),
        "ConvTranspose2d": lambda: (shape[0], shape[1] * layer.groups, shape[2:]),
        "PReLU": lambda: shape,
        "Softmax": lambda: (-1,),
    }.get(kind, tuple)()
    theirs = getattr(nn, kind)(*positional, **settings).double().train(layer.training)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in layer.state_dict().items()}, strict=False)
    return theirs


def twin(net: Any) -> nn.Module:
    """The PyTorch network with the layers, names, parameters and mode of a tinygrad2 Sequential, in float64."""
    result = module(net).double().train(net.training)
    values = {name: torch.tensor(a).double() for name, a in net.state_dict().items()}
    found = result.load_state_dict(values, strict=False)
    assert not found.unexpected_keys and all(k.endswith("num_batches_tracked") for k in found.missing_keys)
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
