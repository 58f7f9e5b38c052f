"""Networks of one output, targets, weights and networks from Python, each through processes of the command."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from test_robust import affine

import tinygrad2 as tg
from tinygrad2 import experiments as ex
from tinygrad2 import nn, robust
from tinygrad2.cli import main
from tinygrad2.experiments import given
from tinygrad2.robust.attacks.base import SIGMOID

Command: TypeAlias = Callable[..., str]
Arrays: TypeAlias = dict[str, np.ndarray]

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}

MINE = """
import numpy as np
import tinygrad2 as tg
from tinygrad2 import nn

def one(in_features, rng):
    return nn.Sequential(flatten=nn.Flatten(), fc=nn.Linear(in_features, 1, rng=rng))

def sure(in_features, rng):
    return nn.Sequential(net=one(in_features, rng), sigmoid=nn.Sigmoid())

def three(in_features, rng):
    return nn.Sequential(flatten=nn.Flatten(), fc=nn.Linear(in_features, 3, rng=rng))

class Gate(nn.Layer):
    def __init__(self, size, rng):
        self.fc = nn.Linear(size, size, rng=rng)
        self.scale = np.full(size, 2.0, np.float32)
        self.squash = tg.sigmoid

    def forward(self, x):
        return x * self.squash(self.fc(x)) * tg.Tensor(self.scale.astype(x.dtype))
"""

FIT = """
import tinygrad2 as tg
from tinygrad2 import nn
from mine import Gate

net = nn.Sequential(nn.Flatten(), Gate(64, 0), nn.Dropout(0.1, rng=0), nn.Linear(64, 3, rng=0))
print(tg.experiments.fit(net, tg.data.load("three.npz"), out="runs/fit", epochs=2, settings={"eval.epsilons": [0.1]}))
"""

SCRIPT = """
import tinygrad2 as tg
from tinygrad2 import nn

class Half(nn.Layer):
    def forward(self, x):
        return x * 0.5

net = nn.Sequential(nn.Flatten(), Half(), nn.Linear(64, 3, rng=0))
tg.experiments.fit(net, tg.data.load("three.npz"), out="runs/script", epochs=1, settings={"eval.n_curve": 0})
"""

FAST = [
    *("--set", "reference.epochs=12", "--set", "run.batch_size=20"),
    *("--set", "defense.epochs=0", "--set", "eval.n_curve=0"),
]


def process(folder: Path, *command: str, code: int = 0) -> str:
    """What one command, or a script, prints in a process of its own."""
    program = [sys.executable] if command[0].endswith(".py") else [sys.executable, "-m", "tinygrad2"]
    argv = [*program, *command]
    ended = subprocess.run(argv, cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=120)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def run(folder: Path, *command: str, code: int = 0) -> str:
    """The same in this process, which is faster."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        ended = main([*command])
    assert ended == code, printed.getvalue()
    return printed.getvalue()


def attack(folder: Path, where: str, *options: str, by: Command = run, code: int = 0) -> tuple[str, Arrays]:
    """What an attack prints, and the arrays that it leaves."""
    out = f"hits/{len(list(folder.glob('hits/*')))}"
    said = by(folder, "attack", *where.split(), *options, "--out", out, code=code)
    return said, nn.load(folder / out / "adversarial.npz") if code == 0 else {}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the user's file, digits of two and of three classes, and a run on each."""
    pytest.importorskip("matplotlib", reason="the commands draw figures")
    folder = tmp_path_factory.mktemp("brought")
    digits = tg.data.unit(tg.data.load("digits"))
    for name, k in (("two", 2), ("three", 3)):
        train, test = (np.flatnonzero(y < k) for y in (digits.y_train, digits.y_test))
        np.savez(
            folder / f"{name}.npz",
            x_train=digits.x_train[train][:150], y_train=digits.y_train[train][:150], x_test=digits.x_test[test][:60],
            y_test=digits.y_test[test][:60], box=[0, 1], classes=["zero", "one", "two"][:k],
        )  # fmt: skip
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    (folder / "fit.py").write_text(FIT, encoding="utf-8")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    for data, net, more in (("two", "one", ["--set", "model.two_logits=true"]), ("three", "three", [])):
        names = ["--set", f"model.name=mine.py:{net}", "--set", f"data.name={data}.npz", "--set", "data.pixels=raw"]
        process(folder, "train", *names, *FAST, "--set", "reference.lr=0.02", *more, "--out", f"runs/{data}")
    process(folder, "fit.py")
    return folder


# --- One output


def test_a_network_of_one_output_is_told_what_makes_it_two(world: Path) -> None:
    given = ["--set", "model.name=mine.py:one", "--set", "data.name=two.npz", "--set", "data.pixels=raw"]
    said = run(world, "train", *given, "--out", "runs/none", code=2)
    assert "expected logits (N, 2), one for each class, got shape (1, 1)" in said
    assert "a logit and no probability, give model.two_logits=true" in said
    assert not (world / "runs/none").exists()
    said = run(world, "train", *given[2:], "--set", "model.two_logits=true", "--out", "runs/none", code=2)
    assert "two logits are made of one output, (N, 1) or (N,); got shape (1, 10)" in said or "does not take" in said


def test_a_network_of_one_output_is_trained_measured_attacked_and_verified(world: Path) -> None:
    weights = nn.load(world / "runs/two/reference.npz")
    assert set(weights) == {"fc.weight", "fc.bias"}  # the user's own names
    two = np.load(world / "two.npz")
    z = two["x_test"].reshape(60, -1) @ weights["fc.weight"].T + weights["fc.bias"]
    right = (z[:, 0] > 0) == two["y_test"]
    assert right.mean() > 0.9
    printed = run(world, "evaluate", "runs/two")
    assert re.search(rf"^Reference +{100 * right.mean():.2f} %", printed, re.M)
    said, found = attack(world, "runs/two", "--attack", "fgsm", "--epsilon", "0.3", "--box", "0", "1", by=process)
    towards = np.where(two["y_test"] == 1, -1, 1)[:, None] * np.sign(weights["fc.weight"])
    moved = (two["x_test"].reshape(60, -1) + 0.3 * towards).clip(0, 1)
    np.testing.assert_allclose(found["adversarial"].reshape(60, -1)[right], moved[right], 0, 1e-6)
    assert "warning" not in said and (found["before"] == (z[:, 0] > 0)).all()
    assert "WRONG" not in run(world, "verify", "runs/two")
    mine = ["--model", "mine.py:one", "--data", "two.npz", "--set", "data.pixels=raw", "--set", "model.two_logits=true"]
    again = run(world, "evaluate", *mine, "--weights", "runs/two/reference.npz")
    assert re.search(rf"^mine.py:one +{100 * right.mean():.2f} %", again, re.M)


def test_a_sigmoid_at_the_end_is_named(world: Path) -> None:
    state = nn.load(world / "runs/two/reference.npz")
    nn.save(world / "sure.npz", {f"net.{name}": a for name, a in state.items()})
    where = "--model mine.py:sure --weights sure.npz --data two.npz --set data.pixels=raw --set model.two_logits=true"
    said, found = attack(world, where, "--attack", "fgsm", "--epsilon", "0.1")
    assert SIGMOID in said and (found["before"] == 1).all()


# --- Targets


def test_targets_have_their_usual_names(world: Path) -> None:
    labels = np.load(world / "three.npz")["y_test"]
    np.save(world / "targets.npy", (labels + 2) % 3)
    weights = nn.load(world / "runs/three/reference.npz")
    x = np.load(world / "three.npz")["x_test"].reshape(60, -1)
    least = (x @ weights["fc.weight"].T + weights["fc.bias"]).argmin(1)
    cases = {
        ("--targets", "two"): np.full(60, 2),
        ("--targets", "2"): np.full(60, 2),
        ("--set", "targets=2"): np.full(60, 2),
        ("--targets", "next"): (labels + 1) % 3,
        ("--set", "targets=next"): (labels + 1) % 3,
        ("--set", "targets=least-likely"): least,
        ("--targets", "targets.npy"): (labels + 2) % 3,
    }
    for option, targets in cases.items():
        more = ["--attack", "bim", "--epsilon", "0.5", "--batch-size", "17"]
        by = process if option == ("--set", "targets=least-likely") else run
        said, found = attack(world, "runs/three", *more, *option, by=by)
        np.testing.assert_array_equal(found["targets"], targets)
        right = found["before"] == labels
        fooled = right & (found["after"] != labels)
        taken = fooled & (found["after"] == targets)
        shown = option[1].removeprefix("targets=")
        could = (right & (labels != targets)).sum()
        assert re.search(rf"taken for the target \({shown}\) +{taken.sum()} of {could} \(", said)
        assert taken.sum() > 20 and (found["after"] != targets)[right].sum() < 40
        # the same as the attack that is given these targets
        net = affine(weights["fc.weight"], weights["fc.bias"])
        expected = robust.bim(net, x[:17], labels[:17], 0.5, targets=targets[:17])
        np.testing.assert_allclose(found["adversarial"][:17].reshape(17, -1), expected.adversarial.numpy(), 0, 1e-6)


def test_targets_that_are_none_are_named(world: Path) -> None:
    np.save(world / "short.npy", np.zeros(3, np.int64))
    np.save(world / "high.npy", np.full(60, 3))
    np.save(world / "float.npy", np.zeros(60))
    (world / "broken.npy").write_bytes(b"no array")
    cases = {
        "four": r"a class \(zero, one, two, or its number, 0 to 2\), next, least-likely or an .npy file; got 'four'",
        "3": "got '3'",
        "-1": "got '-1'",
        "gone.npy": "no such file of targets: gone.npy",
        "short.npy": r"short.npy: expected 60 integers, one for each image that is attacked, got int64 \(3,\)",
        "high.npy": "high.npy: expected classes from 0 to 2, got 3 at 0",
        "float.npy": "float.npy: expected 60 integers, .* got float64",
        "broken.npy": "broken.npy is not a readable .npy file",
    }
    for name, sentence in cases.items():
        said, _ = attack(world, "runs/three", "--attack", "bim", "--epsilon", "0.5", f"--targets={name}", code=2)
        assert re.search(sentence, said), said
    said, _ = attack(world, "runs/three", "--attack", "deepfool", "--targets", "next", code=2)
    assert "the attack 'deepfool' takes no --targets" in said
    said, _ = attack(world, "runs/three", "--attack", "bim", "--set", "epsilon=high", code=2)
    assert "epsilon: expected a number, got 'high'" in said


def test_an_attack_with_other_targets_is_another_attack(world: Path, tmp_path: Path) -> None:
    with contextlib.chdir(world):
        trained = ex.from_run("runs/three")
    plan = ex.AttackPlan("bim", {"epsilon": 0.1, "targets": str(tmp_path / "t.npy")})
    np.save(tmp_path / "t.npy", np.zeros(60, np.int64))
    out = tmp_path / "hits"
    ex.attack(trained.chosen("final"), trained.dataset, plan, out)
    (out / "adversarial.npz").unlink()  # as if it had been stopped
    np.save(tmp_path / "t.npy", np.ones(60, np.int64))
    with pytest.raises(ValueError, match="holds another attack: targets is"):
        ex.attack(trained.chosen("final"), trained.dataset, plan, out, resume=True)


# --- Weights


def test_a_brought_network_begins_with_weights_from_a_file(world: Path) -> None:
    state = nn.load(world / "runs/three/reference.npz")
    nn.save(world / "begin.npz", state)
    mine = ["--set", "model.name=mine.py:three", "--set", "data.name=three.npz", "--set", "data.pixels=raw"]
    mine += ["--set", "model.weights=begin.npz", "--set", "reference.epochs=0", "--set", "defense.epochs=1"]
    process(world, "train", *mine, "--penalty", "jacobian_frobenius", "--out", "runs/begun")
    kept = nn.load(world / "runs/begun/reference.npz")
    assert {name: a.tobytes() for name, a in kept.items()} == {name: a.tobytes() for name, a in state.items()}
    result = json.loads((world / "runs/begun/result.json").read_text(encoding="utf-8"))
    assert list(result["rows"]) == ["Reference", "jacobian_frobenius"]
    assert set(result["brought"]) == {"mine.py", "three.npz", "begin.npz"}
    assert (nn.load(world / "runs/begun/final.npz")["fc.weight"] != state["fc.weight"]).any()
    nn.save(world / "begin.npz", {name: a * 2 for name, a in state.items()})
    said = run(world, "train", "--out", "runs/begun", "--resume", code=2)
    assert "the run began in another way: begin.npz is" in said
    assert "warning: begin.npz has changed since" in run(world, "evaluate", "runs/begun")
    (world / "begin.npz").unlink()
    assert "warning: no such file of weights: begin.npz" in run(world, "evaluate", "runs/begun")


def test_weights_that_do_not_fit_are_named(world: Path) -> None:
    mine = ["--set", "model.name=mine.py:three", "--set", "data.name=three.npz", "--set", "data.pixels=raw", *FAST]
    state = nn.load(world / "runs/three/reference.npz")
    nn.save(world / "broken.npz", {**state, "fc.bias": np.full(3, np.nan, np.float32)})
    nn.save(world / "other.npz", {"fc.weight": state["fc.weight"]})
    cases = {
        ("model.weights=gone.npz",): "no such file of weights: gone.npz",
        ("model.weights=other.npz",): "other.npz: the state does not fit .* missing 'fc.bias'",
        ("model.weights=broken.npz",): "broken.npz: the weights fc.bias are not finite",
        ("model.weights=other.npz", "reference.weights=other.npz"): "model.weights and reference.weights both name",
    }
    for sets, sentence in cases.items():
        said = run(world, "train", *mine, *(part for s in sets for part in ("--set", s)), "--out", "runs/no", code=2)
        assert re.search(sentence, said), said
        assert not (world / "runs/no").exists()


# --- Networks that were given to fit


def test_other_commands_take_a_network_that_was_given_to_fit(world: Path, tmp_path: Path) -> None:
    rows = json.loads((world / "runs/fit/result.json").read_text(encoding="utf-8"))["rows"]["no defense"]
    printed = process(world, "evaluate", "runs/fit")
    accuracy, rho, under = 100 * rows["accuracy"], rows["rho2"], 100 * rows["under"]["fgsm"]["0.1"]
    assert re.search(rf"^no defense +{accuracy:.2f} % +{rho:.4f} +{under:.2f} %", printed, re.M)
    verified = process(world, "verify", "runs/fit")
    assert "Gate" in verified and "WRONG" not in verified
    said, found = attack(world, "runs/fit", "--attack", "fgsm", "--epsilon", "0.1", "--box", "0", "1")
    assert f"accuracy left: {under:.2f} %" in said
    np.testing.assert_array_equal(found["images"], np.load(world / "three.npz")["x_test"])
    assert "report.html" in run(world, "report", "runs/fit")
    assert "tinygrad2 verify runs/fit" in run(world, "check", "runs/fit", code=2)
    whole = (world / "mine.py").read_bytes()
    (world / "mine.py").write_bytes(whole + b"# changed\n")
    assert "warning: mine.py has changed since" in run(world, "evaluate", "runs/fit", "--n", "20")
    (world / "mine.py").write_bytes(whole)


def test_a_network_that_was_brought_by_a_file_is_verified_without_a_run(world: Path) -> None:
    mine = ["--model", "mine.py:three", "--data", "three.npz", "--set", "data.pixels=raw"]
    assert "WRONG" not in process(world, "verify", *mine, "--weights", "runs/three/reference.npz")
    assert "missing: --weights" in run(world, "verify", *mine, code=2)


def test_a_class_in_the_script_is_named_and_a_function_may_take_its_place(world: Path) -> None:
    process(world, "script.py")
    said = run(world, "evaluate", "runs/script", code=2)
    assert "Half, which stands in the script that called fit; put it in a file of its own" in said
    assert "name the function that makes it: --set model.name=path/to/file.py:function" in said
    half = "\nclass Half(nn.Layer):\n    def forward(self, x):\n        return x * 0.5\n"
    made = "\ndef net():\n    return nn.Sequential(nn.Flatten(), Half(), nn.Linear(64, 3, rng=0))\n"
    (world / "half.py").write_text("from tinygrad2 import nn\n" + half + made, encoding="utf-8")
    rows = json.loads((world / "runs/script/result.json").read_text(encoding="utf-8"))["rows"]["no defense"]
    printed = run(world, "evaluate", "runs/script", "--set", "model.name=half.py:net")
    assert re.search(rf"^no defense +{100 * rows['accuracy']:.2f} % +{rows['rho2']:.4f}", printed, re.M)
    (world / "runs/script/images.npz").unlink()
    assert "name the images: --set data.name=NAME" in run(world, "evaluate", "runs/script", code=2)
    images = ["--set", "model.name=half.py:net", "--set", "data.name=three.npz"]
    assert f"{100 * rows['accuracy']:.2f} %" in run(world, "evaluate", "runs/script", *images)


def same(a: nn.Layer, b: nn.Layer, x: np.ndarray) -> None:
    """Both give the same, and share the same weights inside."""
    b.load_state_dict(a.state_dict())
    np.testing.assert_array_equal(a.eval()(x).numpy(), b.eval()(x).numpy())
    assert repr(a) == repr(b) and [n for n, _ in a.named_parameters()] == [n for n, _ in b.named_parameters()]


NETS: dict[str, Any] = {
    "mlp": lambda: nn.models.mlp(12, (5,), 3, rng=0),
    "tied": lambda: tied(),
    "norm": lambda: nn.Sequential(nn.Linear(12, 4, rng=0), nn.BatchNorm1d(4), nn.LeakyReLU(0.2)),
    "branches": lambda: nn.Sequential(
        nn.Concatenate(a=nn.Linear(12, 2, rng=0), b=nn.Linear(12, 3, rng=1)), nn.Residual(nn.Linear(5, 5, rng=2))
    ),
    "double": lambda: nn.Linear(12, 3, rng=0).astype(np.float64),
}


def tied() -> nn.Sequential:
    first = nn.Linear(12, 12, rng=0)
    return nn.Sequential(first, nn.Tanh(), first, nn.Dropout(0.5, rng=np.random.Generator(np.random.Philox(1))))


@pytest.mark.parametrize("name", NETS)
def test_a_network_is_built_again_with_what_it_shares(name: str, tmp_path: Path) -> None:
    net = NETS[name]()
    three = tg.data.load("digits").subset(9, 6)
    given.keep(tmp_path, net, three)
    x = np.random.default_rng(0).standard_normal((4, 12)).astype(net.parameters()[0].dtype)
    same(net, given.network(tmp_path), x)
    kept = given.images(tmp_path)
    assert kept.x_test.tobytes() == three.x_test.tobytes() and (kept.classes, kept.box) == (three.classes, three.box)
    assert len(kept.x_train) == 1
    centred = tg.data.centre(three)
    given.keep(tmp_path, net, centred)
    found = given.images(tmp_path)
    assert found.mean is not None and centred.mean is not None and found.mean.tobytes() == centred.mean.tobytes()
    assert found.range == centred.range and found.box is None


def test_every_model_is_built_again(tmp_path: Path) -> None:
    digits = tg.data.load("digits").subset(3, 3)
    for name, make in nn.models.MODELS.items():
        net = make(rng=0, **({"width": 0.1} if "width" in signature(make).parameters else {}))
        given.keep(tmp_path, net, digits)
        again = given.network(tmp_path)
        assert repr(again) == repr(net), name
        shapes = [(k, a.shape, a.dtype) for k, a in net.state_dict().items()]
        assert [(k, a.shape, a.dtype) for k, a in again.state_dict().items()] == shapes, name


def test_what_cannot_be_described_or_is_damaged_is_named(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2, rng=0))
    digits = tg.data.load("digits").subset(3, 3)
    net[0].hook = lambda x: x  # type: ignore[attr-defined]
    given.keep(tmp_path, net, digits)
    with pytest.raises(ValueError, match=r"layers\['0'\].hook is .*lambda.*, which has no name at the top of a file"):
        given.network(tmp_path)
    net[0].hook = {1, 2}  # type: ignore[attr-defined]
    given.keep(tmp_path, net, digits)
    with pytest.raises(ValueError, match=r"hook is a set; name the function that makes it"):
        given.network(tmp_path)
    no_layer = '{"net": {"class": "tinygrad2.cli:main", "holds": {}}}'
    for told in ("{}", '{"net": 3}', '{"net": {"same": 9}}', "no JSON", no_layer):
        nn.save(tmp_path / given.NETWORK, {"net": np.asarray(told)})
        with pytest.raises(ValueError, match=r"network\.npz is damaged"):
            given.network(tmp_path)
    (tmp_path / given.NETWORK).unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no network\.npz, by which its network could be built again"):
        given.network(tmp_path)
