"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import pattern
from tinygrad2.nn.layer import Applied, Layer, located
from tinygrad2.nn.layers import Identity
from tinygrad2.nn.reverse import ReverseResidual, ReverseSequential, Step


class Sequential(Layer):
    """Layers one after the other: `Sequential(a, b)`, `Sequential(conv1=a, fc=b)` or `Sequential({"conv1": a})`.

    A layer without a name is named by its position. Raises TypeError for what is no layer, and ValueError for a name
    that is there already or has a dot.

    >>> net = nn.Sequential(relu=nn.ReLU(), flatten=nn.Flatten())
    >>> net
    Sequential(
      (relu): ReLU()
      (flatten): Flatten()
    )
    >>> net(np.ones((2, 3, 4), np.float32)).shape
    (2, 12)
    """

    layers: dict[str, Layer]

    def __init__(self, *layers: Layer | Mapping[str, Layer], **named: Layer) -> None:
        self.layers = {}
        for part in (*layers, named):
            for name, layer in (part if isinstance(part, Mapping) else {str(len(self.layers)): part}).items():
                self._add(name, layer)

    def _add(self, name: str, layer: Layer) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential: {name!r} must be a layer, got {type(layer).__name__}")
        if not name or "." in name or name in self.layers:
            raise ValueError(
                f"Sequential: layers need different names without dots, got {name!r} after {[*self.layers]}"
            )
        self.layers[name] = layer

    def apply(self, x: Tensor) -> Applied:
        steps: list[Step] = []
        for group in pattern.groups([*self.layers.items()]):
            if len(group) > 1:
                x, step = pattern.pooled(group, x)
            else:
                ((name, layer),) = group
                x, reverse = located(name, layer, layer.apply, x)
                step = Step(name, layer, x.shape, reverse)
            steps.append(step)
        return x, ReverseSequential(pattern.rewrite(steps))

    def children(self) -> Iterator[tuple[str, Layer]]:
        return iter(self.layers.items())

    def __getitem__(self, key: int | str) -> Layer:
        return self.layers[key] if isinstance(key, str) else list(self.layers.values())[key]

    def __len__(self) -> int:
        return len(self.layers)


class Residual(Layer):
    """body(x) + shortcut(x); the shortcut is the identity where none is given. He et al. 2016, equation 1.

    Both must give the same shape. Raises ValueError where they do not.

    >>> nn.Residual(nn.Tanh())(np.zeros((1, 2), np.float32)).numpy().tolist()
    [[0.0, 0.0]]
    """

    body: Layer
    shortcut: Layer

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        self.body = body
        self.shortcut = Identity() if shortcut is None else shortcut

    def apply(self, x: Tensor) -> Applied:
        y, body = located("body", self.body, self.body.apply, x)
        z, shortcut = located("shortcut", self.shortcut, self.shortcut.apply, x)
        if y.shape != z.shape:
            raise ValueError(
                f"the body gives shape {y.shape}, the shortcut {z.shape}; give a shortcut layer that matches"
            )
        steps = Step("body", self.body, y.shape, body), Step("shortcut", self.shortcut, z.shape, shortcut)
        return y + z, ReverseResidual(*steps)
