"""What an experiment is made of: frozen sections; the defaults are those of the paper that each section is about.

Values of [reference] and [defense]: Yan, Guo & Zhang, Deep Defense, NeurIPS 2018, section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tinygrad2.data import AUGMENTATIONS, LOADERS
from tinygrad2.nn import OPTIMIZERS
from tinygrad2.nn.models import MODELS
from tinygrad2.robust import DEFENSES, PENALTIES
from tinygrad2.robust.attacks.deepfool import MODES
from tinygrad2.robust.attacks.registry import ATTACKS

SMOOTHING = ("all", "others")


@dataclass(frozen=True)
class Run:
    """The loop: seed of the weights and of the images' order, batch size, steps between two logs and two saves."""

    seed: int = 0
    device: str = "cpu"
    batch_size: int = 100
    log_every: int = 50
    checkpoint_every: int = 100


@dataclass(frozen=True)
class Data:
    """Which images; all of them where no n is given.

    pixels: "centred", 0-255 minus the per-pixel mean of the training images; "unit", in [0, 1], the attacks' box;
        "whitened", of equal contrast and uncorrelated, as CIFAR-10 is in two papers
    augment: each training batch is bent ("elastic") or turned, scaled and mirrored ("jitter") afresh
    n_validation: the last ones of the training images, held out of the training
    """

    name: str = "mnist"
    n_train: int | None = None
    n_test: int | None = None
    upsample: int | None = None
    pixels: str = "centred"
    augment: str = "none"
    n_validation: int = 0


@dataclass(frozen=True)
class Model:
    """Which network; only where it has them: widths of hidden layers, how large inputs are, share of units dropped."""

    name: str = "mlp"
    hidden: tuple[int, ...] | None = None
    input_scale: float | None = None
    dropout: float | None = None


@dataclass(frozen=True)
class Fit:
    """One phase of training. epochs = 0 leaves it out.

    drops: the learning rate is multiplied by `factor` once each of these fractions of the epochs is done
    patience: it is, too, whenever the validation accuracy has not risen for so many epochs
    label_smoothing: taken from the true class and shared out among "all" classes, or among the "others" alone
    settle: stop once the validation accuracy moves by less than this between two epochs, after the first ten
    """

    optimizer: str = "adam"
    epochs: int = 18
    lr: float = 1e-3
    momentum: float | None = None
    weight_decay: float = 0.0
    drops: tuple[float, ...] = ()
    factor: float = 0.3
    patience: int | None = None
    label_smoothing: float = 0.0
    smoothing_over: str = "all"
    settle: float | None = None


@dataclass(frozen=True)
class Reference(Fit):
    """How the undefended network comes about: from a file of weights, or by training on the cross-entropy."""

    weights: str | None = None
    weight_decay: float = 3e-5
    drops: tuple[float, ...] = (0.3, 0.5, 0.7, 0.85)


@dataclass(frozen=True)
class Defense(Fit):
    """Training with a defense, from the reference on. lam, c, d, mode, max_iter: of Deep Defense, equations 3 and 6.

    layers: the only ones that the gradient of the penalty, or of Deep Defense's regulariser, reaches
    """

    name: str = "deep-defense"
    layers: tuple[str, ...] | None = None
    lam: float = 15.0
    c: float = 25.0
    d: float = 5.0
    mode: str = "coded"
    max_iter: int = 5
    optimizer: str = "sgd"
    epochs: int = 5
    lr: float = 5e-4
    momentum: float | None = 0.9
    weight_decay: float = 5e-4
    drops: tuple[float, ...] = (0.8,)
    factor: float = 0.5


@dataclass(frozen=True)
class Penalty:
    """What a defense adds to the cross-entropy: lam times this function of the trace.

    fit: the cross-entropies' "mean" over the batch, or their "sum": lam then counts less by the batch size
    on ... iterations: of the penalty, where it has them
    """

    name: str = "none"
    lam: float = 1.0
    fit: str = "mean"
    on: str | None = None
    mode: str | None = None
    reduction: str | None = None
    squared: bool | None = None
    projections: int | None = None
    iterations: int | None = None


@dataclass(frozen=True)
class Adversarial:
    """Adversarial training. share: of each batch that is attacked; append: in addition to the originals.

    epsilon, steps, step_size, max_iter: of the attack, in the units of the images, where it has them
    """

    attack: str = "fgsm"
    epsilon: float = 0.3
    steps: int | None = None
    step_size: float | None = None
    max_iter: int | None = None
    share: float = 1.0
    append: bool = True


@dataclass(frozen=True)
class Parseval:
    """Parseval training: how far weights move towards orthonormal rows, and the share of the rows that do so."""

    beta: float = 1e-4
    share: float = 0.3


@dataclass(frozen=True)
class SmoothGradient:
    """The smooth gradient method: λ̄, and the standard deviation of the noise."""

    rate: float = 0.2
    noise: float = 0.0


@dataclass(frozen=True)
class Eval:
    """How robustness is measured. n_curve: images for the ρ₂ after each epoch (0: none).

    n_rho, n: in the table, images for ρ₂ and for the attacks; all where no n is given
    epsilons: l∞ sizes of the attacks, in the units of the images; if there are none, FGSM by shares of ε_ref as in
    Deep Defense. max_iter: DeepFool's, in the table. steps, step_size: of the attacks that have them
    """

    n_curve: int = 1000
    mode: str = "coded"
    saturating: bool = False
    n_rho: int | None = None
    n: int | None = None
    epsilons: tuple[float, ...] = ()
    attacks: tuple[str, ...] = ("fgsm",)
    max_iter: int = 5
    steps: int | None = None
    step_size: float | None = None


@dataclass(frozen=True)
class Config:
    """One experiment."""

    run: Run = field(default_factory=Run)
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    reference: Reference = field(default_factory=Reference)
    defense: Defense = field(default_factory=Defense)
    penalty: Penalty = field(default_factory=Penalty)
    adversarial: Adversarial = field(default_factory=Adversarial)
    parseval: Parseval = field(default_factory=Parseval)
    smooth: SmoothGradient = field(default_factory=SmoothGradient)
    eval: Eval = field(default_factory=Eval)


CHOICES: dict[str, Iterable[str]] = {
    "run.device": ("cpu", "cuda"),
    "data.name": LOADERS,
    "data.pixels": ("centred", "unit", "whitened"),
    "data.augment": ("none", *AUGMENTATIONS),
    "model.name": MODELS,
    "reference.optimizer": OPTIMIZERS,
    "reference.smoothing_over": SMOOTHING,
    "defense.name": DEFENSES,
    "defense.optimizer": OPTIMIZERS,
    "defense.smoothing_over": SMOOTHING,
    "defense.mode": MODES,
    "penalty.name": ("none", *PENALTIES),
    "penalty.fit": ("mean", "sum"),
    "adversarial.attack": ATTACKS,
    "eval.mode": MODES,
    "eval.attacks": [name for name, attack in ATTACKS.items() if "epsilon" in attack.options],
}
LEAST: dict[str, float] = {
    "seed": 0, "batch_size": 1, "log_every": 1, "checkpoint_every": 1,
    "n_train": 1, "n_test": 1, "upsample": 8, "n_validation": 0, "hidden": 1, "input_scale": 1e-6, "dropout": 0,
    "epochs": 0, "lr": 0, "momentum": 0, "weight_decay": 0, "drops": 0, "factor": 0,
    "label_smoothing": 0, "settle": 0, "patience": 1,
    "lam": 0, "c": 0, "d": 0, "max_iter": 1, "n_curve": 0, "n": 1, "n_rho": 1, "epsilons": 0,
    "steps": 1, "step_size": 0, "projections": 1, "iterations": 1,
    "epsilon": 0, "share": 0, "beta": 0, "noise": 0,
}  # fmt: skip
