"""All penalties by name, in one calling form: `penalty(name)(trace, labels, **options)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Trace
from tinygrad2.robust.penalties.gradient import input_gradient, input_gradient_l1, logit_margin
from tinygrad2.robust.penalties.jacobian import jacobian_frobenius, jacobian_l1, jacobian_l1_cheap
from tinygrad2.robust.penalties.lipschitz import cross_lipschitz, spectral_norm
from tinygrad2.robust.penalties.penultimate import penultimate_frobenius
from tinygrad2.robust.penalties.projection import projected_frobenius
from tinygrad2.robust.penalties.reduction import pick
from tinygrad2.robust.types import Labels


@dataclass(frozen=True)
class Penalty:
    """A penalty's function, called as penalty(trace, labels, **options) whether it needs the labels or not.

    >>> robust.PENALTIES["logit_margin"](nn.Flatten().trace(np.array([[2.0, 1.0]])), [0]).item()
    2.0
    """

    function: Callable[..., Tensor]

    def __call__(self, trace: Trace, labels: Labels, **options: Any) -> Tensor:
        for name in options:
            pick(self.options, name, f"option of {self.function.__name__}")
        return self.function(trace, *([labels] if self.takes_labels else []), **options)

    @property
    def takes_labels(self) -> bool:
        """Whether the function needs the labels."""
        return "labels" in inspect.signature(self.function).parameters

    @property
    def options(self) -> dict[str, Any]:
        """The keyword options and their defaults; `rng` is among them where the penalty draws random numbers."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        """One line: the formula and its source."""
        return (self.function.__doc__ or "").partition("\n")[0]


FUNCTIONS = (
    jacobian_l1,
    jacobian_l1_cheap,
    jacobian_frobenius,
    penultimate_frobenius,
    projected_frobenius,
    input_gradient,
    input_gradient_l1,
    logit_margin,
    cross_lipschitz,
    spectral_norm,
)
PENALTIES: dict[str, Penalty] = {f.__name__: Penalty(f) for f in FUNCTIONS}


def penalty(name: str) -> Penalty:
    """The penalty of that name. Raises ValueError for an unknown name, with the nearest."""
    return pick(PENALTIES, name, "penalty")
