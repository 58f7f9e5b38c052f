"""How robust a net is, in numbers."""

from tinygrad2.robust.metrics.table import FGS, Robustness, accuracy, predict, rho, table_row

__all__ = ["FGS", "Robustness", "accuracy", "predict", "rho", "table_row"]
