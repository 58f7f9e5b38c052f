"""A layer: its fields are its parameters and settings, and `apply` gives its output together with its reverse layer.

One method says it all, so the forward pass and its reverse cannot drift apart. Calling a layer takes the output and
drops the reverse. A layer that defines `forward` instead gives its output only; its reverse is taken from the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import partial
from types import UnionType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor
from tinygrad2.autodiff.effects import observed, stateful
from tinygrad2.autodiff.habits import LAYER_ATTRIBUTES, hint
from tinygrad2.autodiff.tree import flatten, leaves
from tinygrad2.kernels.arrays import Array, to_device
from tinygrad2.nn import tape
from tinygrad2.nn.reverse import ReverseLayer
from tinygrad2.nn.state import snapshot
from tinygrad2.nn.summary import Summary
from tinygrad2.nn.trace import Trace

__all__ = ["Layer"]

Applied = tuple[Tensor, ReverseLayer]
_COUNTER = "num_batches_tracked"
T = TypeVar("T")


class Layer:
    """Base of all layers. A layer of your own defines `forward`, or `apply` to write its reverse layer as well.

    A Tensor attribute that requires a gradient is a parameter, any other Tensor a buffer; a Layer attribute is a child.
    Lists, tuples and dicts of them count too: the first of `self.blocks = [...]` is called "blocks.0".

    >>> class Gate(nn.Layer):
    ...     def __init__(self):
    ...         self.fc = nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return x * tg.sigmoid(self.fc(x))
    >>> net = nn.Sequential(gate=Gate(), act=nn.ReLU())
    >>> net.trace(np.ones((1, 3), np.float32))
    forward ↓             output  reverse ↑      shares
    x                     1×3     Jᵀu
    gate       Gate(...)  1×3     from the tape
    act        ReLU()     1×3     ReverseMask    mask
    z                     1×3     u
    >>> class Double(nn.Layer):
    ...     def apply(self, x):
    ...         return x * 2.0, nn.reverse.ReverseScale(tg.Tensor(np.float32(2.0)))
    >>> Double()(np.ones((1, 3), np.float32)).numpy().tolist()
    [[2.0, 2.0, 2.0]]
    """

    training: bool = True

    def __init__(self) -> None:
        """A layer without settings. A layer of your own need not call this."""

    def __init_subclass__(cls, **options: Any) -> None:
        """`apply` and `forward` define one thing: a class that writes one of them gets the other from it."""
        super().__init_subclass__(**options)
        own = vars(cls)
        if "forward" in own and "apply" not in own:
            cls.apply = _apply_of(cls.forward)  # type: ignore[assignment, method-assign]
        elif "apply" in own and "forward" not in own:
            cls.forward = _forward_of(cls.apply)  # type: ignore[assignment, method-assign]

    if not TYPE_CHECKING:  # a type checker would take every wrong name for right

        def __getattr__(self, name: str) -> None:
            """The error for a name that a layer does not have; for one of another framework it says what to write."""
            owner = type(self).__name__
            raise AttributeError(
                f"{owner} has no attribute {name!r}{hint(LAYER_ATTRIBUTES, name)}", name=name, obj=self
            )

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; TypeError where an array would take the place of a parameter, which would then be lost."""
        old = vars(self).get(name)
        if isinstance(old, Tensor) and old.requires_grad and not isinstance(value, Tensor | None):
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter, and {type(value).__name__} is no Tensor; to change its "
                f"value write layer.{name}.data = values"
            )
        super().__setattr__(name, value)

    def apply(self, x: Tensor) -> Applied:
        """The output at x, and the reverse layer at x. x: samples first, (N, ...)."""
        raise NotImplementedError(
            f"{type(self).__name__} must define forward(x) -> output, or apply(x) -> (output, reverse layer)"
        )

    def forward(self, x: Tensor) -> Tensor:
        """The output at x. x: samples first, (N, ...)."""
        return self.apply(x)[0]

    def __call__(self, x: Any, *others: Any) -> Tensor:
        """The output at x. x: a Tensor or an array, samples first, (N, ...).

        others: what else a `forward` of your own takes. Only a layer of one input has a reverse.
        """
        x = x if isinstance(x, Tensor) else Tensor(x)
        if others:
            forward: Callable[..., Tensor] = self.forward
            return located("", self, lambda x: forward(x, *others), x)
        y, _ = located("", self, self.apply, x)
        return y

    def trace(self, x: Any) -> Trace:
        """A forward pass that keeps what the reverse layers share. x: a Tensor or an array, samples first, (N, ...)."""
        x = x if isinstance(x, Tensor) else Tensor(x)
        y, reverse = located("", self, self.apply, x)
        return Trace(self, x, y, reverse)

    def summary(self, x: Any) -> Summary:
        """A table: for each layer its name, output shape at x, number of parameters, and reverse layer; and the total.

        x: an input, (N, ...). A copy runs: running statistics and random generators of this network stay as they are.
        """
        trace = deepcopy(self).trace(x)
        return Summary(list(trace.reverse().rows()), {name: p.size for name, p in self.named_parameters()})

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers directly inside this one, with their names."""
        return members(self, Layer)

    def named_layers(self, name: str = "") -> Iterator[tuple[str, Layer]]:
        """This layer, called `name`, and all layers inside it under dotted names, in order of definition."""
        yield name, self
        for child_name, child in self.children():
            yield from child.named_layers(dotted(name, child_name))

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers under dotted names such as "conv1.weight", in order of definition."""
        for owner, layer in self.named_layers():
            yield from ((dotted(owner, name), t) for name, t in members(layer, Tensor))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors that training changes, each once, under the first of its dotted names."""
        seen: set[int] = set()
        for name, t in self.named_tensors():
            if t.requires_grad and id(t) not in seen:
                seen.add(id(t))
                yield name, t

    def parameters(self) -> list[Tensor]:
        """The tensors that training changes, each once."""
        return [t for _, t in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch normalisation to training, here and in all layers inside."""
        for _, layer in self.named_layers():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout off and batch normalisation to its running statistics."""
        return self.train(False)

    def to(self, device: str) -> Self:
        """Put new parameters and buffers on "cpu" or "cuda" in place of the old. Do it before making the optimizer.

        Raises ValueError for an unknown device, and RuntimeError, with the reason, where "cuda" cannot be used.
        """
        return self._replace(lambda t: to_device(t.array, device))

    def astype(self, dtype: DTypeLike) -> Self:
        """Put new parameters and buffers of this dtype in place of the old. Do it before making the optimizer.

        dtype: float32 or float64; shapes stay. TypeError for any other.

        >>> nn.Linear(3, 2).astype(np.float64).weight.dtype
        dtype('float64')
        """
        new = np.dtype(dtype)
        if new not in (np.float32, np.float64):
            raise TypeError(f"a network is float32 or float64, got {new}")
        return self._replace(lambda t: t.array.astype(new) if t.dtype.kind == "f" else t.array)

    def _replace(self, new: Callable[[Tensor], Array]) -> Self:
        """Put a new tensor in place of each; one that is shared stays shared."""
        old = {id(t): t for _, t in self.named_tensors()}
        made = {i: Tensor(new(t), requires_grad=t.requires_grad, name=t.name) for i, t in old.items()}
        for _, layer in self.named_layers():
            replace(layer, made)
        return self

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Parameters and buffers as read-only NumPy arrays under dotted names, such as "conv1.weight"."""
        return {name: t.numpy() for name, t in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over values saved by `state_dict`; nothing is changed unless every name, shape and dtype fits.

        PyTorch's batch normalisation also saves `num_batches_tracked`, how many batches it has seen. Nothing here needs
        that number, so it is left out.
        Raises ValueError with the names, shapes and dtypes that do not.
        """
        own = dict(self.named_tensors())
        new = {name: np.asarray(v) for name, v in state.items() if name in own or not name.endswith(_COUNTER)}
        missing = sorted(own.keys() - new.keys())
        unknown = sorted(new.keys() - own.keys())
        if missing or unknown:
            raise ValueError(
                f"the state does not fit {self.brief()}: missing {', '.join(map(repr, missing)) or 'nothing'}; "
                f"unknown {', '.join(repr(name) + nearest(name, own) for name in unknown) or 'nothing'}"
            )
        for name, t in own.items():
            if (new[name].shape, new[name].dtype) != (t.shape, t.dtype):
                raise ValueError(
                    f"{name}: expected shape {t.shape}, {t.dtype}; the state has {new[name].shape}, {new[name].dtype}"
                )
        for name, t in own.items():
            t.data = to_device(new[name], t.device)

    def extra_repr(self) -> str:
        """What stands in the brackets of a printed layer: its settings. PyTorch's name."""
        inside = {name.partition(".")[0] for name, _ in members(self, Layer | Tensor)}
        kept = {k: v for k, v in vars(self).items() if k not in inside and k != "training"}
        return ", ".join(f"{k}={v!r}" for k, v in kept.items() if isinstance(v, int | float | str | tuple))

    def brief(self) -> str:
        """The printed form in one line: what is inside a layer made of layers is left out."""
        printed = repr(self)
        return f"{type(self).__name__}(...)" if "\n" in printed else printed

    def __repr__(self) -> str:
        """One line for each layer, as PyTorch prints it."""
        children = [f"({name}): {layer!r}" for name, layer in self.children()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        inside = "\n".join(filter(None, [self.extra_repr(), *children])).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inside}\n)"


def _apply_of(forward: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Applied]:
    """The `apply` of a class that defines this `forward`."""

    def apply(self: Layer, x: Tensor) -> Applied:
        """The output at x, and the backward pass over its tape as the reverse layer. x: samples first, (N, ...)."""
        return tape.applied(lambda x: forward(self, x), x)

    return apply


def _forward_of(apply: Callable[[Any, Tensor], Applied]) -> Callable[[Any, Tensor], Tensor]:
    """The `forward` of a class that defines this `apply`."""

    def forward(self: Layer, x: Tensor) -> Tensor:
        """The output at x. x: samples first, (N, ...)."""
        return located("", self, partial(apply, self), x)[0]

    return forward


def members(layer: Layer, kind: type[T] | UnionType) -> Iterator[tuple[str, T]]:
    """What a layer's attributes hold of one type, also in lists, tuples and dicts, with names such as "blocks.0"."""
    for name, value in vars(layer).items():
        for path, leaf in leaves(value, (name,)):
            if isinstance(leaf, kind):
                yield dotted(*map(str, path)), leaf


def replace(layer: Layer, new: Mapping[int, Tensor]) -> None:
    """Put other tensors in the places of a layer's own, also in lists, tuples and dicts. new: by the id of the old."""
    for name, value in list(vars(layer).items()):
        old, rebuild = flatten(value)
        if any(id(t) in new for t in old):
            setattr(layer, name, rebuild(iter([new.get(id(t), t) for t in old])))


def located(name: str, layer: Layer, call: Callable[[Tensor], T], x: Tensor) -> T:
    """call(x); its errors begin with the dotted name and the printed form of the layer that they come from.

    name: what the layer is called inside the layer around it, "" for the outermost one.
    """
    try:
        if not observed():
            return call(x)
        with stateful(partial(snapshot, layer)):
            return call(x)
    except (ValueError, TypeError) as error:
        reason = (isinstance(error, TypeError) and _apart(layer, x)) or error
        path, message = getattr(error, "located", ("", f"{layer.brief()}: {reason}"))
        path = dotted(name, path)
        error.located = (path, message)  # type: ignore[union-attr]
        error.args = (f"layer {path!r}, {message}" if path else message,)
        raise


def _apart(layer: Layer, x: Tensor) -> str:
    """What to do where the input and a tensor of the layer differ in their floating dtype; "" where they do not."""
    for name, t in members(layer, Tensor):
        if x.dtype.kind == t.dtype.kind == "f" and x.dtype != t.dtype:
            return (
                f"the input is {x.dtype}, the layer's {name} is {t.dtype}; nothing is promoted silently: give "
                f"x.astype(np.{t.dtype}), or convert the network with net.astype(np.{x.dtype})"
            )
    return ""


def dotted(*names: str) -> str:
    """The names that are not empty, joined by dots."""
    return ".".join(filter(None, names))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like this one, or nothing."""
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
