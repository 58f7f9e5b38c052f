"""tinygrad2: the backward pass is a network you can read, run, differentiate again, and check."""

__version__ = "0.1.0"

from tinygrad2 import autodiff, data, nn, ops, robust, verify
from tinygrad2.autodiff import *  # noqa: F403
from tinygrad2.nn import manual_seed
from tinygrad2.ops import *  # noqa: F403
from tinygrad2.verify import *  # noqa: F403

__all__ = [*autodiff.__all__, *ops.__all__, *verify.__all__, "data", "manual_seed", "nn", "ops", "robust", "verify"]
