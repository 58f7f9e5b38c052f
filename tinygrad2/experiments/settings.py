"""What an experiment is made of: frozen sections, whose fields say what they mean and what they can be.

The defaults are those of the paper that each section is about; of [reference] and [defense]: Yan, Guo & Zhang,
Deep Defense, NeurIPS 2018, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tinygrad2.data import AUGMENTATIONS, PIXELS
from tinygrad2.experiments.catalogues import ATTACKS, DATA, DEFENSES, MODELS, PENALTIES, SIZED_ATTACKS
from tinygrad2.experiments.fields import AtLeast, AtMost, Below, OneOf
from tinygrad2.nn import OPTIMIZERS
from tinygrad2.robust.attacks.deepfool import MODES


@dataclass(frozen=True)
class RunSettings:
    """The training loop."""

    seed: Annotated[
        int, AtLeast(0), AtMost(2**63 - 1), "of the first weights, the order of the images, and all random choices"
    ] = 0
    device: Annotated[str, OneOf(("cpu", "cuda")), "where the network is trained"] = "cpu"
    batch_size: Annotated[int, AtLeast(1), "images in a step"] = 100
    log_every: Annotated[int, AtLeast(1), "steps between two lines of metrics.jsonl"] = 50
    checkpoint_every: Annotated[int, AtLeast(1), "steps between two checkpoints"] = 100


@dataclass(frozen=True)
class DataSettings:
    """The images."""

    name: Annotated[str, OneOf(DATA), "the data set, or an .npz file, or a folder of images by class"] = "mnist"
    n_train: Annotated[int | None, AtLeast(1), "only the first n training images"] = None
    n_test: Annotated[int | None, AtLeast(1), "only the first n test images"] = None
    size: Annotated[int | None, AtLeast(1), "side length to which the images of a folder are scaled"] = None
    upsample: Annotated[int | None, AtLeast(8), "side length to which the digits are enlarged"] = None
    pixels: Annotated[
        str,
        OneOf(PIXELS),
        "centred: 0-255 minus the mean training image; unit: 0-1; whitened: of equal contrast and uncorrelated; "
        "raw: as they are",
    ] = "centred"
    augment: Annotated[
        str,
        OneOf(("none", *AUGMENTATIONS)),
        "change each training batch: elastic bends the images; jitter turns, scales and mirrors them",
    ] = "none"
    n_validation: Annotated[int, AtLeast(0), "the last n training images are held out for validation"] = 0


@dataclass(frozen=True)
class ModelSettings:
    """The network. Only some models have the settings after the name."""

    name: Annotated[str, OneOf(MODELS), "the model"] = "mlp"
    hidden: Annotated[tuple[int, ...] | None, AtLeast(1), "widths of the hidden layers"] = None
    input_scale: Annotated[float | None, AtLeast(1e-6), "how large inputs are; the first weights are divided by it"] = (
        None
    )
    dropout: Annotated[float | None, AtLeast(0), Below(1), "share of the units that dropout sets to 0"] = None
    weights: Annotated[str | None, "file of weights that the network begins with"] = None
    two_logits: Annotated[
        bool, "the network gives one output, positive for the second of two classes; it becomes the logits (0, output)"
    ] = False


@dataclass(frozen=True)
class PhaseSettings:
    """One phase of training."""

    optimizer: Annotated[str, OneOf(OPTIMIZERS), "the optimizer"] = "adam"
    epochs: Annotated[int, AtLeast(0), "passes over the training images; 0 leaves the phase out"] = 18
    lr: Annotated[float, AtLeast(0), "learning rate"] = 1e-3
    momentum: Annotated[float | None, AtLeast(0), Below(1), "momentum of the optimizer, where it has one"] = None
    weight_decay: Annotated[float, AtLeast(0), "this times the weights is added to their gradient"] = 0.0
    drops: Annotated[tuple[float, ...], AtLeast(0), "shares of the epochs after which lr is multiplied by factor"] = ()
    factor: Annotated[float, AtLeast(0), "what lr is multiplied by"] = 0.3
    patience: Annotated[
        int | None, AtLeast(1), "multiply lr when the validation accuracy has not risen for so many epochs"
    ] = None
    label_smoothing: Annotated[float, AtLeast(0), Below(1), "share of each label that other classes get"] = 0.0
    smoothing_over: Annotated[str, OneOf(("all", "others")), "share it among all classes or the others alone"] = "all"
    settle: Annotated[
        float | None, AtLeast(0), "stop when the validation accuracy moves by less in an epoch, after the first ten"
    ] = None


@dataclass(frozen=True)
class ReferenceSettings(PhaseSettings):
    """The undefended network: from a file of weights, or trained on the cross-entropy."""

    weights: Annotated[str | None, "file of weights to take instead of training"] = None


@dataclass(frozen=True)
class DefenseSettings(PhaseSettings):
    """Training with a defense, from the reference network on."""

    name: Annotated[str, OneOf(DEFENSES), "the defense"] = "deep-defense"
    layers: Annotated[tuple[str, ...] | None, "the only layers that the gradient of the regulariser reaches"] = None
    lam: Annotated[float, AtLeast(0), "Deep Defense, equation 3: λ, the weight of the regulariser"] = 15.0
    c: Annotated[float, AtLeast(0), "Deep Defense, equation 6: rate c, of correctly classified images"] = 25.0
    d: Annotated[float, AtLeast(0), "Deep Defense, equation 6: rate d, of misclassified images"] = 5.0
    mode: Annotated[str, OneOf(MODES), "DeepFool's norms: corrected, or coded as in the authors' code"] = "coded"
    max_iter: Annotated[int, AtLeast(1), "DeepFool's steps, at most"] = 5


@dataclass(frozen=True)
class PenaltySettings:
    """What a defense adds to the cross-entropy. Only some penalties have the settings after fit."""

    name: Annotated[str, OneOf(PENALTIES, "none"), "the penalty"] = "none"
    lam: Annotated[float, AtLeast(0), "λ, the weight of the penalty"] = 1.0
    fit: Annotated[str, OneOf(("mean", "sum")), "the cross-entropies' mean or sum over the batch"] = "mean"
    on: Annotated[str | None, "whose Jacobian: logits or softmax"] = None
    mode: Annotated[str | None, "corrected, or printed as in the paper"] = None
    reduction: Annotated[str | None, "how the values of the samples become one number"] = None
    squared: Annotated[bool | None, "whether the norm is squared"] = None
    projections: Annotated[int | None, AtLeast(1), "random projections of each sample"] = None
    iterations: Annotated[int | None, AtLeast(1), "steps of the power iteration"] = None


@dataclass(frozen=True)
class AdversarialSettings:
    """Adversarial training. Only some attacks have steps, step_size and max_iter."""

    attack: Annotated[str, OneOf(ATTACKS), "the attack"] = "fgsm"
    epsilon: Annotated[float, AtLeast(0), "largest size of a perturbation, in the units of the images"] = 0.3
    steps: Annotated[int | None, AtLeast(1), "steps of the attack"] = None
    step_size: Annotated[float | None, AtLeast(0), "size of a step, in the units of the images"] = None
    max_iter: Annotated[int | None, AtLeast(1), "DeepFool's steps, at most"] = None
    share: Annotated[float, AtLeast(0), AtMost(1), "share of each batch that is attacked"] = 1.0
    append: Annotated[bool, "keep the originals of the attacked images in the batch"] = True


@dataclass(frozen=True)
class ParsevalSettings:
    """Parseval training."""

    beta: Annotated[float, AtLeast(0), "how far the weights move towards orthonormal rows after a step"] = 1e-4
    share: Annotated[float, AtLeast(0), AtMost(1), "share of the rows that do so"] = 0.3


@dataclass(frozen=True)
class SmoothGradientSettings:
    """The smooth gradient method."""

    rate: Annotated[float, "λ̄: how far the images move along their gradients"] = 0.2
    noise: Annotated[float, AtLeast(0), "standard deviation of the noise, equation 22"] = 0.0


@dataclass(frozen=True)
class EvalSettings:
    """How robustness is measured. Without sizes (epsilons) FGSM is measured at shares of ε_ref, as in Deep Defense."""

    n_curve: Annotated[int, AtLeast(0), "test images for the ρ₂ after each epoch; 0: no ρ₂"] = 1000
    mode: Annotated[str, OneOf(MODES), "DeepFool's norms: corrected, or coded as in the authors' code"] = "coded"
    saturating: Annotated[bool, "let p - 1 round to 0 in FGSM's gradient, as usual float32 code does"] = False
    n_rho: Annotated[int | None, AtLeast(1), "test images for the ρ₂ of the table; all if not set"] = None
    n: Annotated[int | None, AtLeast(1), "test images for the attacks of the table; all if not set"] = None
    epsilons: Annotated[tuple[float, ...], AtLeast(0), "l∞ sizes of the attacks, in the units of the images"] = ()
    attacks: Annotated[tuple[str, ...], OneOf(SIZED_ATTACKS), "attacks of these sizes"] = ("fgsm",)
    max_iter: Annotated[int, AtLeast(1), "DeepFool's steps, at most, in the table"] = 5
    steps: Annotated[int | None, AtLeast(1), "steps of the attacks that have them"] = None
    step_size: Annotated[float | None, AtLeast(0), "size of these steps, in the units of the images"] = None


@dataclass(frozen=True)
class Config:
    """One experiment."""

    run: RunSettings = RunSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    reference: ReferenceSettings = ReferenceSettings(weight_decay=3e-5, drops=(0.3, 0.5, 0.7, 0.85))
    defense: DefenseSettings = DefenseSettings(
        optimizer="sgd", epochs=5, lr=5e-4, momentum=0.9, weight_decay=5e-4, drops=(0.8,), factor=0.5
    )
    penalty: PenaltySettings = PenaltySettings()
    adversarial: AdversarialSettings = AdversarialSettings()
    parseval: ParsevalSettings = ParsevalSettings()
    smooth: SmoothGradientSettings = SmoothGradientSettings()
    eval: EvalSettings = EvalSettings()
