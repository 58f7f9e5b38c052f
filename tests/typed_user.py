"""A user's script with every type written out. It is type-checked with `mypy --strict`, and it runs."""

import numpy as np

import tinygrad2 as tg
from tinygrad2 import data, nn, robust


def loss(net: nn.Layer, x: tg.Tensor, labels: list[int]) -> tg.Tensor:
    trace = net.trace(x)
    jacobian: tg.Tensor = trace.jacobian()
    fit: tg.Tensor = tg.cross_entropy(trace.output, labels)
    return fit + 0.1 * (jacobian * jacobian).sum()


net = nn.Sequential(
    fc1=nn.Linear(64, 20, rng=0),
    relu=nn.ReLU(),
    fc2=nn.Linear(20, 10, rng=1),
)
optimizer = nn.SGD(net.parameters(), lr=0.1)
images = tg.Tensor(np.ones((4, 64), np.float32))
loss(net, images, [1, 2, 3, 4]).backward()
optimizer.step()

half: tg.Tensor = tg.exp(images) / 2.0
square = tg.grad(lambda t: (t * t).sum())
slope: tg.Tensor = square(half)
shape: tuple[int, ...] = slope.shape
attacked: robust.AttackResult = robust.fgsm(net, images, [1, 2, 3, 4], epsilon=0.1)
found: tg.Tensor = attacked.adversarial
rho: float = float(robust.rho(net, images.numpy()).mean())
names: list[str] = sorted(data.LOADERS)
print(shape, found.shape, rho, names)
