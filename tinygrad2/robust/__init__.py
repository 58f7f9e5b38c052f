"""Attacks, penalties, defenses and robustness metrics, written in terms of layers and primitives alone.

The code follows the formulas of the papers. Each package lists its names; all of them are here. Their examples need:

    import numpy as np
    import tinygrad2 as tg
    from tinygrad2 import nn, robust
"""

from tinygrad2.robust import attacks, defenses, metrics, penalties
from tinygrad2.robust.attacks import *
from tinygrad2.robust.attacks.result import AttackResult, Diagnostic
from tinygrad2.robust.defenses import *
from tinygrad2.robust.evaluation import two_logits
from tinygrad2.robust.metrics import *
from tinygrad2.robust.penalties import *

__all__ = [
    "AttackResult",
    "Diagnostic",
    *attacks.__all__,
    *defenses.__all__,
    *metrics.__all__,
    *penalties.__all__,
    "two_logits",
]
