"""The same steps in plain PyTorch, with the same shortcut: one recorded row of the Jacobian instead of all."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.steps import BATCH, CLASSES, DEFENSE, SGD, Array, State


class TorchSteps:
    """One network and its optimizer; a step is forward, backward, update."""

    def __init__(self, state: State, x: Array, y: Array) -> None:
        self.net = nn.Sequential()
        for name, layer in {
            "conv1": nn.Conv2d(1, 20, 5),
            "pool1": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(20, 50, 5),
            "pool2": nn.MaxPool2d(2),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(800, 500),
            "relu1": nn.ReLU(),
            "fc2": nn.Linear(500, CLASSES),
        }.items():
            self.net.add_module(name, layer)
        self.x, self.y = torch.tensor(x), torch.tensor(y)
        self.optimizer = torch.optim.SGD(self.net.parameters(), **SGD)
        self.reset(state)

    def reset(self, state: State) -> None:
        """Start from these parameters again."""
        self.net.load_state_dict({name: torch.tensor(values) for name, values in state.items()})

    def __call__(self, step: str) -> float:
        """Take one step of this kind, "plain" or "deep defense"; returns its loss."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.net(self.x), self.y) if step == "plain" else self.deep_defense()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def deep_defense(self) -> torch.Tensor:
        """The mean objective of Deep Defense, equation 6."""
        delta, logits = self.walk()
        rho = delta.flatten(1).norm(dim=1) / self.x.flatten(1).norm(dim=1)
        rate = torch.where(logits.argmax(1) == self.y, -DEFENSE["c"], DEFENSE["d"])
        penalty = torch.exp(rate * rho).sum() * (DEFENSE["lam"] / BATCH)
        return nn.functional.cross_entropy(logits, self.y) + penalty

    def walk(self, max_iter: int = 5, overshoot: float = 0.02) -> tuple[torch.Tensor, torch.Tensor]:
        """DeepFool: Δ (N, 1, 28, 28), and the logits of the unperturbed images."""
        point = self.x.clone().requires_grad_()
        z = logits = self.net(point)
        source = logits.detach().argmax(1)
        wrong = source != self.y
        at, start = torch.arange(BATCH), self.x
        r = torch.zeros_like(self.x)
        delta = torch.zeros_like(self.x)
        for i in range(max_iter):
            k = torch.where(wrong[at], self.y[at], self.nearest(z, point, source))
            f = (z.gather(1, k[:, None]) - z.gather(1, source[:, None]))[:, 0]
            (w,) = torch.autograd.grad(f.sum(), point, create_graph=True)
            length = w.flatten(1).norm(dim=1)[:, None, None, None]
            r = r + (f.abs()[:, None, None, None] / length) * (w / length)
            with torch.no_grad():
                now = self.net(start + (1 + overshoot) * r).argmax(1)
            stop = torch.where(wrong[at], now == self.y[at], now != source) | (i + 1 == max_iter)
            delta = delta.index_add(0, at[stop], (1 + overshoot) * r[stop])
            at, start, r, source = at[~stop], start[~stop], r[~stop], source[~stop]
            if not len(at):
                break
            point = start + r
            z = self.net(point)
            source = torch.where(wrong[at], z.detach().argmax(1), source)
        return delta, logits

    def nearest(self, z: torch.Tensor, point: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """The class with the nearest linearised boundary, from one unrecorded backward pass for each class."""
        rows = [torch.autograd.grad(z[:, k].sum(), point, retain_graph=True)[0].flatten(1) for k in range(CLASSES)]
        jacobian, n = torch.stack(rows, 1), torch.arange(len(source))
        length = (jacobian - jacobian[n, source][:, None]).norm(dim=2)
        distance = (z.detach() - z.detach()[n, source][:, None]).abs() / length
        distance[n, source] = torch.inf
        return distance.argmin(1)
