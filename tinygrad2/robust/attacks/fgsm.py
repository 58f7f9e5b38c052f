"""The fast gradient sign method (Goodfellow et al. 2015, section 4)."""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer
from tinygrad2.ops import cross_entropy, sign
from tinygrad2.robust.attacks.base import Task, boxed, check_epsilon, value_and_gradient
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import evaluated
from tinygrad2.robust.types import Box, Images, Labels, Targets


@evaluated
def loss_gradient(net: Layer, x: Tensor, labels: Labels, saturating: bool = False) -> Tensor:
    """∂CE_i/∂x_i of each sample, a constant.

    x: (N, ...); labels: (N,); result: like x
    saturating: let p_t - 1 round to 0 for a confident net, as usual float32 code does; the default is exact

    The net is in evaluation mode meanwhile.

    >>> robust.loss_gradient(nn.Flatten(), tg.Tensor([[0.0, 0.0]]), [0]).numpy()  # the logits are the pixels
    array([[-0.5,  0.5]])
    """
    return value_and_gradient(
        net, x, lambda z: cross_entropy(z, labels, reduction="none", saturating=saturating)
    ).gradient


@evaluated
def sign_direction(net: Layer, x: Tensor, labels: Labels, saturating: bool = False) -> Tensor:
    """sign(∂CE_i/∂x_i) of each sample, a constant with entries -1, 0 and 1.

    x: (N, ...); labels: (N,); result: like x. saturating: see `fgsm`. The net is in evaluation mode meanwhile.

    >>> robust.sign_direction(nn.Flatten(), tg.Tensor([[2.0, 1.0]]), [0]).numpy()
    array([[-1.,  1.]])
    """
    task = Task(net, x, labels)
    with no_grad():
        return sign(task.at_x(task.aim.rising(saturating)).gradient)


@evaluated
def fgsm(
    net: Layer,
    x: Images,
    labels: Labels | None,
    epsilon: float,
    *,
    box: Box | None = None,
    targets: Targets | None = None,
    saturating: bool = False,
) -> AttackResult:
    """One step of size epsilon along the sign of the loss gradient: x + epsilon · sign(∂CE/∂x), with sign(0) = 0.

    x: (N, ...); labels: (N,), or None for the classes that the net gives, so that no label leaks (Kurakin et al. 2017,
        "Adversarial machine learning at scale", section 4)
    epsilon: l∞ size of the step, in the units of x
    box: lowest and highest pixel; the result is clipped to it if it is given
    targets: a class, or N of them, to be reached: the step goes down the loss of that class; by default up the label's
    saturating: let p_t - 1 round to 0 for a confident net, as usual float32 code does; the default is exact

    Norms are l∞. Raises ValueError for an epsilon, box, label or target out of range, and for logits that are not
    finite. Source: Goodfellow et al. 2015, section 4; targeted: Kurakin et al. 2017, equation 3.

    >>> robust.fgsm(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).adversarial.numpy()  # the logits are the pixels
    array([[1.4, 1.6]])
    >>> robust.fgsm(nn.Flatten(), np.array([[3.0, 2.0, 1.0]]), None, 1.1, targets=2).success
    array([ True])
    """
    check_epsilon(epsilon)
    task = Task(net, x, labels, box, targets)
    start = task.at_x(task.aim.rising(saturating))
    with no_grad():
        adversarial = boxed(task.x + sign(start.gradient) * epsilon, box)
    return task.conclude(adversarial, start, np.inf, np.ones(task.x.shape[0], np.int64))
