"""Several attacks in sequence, each on what the ones before it left standing (AutoAttack, Croce & Hein 2020).

Auto-PGD up the cross-entropy; Auto-PGD up the difference of logits ratio, which a rescaling of the logits does not
change; DeepFool, which looks for the nearest boundary (the authors take FAB, which does so too); and Square, which asks
for no gradient. None has an option that must be tuned to the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tinygrad2.autodiff import no_grad
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.robust.attacks.apgd import apgd
from tinygrad2.robust.attacks.base import Task, check_count, check_epsilon, placed
from tinygrad2.robust.attacks.deepfool import deepfool
from tinygrad2.robust.attacks.pgd import check_ball, inside
from tinygrad2.robust.attacks.probes import square
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import evaluated
from tinygrad2.robust.types import Box, Images, Integers, Labels

Stage: TypeAlias = Callable[[Images, Integers], AttackResult]  # stage(images, labels) of what is left


# fmt: off
@evaluated
def auto(
    net: Layer, x: Images, labels: Labels | None, epsilon: float, *,
    p: float = np.inf, steps: int = 100, queries: int = 5000, rng: Rng = 0, box: Box | None = None,
) -> AttackResult:
    """AutoAttack's kind of ensemble: APGD on two losses, DeepFool and Square, each on what the others left.

    x: (N, ...); labels: (N,), or None for the classes that the net gives
    epsilon: size of the ball, in the units of x
    p: the norm of the ball and of the result, inf or 2. Square is an l∞ attack, so with 2 it is left out.
    steps: of APGD, at most; queries: of Square, at most. rng: a seed or a generator
    box: lowest and highest pixel; every point is clipped to it if it is given

    The accuracy that is left is that under the worst of them. Iterations are the steps of the attack that fooled an
    image, or of the first one. A warning says how many images Square alone fools: then the gradient misleads.
    Raises ValueError for an option out of range, and for logits that are not finite.
    Source: Croce & Hein 2020, section 5; the stages in their order, with DeepFool in place of FAB.

    >>> robust.auto(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).success  # the logits are the pixels
    array([ True])
    """
    # fmt: on
    check_epsilon(epsilon)
    check_ball(p)
    check_count("steps", "steps", steps)
    check_count("queries", "queries", queries)
    rng = np.random.default_rng(rng)
    stages: dict[str, Stage] = {
        "apgd, ce": lambda x, y: apgd(net, x, y, epsilon, p=p, steps=steps, rng=rng, box=box),
        "apgd, dlr": lambda x, y: apgd(net, x, y, epsilon, p=p, loss="dlr", steps=steps, rng=rng, box=box),
        "deepfool": lambda x, y: deepfool(net, x, y, p=p, box=box),
        "square": lambda x, y: square(net, x, y, epsilon, steps=queries, rng=rng, box=box),
    }
    if p != np.inf:
        del stages["square"]
    task = Task(net, x, labels, box)
    points = task.x
    iterations = np.zeros(points.shape[0], np.int64)
    left = np.flatnonzero(~task.aim.reached(task.logits))
    warnings = list[str]()
    for name, stage in stages.items():
        if not left.size:
            break
        begin = task.x[left]
        found = stage(begin, task.aim.labels[left])
        with no_grad():
            reach = inside(begin, found.adversarial - begin, p, epsilon, box)  # DeepFool may leave the ball
            fooled = task.aim.some(left).reached(net(reach))
        taken = np.ones_like(fooled) if name == "apgd, ce" else fooled  # where none succeeds, the first one's point
        points = placed(points, left[taken], reach[taken])
        iterations[left[taken]] = found.iterations[taken]
        if name == "square" and fooled.any():
            warnings.append(
                f"Square, which asks for no gradient, fools {fooled.sum()} images that the other attacks leave: "
                "their gradients mislead"
            )
        left = left[~fooled]
    return task.conclude(points, task.at_x(task.aim.rising()), p, iterations, tuple(warnings))
