"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import fused
from tinygrad2.nn import reverse as r
from tinygrad2.nn.layer import Applied, Layer, located
from tinygrad2.nn.layers import Identity


class Sequential(Layer):
    """Layers one after the other: `Sequential(a, b)`, `Sequential(conv1=a, fc=b)` or `Sequential({"conv1": a})`."""

    def __init__(self, *layers: Layer | Mapping[str, Layer], **named: Layer) -> None:
        self.layers: dict[str, Layer] = {}
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
        steps: list[r.Step] = []
        for group in fused.groups([*self.layers.items()]):
            x, more = fused.apply(group, x) if len(group) > 1 else self._apply_one(*group[0], x)
            steps += more
        return x, r.ReverseSequential(tuple(steps))

    @staticmethod
    def _apply_one(name: str, layer: Layer, x: Tensor) -> tuple[Tensor, list[r.Step]]:
        with located(name, layer):
            x, reverse = layer.apply(x)
        return x, [r.Step(name, layer, x.shape, reverse)]

    def children(self) -> Iterator[tuple[str, Layer]]:
        return iter(self.layers.items())

    def __getitem__(self, key: int | str) -> Layer:
        return self.layers[key] if isinstance(key, str) else list(self.layers.values())[key]

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(f'{name}={layer!r}' for name, layer in self.layers.items())})"


class Residual(Layer):
    """body(x) + shortcut(x); the shortcut is the identity where none is given. He et al. 2016."""

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        self.body = body
        self.shortcut = Identity() if shortcut is None else shortcut

    def apply(self, x: Tensor) -> Applied:
        outputs, branches = [], []
        for name, layer in self.children():
            with located(name, layer):
                y, reverse = layer.apply(x)
            outputs.append(y)
            branches.append(r.Step(name, layer, y.shape, reverse))
        (y, z), (body, shortcut) = outputs, branches
        if y.shape != z.shape:
            raise ValueError(
                f"the body gives shape {y.shape}, the shortcut {z.shape}; give a shortcut layer that matches"
            )
        return y + z, r.ReverseResidual(body, shortcut)

    def __repr__(self) -> str:
        return f"Residual({self.body!r}, {self.shortcut!r})"
