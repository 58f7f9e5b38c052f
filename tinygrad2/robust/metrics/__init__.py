"""How robust a net is, in numbers; the module `statistics` says how far the numbers can be trusted."""

from tinygrad2.robust.metrics.accuracy import accuracy, predict
from tinygrad2.robust.metrics.bounds import MarginBound, frobenius_norms, margin_bound
from tinygrad2.robust.metrics.curves import accuracy_curve, pixel_curve
from tinygrad2.robust.metrics.fgs import FGS, Robustness, table_row
from tinygrad2.robust.metrics.rho import rho

__all__ = [
    "FGS",
    "MarginBound",
    "Robustness",
    "accuracy",
    "accuracy_curve",
    "frobenius_norms",
    "margin_bound",
    "pixel_curve",
    "predict",
    "rho",
    "table_row",
]
