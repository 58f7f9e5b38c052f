"""The same losses in PyTorch, as its users write them: a loop over classes, and `is_grads_batched`; and foolbox."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.ours import Array
from benchmarks.setting import DEFENSE
from benchmarks.torch_deep_defense import deep_defense, walk
from tinygrad2.kernels import Geometry


def twin(net: Any, size: Any) -> nn.Sequential:
    """The PyTorch network with the layers, names and parameters of a tinygrad2 Sequential. size: (H, W)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in net.layers.items():
        kind = type(layer).__name__
        if kind == "Conv2d":
            o, i, *kernel = layer.weight.shape
            geo = Geometry.of(size, kernel, layer.stride, layer.padding)
            (top, bottom), (left, right) = geo.padding
            if (top, left) != (bottom, right):
                raise ValueError(f"{name}: PyTorch pads both sides alike, [{geo}] does not")
            layers[name] = nn.Conv2d(i, o, tuple(kernel), layer.stride, (top, left))
            size = geo.output
        elif kind == "MaxPool2d":
            layers[name] = nn.MaxPool2d(layer.kernel_size)
            size = tuple(n // layer.kernel_size for n in size)
        elif kind == "Linear":
            layers[name] = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        elif kind == "BatchNorm2d":
            layers[name] = nn.BatchNorm2d(layer.weight.shape[0])
        else:
            layers[name] = {"ReLU": nn.ReLU, "Flatten": nn.Flatten}[kind]()
    result = nn.Sequential(layers)
    result.load_state_dict({name: torch.tensor(values) for name, values in net.state_dict().items()}, strict=False)
    return result


class Torch:
    """PyTorch, eager: one recorded backward pass for each class whose row of the Jacobian is wanted."""

    def __init__(self, net: Any, x: Array, labels: Array) -> None:
        self.net = twin(net, x.shape[2:])
        self.x = torch.tensor(x)
        self.labels = torch.tensor(labels)

    def steps(self) -> dict[str, Callable[[], float]]:
        """Every loss with its gradient by all parameters; the value is returned."""
        losses = {
            "cross-entropy": self.plain,
            "input gradient": self.input_gradient,
            "l1": lambda: self.one_cotangent(lambda z: torch.ones_like(z), lambda g: g.abs().mean()),
            "logit margin": lambda: self.one_cotangent(self.margin, lambda g: (g * g).sum() / len(self.x)),
            "jacobian": self.jacobian,
            "deep defense": self.deep_defense,
        }
        return {name: lambda f=f: self._step(f) for name, f in losses.items()}

    def _step(self, loss_of: Callable[[], Tensor]) -> float:
        self.net.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss.item()

    def gradient(self) -> Array:
        """All parameters' gradients, flat."""
        parts = [np.zeros(p.numel()) if p.grad is None else p.grad.numpy().ravel() for p in self.net.parameters()]
        return np.concatenate(parts)

    def plain(self) -> Tensor:
        return cross_entropy(self.net(self.x), self.labels)

    def input_gradient(self) -> Tensor:
        x = self.x.clone().requires_grad_()
        losses = cross_entropy(self.net(x), self.labels, reduction="none")
        (g,) = torch.autograd.grad(losses.sum(), x, create_graph=True)
        return losses.mean() + (g * g).sum() * (0.5 / len(x))

    def jacobian(self) -> Tensor:
        x = self.x.clone().requires_grad_()
        z = self.net(x)
        return cross_entropy(z, self.labels) + (self.rows(z, x) ** 2).sum().sqrt() * 0.1

    def rows(self, z: Tensor, x: Tensor) -> Tensor:
        """The Jacobian (K, N, ...)."""
        return torch.stack([torch.autograd.grad(z[:, k].sum(), x, create_graph=True)[0] for k in range(z.shape[1])])

    def one_cotangent(self, u: Callable[[Tensor], Tensor], penalty: Callable[[Tensor], Tensor]) -> Tensor:
        x = self.x.clone().requires_grad_()
        z = self.net(x)
        (g,) = torch.autograd.grad(z, x, u(z.detach()), create_graph=True)
        return cross_entropy(z, self.labels) + penalty(g)

    def margin(self, z: Tensor) -> Tensor:
        one_hot = torch.eye(z.shape[1])
        return one_hot[(z - 1e30 * one_hot[self.labels]).argmax(1)] - one_hot[self.labels]

    def deep_defense(self) -> Tensor:
        return deep_defense(self.net, self.x, self.labels, **DEFENSE)

    def deepfool(self, x: Array) -> float:
        """Mean norm of DeepFool's perturbations, at most 50 steps, batches of 100."""
        norms = []
        for batch in torch.tensor(x).split(100):
            labels = self.net(batch).argmax(1)
            delta, _ = walk(self.net, batch, labels, max_iter=50, record=False)
            norms.append(delta.detach().flatten(1).norm(dim=1))
        return float(torch.cat(norms).mean())


class Batched(Torch):
    """All rows of the Jacobian by one vectorised backward pass; other steps are those of the loop."""

    deepfool = None  # type: ignore[assignment]

    def steps(self) -> dict[str, Callable[[], float]]:
        return {"jacobian": super().steps()["jacobian"]}

    def rows(self, z: Tensor, x: Tensor) -> Tensor:
        u = torch.eye(z.shape[1])[:, None].expand(z.shape[1], *z.shape)
        return torch.autograd.grad(z, x, u, create_graph=True, is_grads_batched=True)[0]


class Foolbox(Torch):
    """foolbox's DeepFool, which is all it takes part in."""

    def steps(self) -> dict[str, Callable[[], float]]:
        return {}

    def deepfool(self, x: Array) -> float:
        import foolbox

        model = foolbox.PyTorchModel(self.net.eval(), bounds=(-1000, 1000))
        attack = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02)
        norms = []
        for batch in torch.tensor(x).split(100):
            moved, _, _ = attack(model, batch, self.net(batch).argmax(1), epsilons=None)
            norms.append((moved - batch).flatten(1).norm(dim=1))
        return float(torch.cat(norms).mean())
