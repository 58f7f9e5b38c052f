"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import pattern
from tinygrad2.nn.layer import Applied, Layer, located
from tinygrad2.nn.layers import Identity
from tinygrad2.nn.reverse import ReverseConcatenate, ReverseResidual, ReverseSequential, ReverseSum, Step
from tinygrad2.ops import concatenate

__all__ = ["Concatenate", "Residual", "Sequential", "Sum"]


class Container(Layer):
    """Layers with names. A layer without a name is named by its position.

    Raises TypeError for what is no layer, and ValueError for a name that is there already or has a dot.
    """

    layers: dict[str, Layer]

    def __init__(self, *layers: Layer | Mapping[str, Layer], **named: Layer) -> None:
        self.layers = {}
        for part in (*layers, named):
            for name, layer in (part if isinstance(part, Mapping) else {str(len(self.layers)): part}).items():
                self._add(name, layer)

    def _add(self, name: str, layer: Layer) -> None:
        kind = type(self).__name__
        if not isinstance(layer, Layer):
            raise TypeError(f"{kind}: {name!r} must be a layer, got {type(layer).__name__}")
        if not name or "." in name or name in self.layers:
            raise ValueError(f"{kind}: layers need different names without dots, got {name!r} after {[*self.layers]}")
        self.layers[name] = layer

    def children(self) -> Iterator[tuple[str, Layer]]:
        return iter(self.layers.items())

    def __getitem__(self, key: int | str) -> Layer:
        return self.layers[key] if isinstance(key, str) else list(self.layers.values())[key]

    def __len__(self) -> int:
        return len(self.layers)


class Sequential(Container):
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


class Branches(Container):
    """Layers side by side, all of which see the same x: (N, ...)."""

    def branches(self, x: Tensor) -> tuple[list[Tensor], tuple[Step, ...]]:
        """The outputs of all branches at x, and their reverses. Raises ValueError where there is no branch."""
        if not self.layers:
            raise ValueError("give at least one layer")
        outputs = []
        steps = []
        for name, layer in self.layers.items():
            y, reverse = located(name, layer, layer.apply, x)
            outputs.append(y)
            steps.append(Step(name, layer, y.shape, reverse))
        return outputs, tuple(steps)


class Sum(Branches):
    """a(x) + b(x) + ...: `Sum(a, b)`, or `Sum(left=a, right=b)`. x: (N, ...).

    All branches must give one shape. Raises ValueError where they do not.

    >>> nn.Sum(nn.Identity(), nn.Identity(), nn.ReLU())(np.array([[-1.0, 2.0]])).numpy().tolist()
    [[-2.0, 6.0]]
    """

    def apply(self, x: Tensor) -> Applied:
        outputs, steps = self.branches(x)
        shapes = {name: y.shape for name, y in zip(self.layers, outputs, strict=True)}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"all branches must give one shape, got {shapes}")
        total, *others = outputs
        for y in others:
            total = total + y
        return total, ReverseSum(steps)


class Concatenate(Branches):
    """The outputs of several layers at one x, side by side: `Concatenate(a, b)`, or `Concatenate(left=a, right=b)`.

    axis: which axis of the outputs (N, C, ...) grows; 1, the channels, where none is given. Their other sizes must be
    equal. Raises ValueError where they are not. As in the blocks of Szegedy et al. 2015, figure 2.

    >>> net = nn.Concatenate(same=nn.Identity(), positive=nn.ReLU())
    >>> net(np.array([[-1.0, 2.0]])).numpy().tolist()
    [[-1.0, 2.0, 0.0, 2.0]]
    >>> net.trace(np.array([[-1.0, 2.0]]))
    forward ↓                 output  reverse ↑          shares
    x                         1×2     Jᵀu
    same       Identity()     1×2     ReverseIdentity
    positive   ReLU()         1×2     ReverseMask        mask
               concatenation  1×4     split, sum of all
    z                         1×4     u
    """

    axis: int

    def __init__(self, *layers: Layer | Mapping[str, Layer], axis: int = 1, **named: Layer) -> None:
        super().__init__(*layers, **named)
        self.axis = axis

    def apply(self, x: Tensor) -> Applied:
        outputs, steps = self.branches(x)
        ndim = outputs[0].ndim
        axis = self.axis - ndim if self.axis >= 0 else self.axis
        rest = {(y.ndim, *y.shape[: ndim + axis], *y.shape[ndim + axis + 1 :]) for y in outputs}
        if not -ndim < axis < 0 or len(rest) > 1:
            shapes = {name: y.shape for name, y in zip(self.layers, outputs, strict=True)}
            raise ValueError(
                f"the outputs of all branches must differ in axis {self.axis} alone, which is not 0: got {shapes}"
            )
        return concatenate(outputs, axis), ReverseConcatenate(steps, axis)


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
