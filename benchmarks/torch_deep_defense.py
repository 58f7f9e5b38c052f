"""The Deep Defense objective in plain PyTorch, with our shortcut: one recorded row of the Jacobian instead of all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Net = Callable[[Tensor], Tensor]


def deep_defense(net: Net, x: Tensor, labels: Tensor, lam: float, c: float, d: float) -> Tensor:
    """The mean objective, equation 6. x: (N, ...); labels: (N,)."""
    delta, logits = walk(net, x, labels)
    rho = delta.flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
    rate = torch.where(logits.argmax(1) == labels, -c, d)
    return cross_entropy(logits, labels) + torch.exp(rate * rho).sum() * (lam / len(x))


def walk(
    net: Net, x: Tensor, labels: Tensor, max_iter: int = 5, overshoot: float = 0.02, record: bool = True
) -> tuple[Tensor, Tensor]:
    """DeepFool: Δ (N, ...), and the logits of the unperturbed images (N, K). record: for a derivative of Δ."""
    point = x.clone().requires_grad_()
    z = logits = net(point)
    source = logits.detach().argmax(1)
    wrong = source != labels
    at = torch.arange(len(x), device=x.device)
    start = x
    r = torch.zeros_like(x)
    delta = torch.zeros_like(x)
    for i in range(max_iter):
        k = torch.where(wrong[at], labels[at], nearest(z, point, source))
        f = (z.gather(1, k[:, None]) - z.gather(1, source[:, None]))[:, 0]
        (w,) = torch.autograd.grad(f.sum(), point, create_graph=record)
        length = w.flatten(1).norm(dim=1)[:, None, None, None]
        r = r + (f.abs()[:, None, None, None] / length) * (w / length)
        with torch.no_grad():
            now = net(start + (1 + overshoot) * r).argmax(1)
        stop = torch.where(wrong[at], now == labels[at], now != source) | (i + 1 == max_iter)
        delta = delta.index_add(0, at[stop], (1 + overshoot) * r[stop])
        at = at[~stop]
        start = start[~stop]
        r = r[~stop]
        source = source[~stop]
        if not len(at):
            break
        point = start + r if record else (start + r).requires_grad_()
        z = net(point)
        source = torch.where(wrong[at], z.detach().argmax(1), source)
    return delta, logits


def nearest(z: Tensor, point: Tensor, source: Tensor) -> Tensor:
    """The class with the nearest linearised boundary, from one unrecorded backward pass for each class."""
    rows = [torch.autograd.grad(z[:, k].sum(), point, retain_graph=True)[0].flatten(1) for k in range(z.shape[1])]
    jacobian = torch.stack(rows, 1)
    n = torch.arange(len(source), device=source.device)
    length = (jacobian - jacobian[n, source][:, None]).norm(dim=2)
    distance = (z.detach() - z.detach()[n, source][:, None]).abs() / length
    distance[n, source] = torch.inf
    return distance.argmin(1)
