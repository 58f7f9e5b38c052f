"""The same steps in plain PyTorch."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.penalties import CLASSES, DEFENSE, Array
from benchmarks.steps import SGD, State
from benchmarks.torch_deep_defense import deep_defense


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
        loss = nn.functional.cross_entropy(self.net(self.x), self.y) if step == "plain" else self._defended()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _defended(self) -> torch.Tensor:
        return deep_defense(self.net, self.x, self.y, **DEFENSE)
