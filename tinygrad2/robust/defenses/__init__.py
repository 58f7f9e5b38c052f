"""Ways of training a net that attacks do not fool as easily."""

from tinygrad2.robust.defenses.deep_defense import DeepDefenseLoss, deep_defense

__all__ = ["DeepDefenseLoss", "deep_defense"]
