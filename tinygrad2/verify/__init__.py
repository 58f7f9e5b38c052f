"""Checking derivations: what a person derived, what a rule or a reverse layer claims, against measured truth."""

from tinygrad2.verify.book import Exercise, exercise, exercises
from tinygrad2.verify.check import check_double_vjp, check_jacobian, check_vjp
from tinygrad2.verify.declare import Derivation, derivation
from tinygrad2.verify.differences import Uncertified
from tinygrad2.verify.gradcheck import GradReport, gradcheck, gradgradcheck
from tinygrad2.verify.network import NetworkReport, verify_network
from tinygrad2.verify.primitive import verify_primitive
from tinygrad2.verify.report import Report, WrongDerivation

__all__ = [
    "Derivation",
    "Exercise",
    "GradReport",
    "NetworkReport",
    "Report",
    "Uncertified",
    "WrongDerivation",
    "check_double_vjp",
    "check_jacobian",
    "check_vjp",
    "derivation",
    "exercise",
    "exercises",
    "gradcheck",
    "gradgradcheck",
    "verify_network",
    "verify_primitive",
]
