"""Words of other frameworks, and what to write here instead: an error that meets one of them says so."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Methods and attributes of tensors.
ATTRIBUTES = {
    "view": "write t.reshape(...)",
    "view_as": "write t.reshape(other.shape)",
    "reshape_as": "write t.reshape(other.shape)",
    "resize": "write t.reshape(...)",
    "permute": "write t.transpose(0, 2, 1), with all axes in their new order",
    "t": "write t.T",
    "H": "write t.T",
    "movedim": "write tg.moveaxis(t, source, destination)",
    "unsqueeze": "write t[:, None], with None where the new axis goes",
    "expand_dims": "write tg.expand_dims(t, axis)",
    "expand": "write t.broadcast_to(shape)",
    "expand_as": "write t.broadcast_to(other.shape)",
    "tile": "write tg.tile(t, repeats)",
    "contiguous": "leave it out: every shape works as it is",
    "clone": "leave it out: nobody can change a Tensor",
    "copy": "leave it out: nobody can change a Tensor",
    "requires_grad_": "write tg.Tensor(values, requires_grad=True)",
    "retain_grad": "write tg.autograd.grad(loss, t), which gives the gradient of any tensor",
    "zero_grad": "write t.grad = None, or net.zero_grad()",
    "zero_": "write t.grad = None for a gradient, or tg.zeros_like(t)",
    "grad_fn": "print the tensor: it says what it comes from",
    "is_leaf": "a tensor made with requires_grad=True is a leaf, the result of an operation is none",
    "detach_": "write t = t.detach()",
    "cuda": 'write t.to("cuda")',
    "cpu": 'write t.to("cpu"), or t.numpy() for the array',
    "gpu": 'write t.to("cuda")',
    "is_cuda": 'write t.device == "cuda"',
    "float": "write t.astype(np.float32)",
    "double": "write t.astype(np.float64)",
    "half": "float32 and float64 are the types here: t.astype(np.float32)",
    "int": "write t.astype(np.int32)",
    "long": "write t.astype(np.int64)",
    "bool": "write t != 0",
    "type": "write t.astype(dtype)",
    "tolist": "write t.numpy().tolist()",
    "dim": "write t.ndim",
    "numel": "write t.size",
    "nelement": "write t.size",
    "add_": "write t + other: nobody can change a Tensor",
    "sub_": "write t - other: nobody can change a Tensor",
    "mul_": "write t * other: nobody can change a Tensor",
    "div_": "write t / other: nobody can change a Tensor",
    "copy_": "write t.data = values, for a leaf",
    "fill_": "write tg.full_like(t, value)",
    "masked_fill": "write tg.where(mask, value, t)",
    "mm": "write a @ b",
    "bmm": "write a @ b",
    "matmul": "write a @ b",
    "mul": "write a * b",
    "add": "write a + b",
    "sub": "write a - b",
    "div": "write a / b",
    "pow": "write a ** b",
    "neg": "write -t",
    "square": "write tg.square(t)",
    "relu": "write tg.relu(t)",
    "sigmoid": "write tg.sigmoid(t)",
    "softmax": "write tg.softmax(t, axis)",
    "log_softmax": "write tg.log_softmax(t, axis)",
    "logsumexp": "write tg.logsumexp(t, axis)",
    "norm": "write tg.norm(t, axis=...)",
    "gather": "write tg.gather(t, indices, axis)",
    "scatter_add": "write tg.scatter_add(t, indices, size, axis)",
    "clamp": "write t.clip(min, max)",
    "amax": "write t.max(axis)",
    "amin": "write t.min(axis)",
    "at": "nobody can change a Tensor: write tg.where(mask, value, t)",
    "block_until_ready": "leave it out: every result is there when its function returns",
}

# Names of arguments that are another name here.
RENAMED = {
    "dim": "axis",
    "keepdim": "keepdims",
    "keep_dims": "keepdims",
    "gradient": "grad",
    "correction": "ddof",
    "a_min": "min",
    "a_max": "max",
    "ord": "p",
    "argnum": "argnums",
    "learning_rate": "lr",
    "step_size": "lr",
    "dims": "axis",
}

# Names of arguments that are not needed here, or are said in another way.
KEYWORDS = {
    "retain_graph": "leave it out: the graph stays, and can be used as often as you like",
    "inputs": "write tg.autograd.grad(loss, inputs) for chosen tensors",
    "unbiased": "write ddof=1 for unbiased=True",
    "inplace": "leave it out: nobody can change a Tensor",
    "out": "leave it out: every operation returns a new tensor",
    "indexing": "write the axis",
    "input": "give the tensor first, without a name",
    "other": "give the tensors without names",
    "training": "dropout(x, p, rng) always drops; nn.Dropout follows net.train() and net.eval()",
    "target": "give the labels second, without a name",
    "size_average": 'write reduction="mean"',
    "device": 'write .to("cuda") after it is made',
    "weights": "give the parameters first, without a name",
}

# Names in the module itself.
FUNCTIONS = {
    "tensor": "write tg.Tensor(values)",
    "array": "write tg.Tensor(values)",
    "asarray": "write tg.Tensor(values)",
    "as_tensor": "write tg.Tensor(values)",
    "from_numpy": "write tg.Tensor(array)",
    "Variable": "write tg.Tensor(values, requires_grad=True)",
    "Parameter": "write tg.Tensor(values, requires_grad=True)",
    "float32": "write np.float32",
    "float64": "write np.float64",
    "randn": "write tg.Tensor(rng.standard_normal(shape)), with rng = np.random.default_rng(seed)",
    "rand": "write tg.Tensor(rng.random(shape)), with rng = np.random.default_rng(seed)",
    "random": "write tg.Tensor(rng.random(shape)), with rng = np.random.default_rng(seed)",
    "cat": "write tg.concatenate(tensors, axis)",
    "concat": "write tg.concatenate(tensors, axis)",
    "mm": "write a @ b",
    "bmm": "write a @ b",
    "mul": "write a * b",
    "pow": "write tg.power(a, b)",
    "clamp": "write tg.clip(x, min, max)",
    "permute": "write tg.transpose(x, axes)",
    "unsqueeze": "write x[:, None], with None where the new axis goes",
    "flatten": "write tg.ravel(x)",
    "jit": "leave it out: nothing is compiled",
    "enable_grad": "end the no_grad block",
    "set_grad_enabled": "write with tg.no_grad(): ...",
    "inference_mode": "write with tg.no_grad(): ...",
    "backward": "write loss.backward()",
    "gradient": "write tg.grad(f)",
    "GradientTape": "write tg.grad(f), or loss.backward()",
    "optim": "write tg.nn.SGD, tg.nn.Adam, ...",
    "functional": "its functions are under tg. itself: tg.softmax, tg.conv2d, ...",
    "save": "write tg.nn.save(path, net.state_dict())",
    "load": "write net.load_state_dict(tg.nn.load(path))",
    "device": 'write t.to("cpu") or t.to("cuda")',
    "cuda": 'write t.to("cuda")',
    "absolute": "write tg.abs(x)",
}

# Methods and attributes of layers.
LAYER_ATTRIBUTES = {
    "cuda": 'write net.to("cuda")',
    "cpu": 'write net.to("cpu")',
    "float": "write net.astype(np.float32)",
    "double": "write net.astype(np.float64)",
    "half": "float32 and float64 are the types here: net.astype(np.float32)",
    "modules": "write net.named_layers(), which gives names and layers",
    "named_modules": "write net.named_layers()",
    "named_children": "write net.children(), which gives names and layers",
    "named_buffers": "write net.named_tensors(), and take those that require no gradient",
    "buffers": "write net.named_tensors(), and take those that require no gradient",
    "add_module": "write self.name = layer",
    "register_module": "write self.name = layer",
    "register_parameter": "write self.name = tg.Tensor(values, requires_grad=True)",
    "register_buffer": "write self.name = tg.Tensor(values)",
    "register_forward_hook": "write net.trace(x), which keeps what every layer gives",
    "register_full_backward_hook": "write net.trace(x).reverse(), whose layers can be run one by one",
    "requires_grad_": "give the optimizer only the parameters that it should change",
    "save": "write nn.save(path, net.state_dict())",
    "load": "write net.load_state_dict(nn.load(path))",
    "fit": "write tg.experiments.fit(net, data, objective)",
    "predict": "write tg.robust.predict(net, x)",
    "backward": "write loss.backward(), or net.trace(x).vjp(u)",
}

# Names in tg.nn.
LAYERS = {
    "Module": "write nn.Layer, with a forward(x), or an apply(x) that gives the output and its reverse layer",
    "ModuleList": "keep the layers in a plain list: self.blocks = [...]",
    "ModuleDict": "keep the layers in a plain dict: self.heads = {...}",
    "ParameterList": "keep the parameters in a plain list: self.weights = [...]",
    "Parameter": "write tg.Tensor(values, requires_grad=True)",
    "Dense": "write nn.Linear(in_features, out_features)",
    "Conv2D": "write nn.Conv2d(in_channels, out_channels, kernel_size)",
    "MaxPooling2D": "write nn.MaxPool2d(kernel_size)",
    "CrossEntropyLoss": "write tg.cross_entropy(logits, labels)",
    "NLLLoss": "write tg.cross_entropy(logits, labels), of the logits themselves",
    "MSELoss": "write tg.mse_loss(x, y)",
    "functional": "its functions are under tg. itself: tg.softmax, tg.conv2d, ...",
    "F": "its functions are under tg. itself: tg.softmax, tg.conv2d, ...",
    "utils": "see the names in tg.nn.__all__",
    "LogSoftmax": "write tg.log_softmax(logits), or tg.cross_entropy(logits, labels)",
}


def hint(table: Mapping[str, str], name: str) -> str:
    """What to write instead of a name, as the end of a sentence; nothing where the table does not know it."""
    return f": {table[name]}" if name in table else ""


def unknown(module: str, table: Mapping[str, str], name: str) -> AttributeError:
    """The error for a name that a module does not have."""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint(table, name)}", name=name)


def answering(f: Callable[P, T]) -> Callable[P, T]:
    """f; where it is called with an argument's name of another framework, the error says what it is called here."""

    @wraps(f)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return f(*args, **kwargs)
        except TypeError as error:
            habit = next((name for name in kwargs if f"unexpected keyword argument {name!r}" in str(error)), "")
            known = signature(f).parameters
            if not habit or habit in known or any(p.kind is p.VAR_KEYWORD for p in known.values()):
                raise  # an error of something that f calls
            who = type(args[0]).__name__ if f.__name__ == "__init__" else f.__name__
            raise TypeError(f"{who}() takes no argument {habit!r}{_instead(known, habit)}") from None

    return call


def _instead(known: Container[str], habit: str) -> str:
    """What to write in place of an argument, as the end of a sentence; nothing where there is nothing of the kind."""
    if RENAMED.get(habit) in known:
        return f": it is called {RENAMED[habit]} here"
    return hint(KEYWORDS, habit)


def answers(namespace: dict[str, Any], names: list[str]) -> None:
    """Let every function among the names of a module answer in this way, and every class where it is made."""
    for name in names:
        f = namespace[name]
        if type(f) is type(answers):
            namespace[name] = answering(f)
        elif isinstance(f, type) and "__init__" in vars(f):
            f.__init__ = answering(f.__init__)  # type: ignore[misc]
