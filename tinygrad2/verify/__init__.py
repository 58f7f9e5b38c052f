"""Checking derivations: what a person derived, what a rule or a reverse layer claims, against measured truth."""

from tinygrad2.verify.gradcheck import GradReport, WrongDerivative, gradcheck, gradgradcheck
from tinygrad2.verify.truth import Uncertified

__all__ = ["GradReport", "Uncertified", "WrongDerivative", "gradcheck", "gradgradcheck"]
