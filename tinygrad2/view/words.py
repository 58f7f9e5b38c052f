"""One plain sentence for each kind of step: what an operation does, and what its rule does with a cotangent."""

from __future__ import annotations

FORWARD: dict[str, str] = {
    "linear": "Each output sums the inputs with its row of weights.",
    "linear_input": "The cotangent goes back along the weights, transposed.",
    "linear_weight": "Every weight gets its input times the cotangent of its output.",
    "matmul": "A product of matrices.",
    "conv2d": "A small filter slides over the image; every place gives one number.",
    "conv2d_input": "The transposed convolution spreads every number back over the pixels that it came from.",
    "conv2d_at": "The convolution, computed only at the entries that are let through.",
    "conv2d_input_at": "The transposed convolution, from the entries that were let through.",
    "add": "A sum, entry by entry.",
    "subtract": "A difference, entry by entry.",
    "multiply": "A product, entry by entry.",
    "divide": "A quotient, entry by entry.",
    "negative": "The sign changes.",
    "scale": "Every entry times the same number.",
    "exp": "The exponential of every entry.",
    "log": "The logarithm of every entry.",
    "sqrt": "The square root of every entry.",
    "root": "The square root of every entry.",
    "square": "The square of every entry.",
    "power": "Every entry to the same power.",
    "tanh": "Every entry is squashed into (−1, 1).",
    "sigmoid": "Every entry is squashed into (0, 1).",
    "relu": "Entries below zero become 0.",
    "positive": "The mask says where an entry is above zero.",
    "mask": "Where the mask is off, the entry becomes 0.",
    "where": "The mask chooses between two values.",
    "max": "The largest entry.",
    "maximum": "The larger of two entries.",
    "softmax": "The entries become positive and sum to 1.",
    "log_softmax": "The logarithms of the probabilities.",
    "logsumexp": "A smooth maximum: the logarithm of the sum of exponentials.",
    "sum_to": "The entries are summed.",
    "sum_squares": "The sum of the squared entries.",
    "norm": "The length of the vector.",
    "reshape": "The same numbers in another shape.",
    "transpose": "The axes change places.",
    "broadcast_to": "The same numbers, repeated.",
    "index": "Some entries are picked.",
    "index_add": "The entries go back to where they were picked.",
    "concatenate": "Several arrays become one.",
    "pool_argmax": "The place of the largest entry of every window is remembered.",
    "pool_gather": "The largest entry of every window is kept.",
    "pool_scatter": "Every number goes back to the place that the pool had chosen.",
    "avg_pool2d": "The mean of every window.",
    "avg_unpool2d": "Every number is spread evenly over its window.",
}

# By operation, and where needed by argument. "" stands for all others.
BACKWARD: dict[str, str] = {
    "linear 0": "The cotangent goes back along the same weights, transposed.",
    "linear 1": "Every weight gets its input times the cotangent of its output.",
    "linear_input 0": "The adjoint of going back along the weights is going forward along them.",
    "linear_input 1": "The backward pass used the weights too, so they get a share of their gradient here.",
    "linear_weight 0": "The gradient of the weights used the input: its cotangent goes back along it.",
    "conv2d 0": "The transposed convolution hands every number back to the pixels that it came from.",
    "conv2d 1": "Every weight of the filter sums what it saw, times the cotangent of what it gave.",
    "conv2d_at 0": "The transposed convolution, from the entries that were let through.",
    "conv2d_at 1": "Every weight of the filter sums what it saw, at the entries that were let through.",
    "conv2d_input 0": "The adjoint of the transposed convolution is the convolution.",
    "conv2d_input 1": "The backward pass used the filter too, so it gets a share of its gradient here.",
    "conv2d_input_at 0": "The adjoint of the transposed convolution is the convolution, at the same entries.",
    "conv2d_input_at 1": "The backward pass used the filter too, so it gets a share of its gradient here.",
    "add": "A sum passes the cotangent on unchanged.",
    "subtract 0": "A difference passes the cotangent on unchanged.",
    "subtract 1": "A difference passes the cotangent on with the other sign.",
    "multiply": "Times the other factor.",
    "divide 0": "Divided by the same number.",
    "divide 1": "The derivative of a quotient by what it is divided by.",
    "negative": "The sign changes.",
    "scale": "Times the same number.",
    "exp": "Times the exponential, which is its own slope.",
    "log": "Divided by what the logarithm was taken of.",
    "sqrt": "Divided by twice the root.",
    "square": "The derivative of a square.",
    "power": "The derivative of a power.",
    "tanh": "Times the slope of tanh, which its own output gives: 1 − y².",
    "sigmoid": "Times the slope of the sigmoid, which its own output gives: y (1 − y).",
    "relu": "It passes where the entry was above zero, and stops elsewhere.",
    "mask": "It passes where the mask is on, and stops elsewhere.",
    "where": "Each entry goes to the value that was chosen.",
    "max": "All of it goes to the largest entry.",
    "softmax": "Times the slope of softmax: what all entries share is taken off.",
    "log_softmax": "The cotangent, less its sum times the probabilities.",
    "logsumexp": "Times the softmax, which is the slope of the smooth maximum.",
    "sum_to": "Every summand gets the cotangent of the sum.",
    "sum_squares": "The derivative of a square, for every entry.",
    "norm": "The direction of the vector, times the cotangent of its length.",
    "reshape": "The same numbers, back in the shape of the input.",
    "transpose": "The axes change back.",
    "broadcast_to": "What was repeated is summed.",
    "index": "Every number goes back to where it was picked; all other places get 0.",
    "index_add": "The entries are picked again.",
    "concatenate": "The cotangent is cut into the parts.",
    "pool_gather": "Every number goes back to the place that the pool had chosen.",
    "pool_scatter": "The numbers are picked from the places that the pool had chosen.",
    "avg_pool2d": "Every number is spread evenly over its window.",
    "avg_unpool2d": "The mean of every window.",
}

SEED = "Every backward pass starts from the derivative of a thing by itself."
GIVEN = "The backward pass starts from this cotangent, which was given."
DIRECTION = "The gradient is a value like any other. It is differentiated again, in this direction."
MEET = "Several roads lead to {}: cotangents that meet are added."
SHARE = "This is the first share for {}; another follows when the walk goes on."
UNCHANGED = "Nothing is computed: the cotangent passes unchanged."
CURVED = "The rule of {} read {}, so {} gets a cotangent from the backward pass too."


def forward(operations: list[str]) -> str:
    """What a step of the forward pass does."""
    named = [name for name in operations if name in FORWARD]
    loud = [name for name in named if name not in ("reshape", "broadcast_to", "transpose")] or named
    if not loud:
        return f"{', '.join(operations)}." if operations else ""
    different = list(dict.fromkeys(loud))
    return FORWARD[different[0]] if len(different) == 1 else " ".join(FORWARD[name] for name in different[:2])


def backward(operation: str, argument: int) -> str:
    """What the rule of an operation by one of its arguments does with a cotangent."""
    found = BACKWARD.get(f"{operation} {argument}") or BACKWARD.get(operation)
    return found or f"The cotangent goes back through {operation}."
