"""What a user's type checker sees: a right script passes mypy --strict, and each wrong call is found."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad2

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")

SCRIPT = """\
import numpy as np

import tinygrad2 as tg
from tinygrad2 import Tensor, nn


def energy(x: Tensor, scale: float = 1.0) -> Tensor:
    return (tg.exp(x) * x).sum() / scale + tg.norm(x[1:], axis=0)


def weighted(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    return (parameters["w"] @ x.T).mean(axis=1, keepdims=True).sum()


x: Tensor = tg.zeros((3, 4), dtype=np.float32, requires_grad=True)
y: Tensor = 1.0 - x * 2.0 + x**2 / tg.ones_like(x)
positive: Tensor = x > 0.5
slope: Tensor = tg.grad(energy)(tg.linspace(0.0, 1.0, 5), scale=2.0)
by_name: dict[str, Tensor] = tg.grad(weighted)({"w": tg.eye(4)}, y.detach())
value, gradient = tg.value_and_grad(energy)(tg.arange(3.0))
matrix: Tensor = tg.hessian(energy)(slope)
other: Tensor = tg.grad(lambda a: tg.grad(tg.tanh)(a) * a)(0.5)
output, pullback = tg.vjp(energy, slope)
(back,) = pullback(1.0)
y.sum().backward()
shape: tuple[int, ...] = y.shape
array: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = y.detach().numpy()
net = nn.Sequential(fc=nn.Linear(4, 2), relu=nn.ReLU())
loss: Tensor = tg.cross_entropy(net(x), [0, 1, 1])
(dx,) = tg.autograd.grad(loss, x)
with tg.no_grad():
    print(output.item(), value, gradient, matrix, by_name, other, back, array.mean(), positive, dx, shape)
"""

# (a line with a mistake, a word of what mypy says about it)
MISTAKES = {
    'tg.exp("x")': "incompatible type",
    "tg.exp(x, x)": "Too many arguments",
    "tg.grad(3)": "No overload variant",
    'tg.grad(energy, "x")': 'No overload variant of "grad"',
    'nn.Linear("a", 2)': "incompatible type",
    'x + "a"': "Unsupported operand",
    "x.summ()": "has no attribute",
    "tg.zeroes(3)": "has no attribute",
    "tg.algebra": "has no attribute",
    "word: str = tg.relu(x)": "Incompatible types",
    "x.sum(dim=0)": "Unexpected keyword",
}


def mypy(script: str, folder: Path) -> str:
    """What `mypy --strict` prints for the script, against the package as a user has it installed."""
    file = folder / "script.py"
    file.write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder / 'cache'}", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return result.stdout + result.stderr


def test_a_users_script_is_right_and_each_mistake_in_it_is_found(tmp_path: Path) -> None:
    assert "Success" in mypy(SCRIPT, tmp_path)
    report = mypy(SCRIPT + "\n".join(MISTAKES), tmp_path)
    first = SCRIPT.count("\n") + 1
    for line, (mistake, words) in enumerate(MISTAKES.items(), first):
        found = [text for text in report.splitlines() if text.startswith(f"script.py:{line}: error:")]
        assert found and words in found[0], f"{mistake}: mypy says {found}"
    assert f"Found {len(MISTAKES)} errors in 1 file" in report


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(tinygrad2.__file__).parent / "py.typed").is_file()
