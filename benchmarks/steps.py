"""The timed training steps, of this project: LeNet in float32, SGD with the Deep Defense paper's settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.penalties import DEFENSE, Array
from tinygrad2 import data, nn, robust
from tinygrad2.ops import cross_entropy

BATCH = 100
SGD: dict[str, Any] = {"lr": 5e-4, "momentum": 0.9, "weight_decay": 5e-4}

State = dict[str, Array]


def problem(training_steps: int = 60) -> tuple[State, Array, Array]:
    """Parameters of a briefly trained LeNet (an untrained one is too easy to fool), and the batch of every step."""
    digits = data.centre(data.digits(upsample=28))
    net, rng = nn.models.lenet(rng=0), np.random.default_rng(0)
    optimizer = nn.Adam(net.parameters(), lr=5e-4)
    for _ in range(training_steps):
        some = rng.integers(0, len(digits.x_train), BATCH)
        optimizer.zero_grad()
        cross_entropy(net(digits.x_train[some]), digits.y_train[some]).backward()
        optimizer.step()
    return net.state_dict(), digits.x_test[:BATCH], digits.y_test[:BATCH]


class Steps:
    """One network and its optimizer; a step is forward, backward, update."""

    def __init__(self, state: State, x: Array, y: Array) -> None:
        self.net, self.x, self.y = nn.models.lenet(), x, y
        self.optimizer = nn.SGD(self.net.parameters(), **SGD)
        self.reset(state)

    def reset(self, state: State) -> None:
        """Start from these parameters again."""
        self.net.load_state_dict(state)

    def __call__(self, step: str) -> float:
        """Take one step of this kind, "plain" or "deep defense"; returns its loss."""
        self.optimizer.zero_grad()
        if step == "plain":
            loss = cross_entropy(self.net(self.x), self.y)
        else:
            loss = robust.deep_defense(self.net, self.x, self.y, **DEFENSE).total
        loss.backward()
        self.optimizer.step()
        return float(loss.item())
