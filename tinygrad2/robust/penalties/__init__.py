"""What is added to the loss: functions of a trace of the net, one number each, differentiable in the weights."""

from tinygrad2.robust.penalties.gradient import input_gradient, input_gradient_l1, logit_margin
from tinygrad2.robust.penalties.jacobian import jacobian_frobenius, jacobian_l1, jacobian_l1_cheap
from tinygrad2.robust.penalties.lipschitz import cross_lipschitz, spectral_norm
from tinygrad2.robust.penalties.penultimate import fix_last_layer, penultimate_frobenius
from tinygrad2.robust.penalties.projection import projected_frobenius, projection_variance
from tinygrad2.robust.penalties.registry import PENALTIES, Penalty, penalty

__all__ = [
    "PENALTIES",
    "Penalty",
    "cross_lipschitz",
    "fix_last_layer",
    "input_gradient",
    "input_gradient_l1",
    "jacobian_frobenius",
    "jacobian_l1",
    "jacobian_l1_cheap",
    "logit_margin",
    "penalty",
    "penultimate_frobenius",
    "projected_frobenius",
    "projection_variance",
    "spectral_norm",
]
