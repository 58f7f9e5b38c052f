"""How robust a net is, in numbers; the module `statistics` says how far the numbers can be trusted."""

from tinygrad2.robust.metrics.bounds import MarginBound, frobenius_norms, margin_bound
from tinygrad2.robust.metrics.curves import accuracy_curve, pixel_curve
from tinygrad2.robust.metrics.table import FGS, Robustness, accuracy, predict, rho, table_row

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
