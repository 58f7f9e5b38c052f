"""Every attack and every norm on random small networks of any scale: the suite runs a slice, `make soak` all.

`python tests/attack_campaigns.py [COUNT] [ATTACK]` prints a line for each attack. The networks are of any scale, end in
a softmax or not, have ties, dead units and labels that are wrong already. Of each result: it is finite, inside the box
and the ball, `success` is what the network says, and no more images are right than before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor

Array = np.ndarray[Any, Any]
Given = dict[str, Any]
Run = Callable[[nn.Layer, Array, Array, Given], robust.AttackResult]
INF = float("inf")
CLASSES = 4
SIZE = 6
SUITE = 60
SOAK = 10_000


def ball(attack: Callable[..., robust.AttackResult], p: float = INF, targeted: bool = False, **options: Any) -> Run:
    """An attack of a size epsilon."""
    norm = {} if p == INF else {"p": p}

    def run(net: nn.Layer, x: Array, y: Array, given: Given) -> robust.AttackResult:
        goal = {"targets": given["targets"]} if targeted else {}
        return attack(net, x, y, given["epsilon"], box=given["box"], **options, **norm, **goal)

    return run


def walked(p: float) -> Run:
    return lambda net, x, y, given: robust.deepfool(net, x, y, p=p, box=given["box"], max_iter=6)


def carlini_wagner(targeted: bool) -> Run:
    options: Any = {"steps": 6, "searches": 2, "step_size": 0.1, "constant": 1.0}
    return lambda net, x, y, given: robust.cw_l2(
        net, x, y, box=given["box"], targets=given["targets"] if targeted else None, **options
    )


def saliency(targeted: bool, pairs: bool) -> Run:
    return lambda net, x, y, given: robust.jsma(
        net, x, y, box=given["box"] or (-9.0, 9.0), steps=4, pairs=pairs, targets=given["targets"] if targeted else None
    )


def universal(p: float) -> Run:
    return lambda net, x, y, given: robust.universal(
        net, x, y, epsilon=max(given["epsilon"], 1e-3), p=p, box=given["box"], passes=2, max_iter=3
    )


ATTACKS: dict[str, tuple[Run, float]] = {
    "fgsm": (ball(robust.fgsm), INF),
    "fgsm, saturating": (ball(robust.fgsm, saturating=True), INF),
    "fgsm, targeted": (ball(robust.fgsm, targeted=True), INF),
    "bim, l∞": (ball(robust.bim, steps=3), INF),
    "bim, l2": (ball(robust.bim, 2, steps=3), 2),
    "bim, l2, last": (ball(robust.bim, 2, steps=3, keep="last"), 2),
    "bim, l∞, targeted": (ball(robust.bim, targeted=True, steps=3), INF),
    "pgd, l∞": (ball(robust.pgd, steps=3, restarts=2), INF),
    "pgd, l2": (ball(robust.pgd, 2, steps=3, restarts=2), 2),
    "pgd, l2, targeted": (ball(robust.pgd, 2, targeted=True, steps=3), 2),
    "cw_linf": (ball(robust.cw_linf, steps=3), INF),
    "cw_linf, targeted": (ball(robust.cw_linf, targeted=True, steps=3), INF),
    "cw_l2": (carlini_wagner(False), 2),
    "cw_l2, targeted": (carlini_wagner(True), 2),
    "deepfool, l1": (walked(1), 1),
    "deepfool, l1.5": (walked(1.5), 1.5),
    "deepfool, l2": (walked(2), 2),
    "deepfool, l3": (walked(3), 3),
    "deepfool, l∞": (walked(INF), INF),
    "jsma": (saliency(False, False), 0),
    "jsma, pairs": (saliency(False, True), 0),
    "jsma, targeted": (saliency(True, False), 0),
    "universal, l2": (universal(2), 2),
    "universal, l∞": (universal(INF), INF),
    "random_noise": (ball(robust.random_noise, samples=3), INF),
    "square": (ball(robust.square, steps=6), INF),
    "apgd, ce, l∞": (ball(robust.apgd, steps=6), INF),
    "apgd, ce, l2": (ball(robust.apgd, 2, steps=6), 2),
    "apgd, dlr, l∞": (ball(robust.apgd, loss="dlr", steps=6), INF),
    "apgd, dlr, l2": (ball(robust.apgd, 2, loss="dlr", steps=6), 2),
    "apgd, dlr, targeted": (ball(robust.apgd, loss="dlr", targeted=True, steps=6), INF),
    "auto, l∞": (ball(robust.auto, steps=4, queries=6), INF),
    "auto, l2": (ball(robust.auto, 2, steps=4), 2),
}
SIZED = {name for name in ATTACKS if not name.startswith(("deepfool", "jsma", "cw_l2"))}


def random_net(rng: np.random.Generator, dtype: Any) -> nn.Sequential:
    """A network of one or two maps whose weights are of any scale from 1e-30 to 1e30."""
    hidden = int(rng.integers(1, 8))
    kinds = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity]
    layers: dict[str, nn.Layer] = {}
    if rng.random() < 0.7:
        layers["fc1"] = nn.Linear(SIZE, hidden, rng=rng, dtype=dtype)
        layers["bend"] = kinds[int(rng.integers(len(kinds)))]()
        if rng.random() < 0.3:
            layers["bn"] = nn.BatchNorm1d(hidden, dtype=dtype)
            layers["dropout"] = nn.Dropout(0.5)
    layers["out"] = nn.Linear(hidden if layers else SIZE, CLASSES, rng=rng, dtype=dtype)
    net = nn.Sequential(**layers)
    for name, p in net.named_parameters():
        scale = 10.0 ** rng.uniform(-30, 30) if rng.random() < 0.6 else 1.0
        values = p.numpy() * scale
        if rng.random() < 0.2:  # dead units, or classes that tie
            values = values * (rng.random((len(values), *(1,) * (values.ndim - 1))) < 0.5)
        if rng.random() < 0.15:
            values = np.sign(values) * scale
        if name == "out.bias" and rng.random() < 0.5:
            values = values * 0
        p.data = values.astype(dtype)
    if rng.random() < 0.25:
        net = nn.Sequential(net=net, softmax=nn.Softmax())
    return net


def case(seed: int) -> tuple[nn.Sequential, Array, Array, Given]:
    """A network, images, labels of which about half are what the network says, and the options of the attacks."""
    rng = np.random.default_rng([23, seed])
    dtype = np.float32 if rng.random() < 0.8 else np.float64
    net = random_net(rng, dtype)
    box = None if rng.random() < 0.3 else (0.0, float(rng.choice([1.0, 255.0])))
    top = 1.0 if box is None else box[1]
    x = ((rng.random((5, SIZE)) * 1.4 - 0.2).clip(0, 1) * top).astype(dtype)
    given = {
        "box": box,
        "epsilon": 0.0 if rng.random() < 0.05 else float(top * 10.0 ** rng.uniform(-4, 0.3)),
        "targets": rng.integers(0, CLASSES, 5),
    }
    return net, x, rng.integers(0, CLASSES, 5), given


def broken(name: str, seed: int) -> str | None:
    """What does not hold for this attack on this network; "overflow" where it says that logits are not finite."""
    net, x, y, given = case(seed)
    run, p = ATTACKS[name]
    before = {key: value.copy() for key, value in net.state_dict().items()}
    try:
        clean = robust.predict(net, x)
    except ValueError as error:
        try:
            run(net, x, y, given)
        except ValueError as refused:
            named = "logits are not finite" in str(error) and "logits are not finite" in str(refused)
            return "overflow" if named else f"refused with {error} and {refused}"
        return "an attack on logits that are not finite was not refused"
    y[::2] = clean[::2]
    found = run(net, x, y, given)
    a = found.adversarial.numpy()
    now = robust.predict(net, a)
    targeted = "targeted" in name
    reached = now == given["targets"] if targeted else now != y
    if targeted:
        reached = reached & (now != y)
    # Rounding: of a pixel, of what is added to it, and of the norm.
    rounding = 8 * np.finfo(x.dtype).eps * (np.abs(x).max() + given["epsilon"]) * SIZE
    checks = {
        "finite": np.isfinite(a).all() and np.isfinite(found.norms).all() and a.dtype == x.dtype,
        "in the box": given["box"] is None or (a.min() >= given["box"][0] and a.max() <= given["box"][1]),
        "in the ball": name not in SIZED
        or size(a - x, p).max() <= max(given["epsilon"], 1e-3 * ("univ" in name)) + rounding,
        "norms": np.allclose(found.norms, size(a - x, p), 1e-3, rounding),
        "success is a fresh prediction": (found.success == reached).all(),
        "no image is repaired": ((now == y) <= (clean == y)).all(),
        "training mode stays": all(layer.training for _, layer in net.named_layers()),
        "no state moves": all((value == before[key]).all() for key, value in net.state_dict().items()),
        "x and the tape": not found.adversarial.requires_grad and isinstance(found.adversarial, Tensor),
    }
    wrong = [what for what, holds in checks.items() if not holds]
    return f"{', '.join(wrong)} (seed {seed})" if wrong else None


def size(delta: Array, p: float) -> Array:
    """‖δ_i‖_p in float64. delta: (N, D)."""
    rows = delta.astype(np.float64)
    if p == 0:
        return (rows != 0).sum(1).astype(np.float64)
    largest = np.abs(rows).max(1)
    return largest * np.linalg.norm(rows / np.where(largest > 0, largest, 1.0)[:, None], p, axis=1)


def campaign(name: str, count: int) -> dict[str, Any]:
    """How many networks were attacked, how many of them overflow, and what did not hold."""
    found = [broken(name, seed) for seed in range(count)]
    faults = [text for text in found if text not in (None, "overflow")]
    return {"networks": count, "refused": found.count("overflow"), "faults": faults}


def main(count: int = SOAK, names: list[str] | None = None) -> int:
    """A line for each attack; the exit code is 1 where something does not hold."""
    wrong = 0
    for name in names or ATTACKS:
        begin = time.perf_counter()
        found = campaign(name, count)
        wrong += len(found["faults"])
        print(
            f"{name}: {count:,} networks, of which {found['refused']} refused because their logits overflow; "
            f"{len(found['faults'])} faults {found['faults'][:3]} ({time.perf_counter() - begin:.0f} s)",
            flush=True,
        )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SOAK, sys.argv[2:] or None))
