"""The networks of the five papers, by name. What a paper leaves open is said where its network is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.layer import nearest
from tinygrad2.nn.models.deep_defense import convnet, lenet, mlp, nin
from tinygrad2.nn.models.double_backprop import model_a, model_b, model_c
from tinygrad2.nn.models.imagenet import alexnet, resnet18
from tinygrad2.nn.models.jacobian import cifar_8conv
from tinygrad2.nn.models.logit_gradient import cifar_3conv, speech_cnn, tf_tutorial
from tinygrad2.nn.models.smooth_gradient import all_conv, mosca_cnn, mosca_dnn

__all__ = [
    "MODELS",
    "alexnet",
    "all_conv",
    "build",
    "cifar_3conv",
    "cifar_8conv",
    "convnet",
    "lenet",
    "mlp",
    "model_a",
    "model_b",
    "model_c",
    "mosca_cnn",
    "mosca_dnn",
    "nin",
    "resnet18",
    "speech_cnn",
    "tf_tutorial",
]

MODELS: dict[str, Callable[..., Sequential]] = {
    "mlp": mlp,
    "lenet": lenet,
    "tf_tutorial": tf_tutorial,
    "model_a": model_a,
    "model_b": model_b,
    "model_c": model_c,
    "mosca_dnn": mosca_dnn,
    "mosca_cnn": mosca_cnn,
    "convnet": convnet,
    "nin": nin,
    "all_conv": all_conv,
    "cifar_3conv": cifar_3conv,
    "cifar_8conv": cifar_8conv,
    "speech_cnn": speech_cnn,
    "alexnet": alexnet,
    "resnet18": resnet18,
}


def build(name: str, **options: Any) -> Sequential:
    """A network by its name; an unknown name is a ValueError that suggests the nearest.

    options: those of the network, such as `classes`, `rng` and `dtype`. Result: a net of logits (N, classes).

    >>> nn.models.build("lenet", classes=7)(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 7)
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}{nearest(name, MODELS)}; known: {', '.join(MODELS)}")
    return MODELS[name](**options)
