"""The names of "no gradient". A derivative that is mathematically zero is returned as zeros; all others are errors."""


class GradientError(RuntimeError):
    """A derivative was asked for that does not exist as asked. The subclasses say why."""


class NotConnected(GradientError):
    """The output was recorded, but does not depend on the tensor that it is to be differentiated by."""


class NotRecorded(GradientError):
    """The output has no history: it was computed under `no_grad`, detached, or from constants alone."""


class NoRule(GradientError):
    """A primitive has no derivative rule, or none for the argument that the cotangent has to pass through."""
