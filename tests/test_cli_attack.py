"""The attack command: every attack with its own options, boxes, black boxes, and a real process that is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad2 import experiments as ex
from tinygrad2 import nn, robust
from tinygrad2.cli import main
from tinygrad2.experiments.attack_options import kind_of
from tinygrad2.robust.attacks.result import merged

ROOT = Path(__file__).parents[1]
TINY = [
    *("data.name=digits", "data.n_train=200", "model.hidden=[12]", "model.input_scale=100"),
    *("run.batch_size=10", "reference.epochs=10", "defense.epochs=0", "eval.n_curve=0"),
]


def train(out: Path, *sets: str) -> Path:
    assert main(["train", *(part for s in (*TINY, *sets) for part in ("--set", s)), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = train(tmp_path_factory.mktemp("attacked") / "run", "data.n_test=60")
    subject = ex.from_run(out)
    assert robust.accuracy(subject.chosen("final"), subject.dataset.x_test, subject.dataset.y_test) > 0.7
    return out


@pytest.fixture(scope="module")
def unit_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pixels in [0, 1], not centred."""
    return train(
        tmp_path_factory.mktemp("attacked") / "unit",
        "data.n_test=60",
        "data.pixels=unit",
        "model.input_scale=1",
        "reference.lr=0.01",
    )


# Where an attack has no default, or a default that is too slow for a test.
OPTIONS = {
    "epsilon": "20",
    "box": ("0", "255"),
    "steps": "3",
    "passes": "1",
    "searches": "2",
    "queries": "5",
    "samples": "5",
}


def command(name: str) -> list[str]:
    """The options with which an attack runs fast on pixels 0-255."""
    given = [(o.flag, OPTIONS[o.name]) for o in ex.attack_options().values() if name in o.takers and o.name in OPTIONS]
    return [part for flag, value in given for part in (flag, *([value] if isinstance(value, str) else value))]


@pytest.mark.parametrize("name", robust.ATTACKS)
def test_every_attack_runs_in_a_box_and_says_what_it_found(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "hits"
    assert main(["attack", str(run), "--attack", name, *command(name), "--n", "20", "--out", str(out)]) == 0
    a, printed = nn.load(out / "adversarial.npz"), capsys.readouterr().out
    pixels = a["adversarial"] + a["mean"]
    assert pixels.min() > -1e-3 and pixels.max() < 255 + 1e-3
    assert "clipped to the box of pixels 0 to 255" in printed and "images in pixel units, centred" in printed
    fooled = ((a["before"] == a["labels"]) & (a["after"] != a["labels"])).sum()
    assert re.search(rf"fooled +{fooled} \(", printed)
    assert f"accuracy left: {100 * ((a['before'] == a['labels']).sum() - fooled) / 20:.2f} %" in printed
    assert {p.name for p in out.iterdir()} == {".lock", "attack.json", "adversarial.npz", "adversarial.png"}


def test_every_option_of_every_attack_is_explained_and_has_one_type() -> None:
    for option in ex.attack_options().values():
        assert not option.help.startswith(" "), f"{option.name} has no explanation"
        kinds = {kind_of(robust.ATTACKS[taker].options[option.name]) for taker in option.takers}
        assert kinds == {option.kind}, option.name


def test_options_reach_the_attack(run: Path, tmp_path: Path) -> None:
    moved = {}
    for p in ("1", "2", "inf"):
        out = tmp_path / p
        assert main(["attack", str(run), "--attack", "deepfool", "--p", p, "--out", str(out)]) == 0
        a = nn.load(out / "adversarial.npz")
        delta = (a["adversarial"] - a["images"]).reshape(60, -1)
        np.testing.assert_allclose(a["norms"], np.linalg.norm(delta, float(p), axis=1), rtol=1e-3)
        moved[p] = a["norms"].mean()
    assert moved["inf"] < moved["2"] < moved["1"]


def test_the_box_is_that_of_the_raw_pixels_and_the_network_sees_centred_ones(run: Path, tmp_path: Path) -> None:
    argv = ["attack", str(run), "--attack", "fgsm", "--epsilon", "30"]
    found = {}
    for name, box in (("free", []), ("boxed", ["--box", "0", "255"])):
        assert main([*argv, *box, "--out", str(tmp_path / name)]) == 0
        found[name] = nn.load(tmp_path / name / "adversarial.npz")
    mean = found["free"]["mean"]
    expected = (found["free"]["adversarial"] + mean).clip(0, 255) - mean
    np.testing.assert_allclose(found["boxed"]["adversarial"], expected, atol=1e-3)
    assert abs(found["free"]["adversarial"] - expected).max() > 1


def test_unit_pixels_have_the_unit_box_and_a_black_box_is_another_network_for_the_same_images(
    run: Path, unit_run: Path, tmp_path: Path, capsys: Any, error: Any
) -> None:
    argv = [unit_run, "--attack", "fgsm", "--epsilon", "0.1"]
    assert main(["attack", *map(str, argv), "--box", "0", "1", "--out", str(tmp_path / "unit")]) == 0
    assert "images in pixels 0 to 1, clipped to the box of pixels 0 to 1" in capsys.readouterr().out
    adversarial = nn.load(tmp_path / "unit" / "adversarial.npz")["adversarial"]
    assert (adversarial.min(), adversarial.max()) == (0, 1)
    message = error(
        "attack", run, "--attack", "fgsm", "--epsilon", "9", "--from", unit_run, "--out", tmp_path / "other"
    )
    assert "its images are prepared in another way" in message and "pixels in (0.0, 1.0)" in message
    message = error("attack", run, "--attack", "fgsm", "--epsilon", "9", "--from", run, "--out", tmp_path / "other")
    assert "is the network itself: that is a white-box attack, not transfer" in message
    assert not (tmp_path / "other").exists()


def test_images_crafted_on_another_run_are_tested_on_this_one(run: Path, tmp_path: Path, capsys: Any) -> None:
    other = train(tmp_path / "other", "data.n_test=60", "run.seed=1")
    argv = ["attack", str(run), "--attack", "fgsm", "--epsilon", "30"]
    assert main([*argv, "--out", str(tmp_path / "white")]) == 0
    capsys.readouterr()
    assert main([*argv, "--from", str(other), "--out", str(tmp_path / "black")]) == 0
    assert f"black box: crafted on {other}, tested on another network" in capsys.readouterr().out
    white, black = (nn.load(tmp_path / name / "adversarial.npz") for name in ("white", "black"))
    here, there = ex.from_run(run), ex.from_run(other)
    crafted = robust.fgsm(there.chosen("final"), white["images"], white["labels"], 30.0).adversarial.numpy()
    np.testing.assert_array_equal(black["adversarial"], crafted)
    np.testing.assert_array_equal(black["after"], robust.predict(here.chosen("final"), crafted))
    assert (white["after"] == white["labels"]).sum() < (black["after"] == black["labels"]).sum()


def test_bad_options_are_one_line_and_leave_nothing(run: Path, tmp_path: Path, error: Any) -> None:
    out = tmp_path / "out"
    for argv, message in (
        (["jsma"], "the attack 'jsma' needs --box: clip to the range of the pixels, such as 0 255"),
        (["jsma", "--box", "0", "100"], "pixels in [0, 100]"),
        (["jsma", "--box", "0", "255", "--gamma", "3"], "gamma is the share of the pixels"),
        (["fgsm", "--epsilon", "1", "--passes", "3"], "the attack 'fgsm' takes no --passes"),
        (["deepfool", "--p", "0.5"], "p ≥ 1"),
        (["deepfool", "--p", "1", "--mode", "coded"], "l2 code"),
        (["deepfool", "--resume"], "holds no attack that was stopped"),
        (["deepfool", "--probe", "9"], "probes have an l∞ size epsilon; deepfool has none"),
        (["deepfool", "--batch-size", "0"], "batch_size: expected at least 1, got 0"),
    ):
        assert message in error("attack", run, "--attack", *argv, "--out", out)
        assert not out.exists()


def test_probes_tell_a_masked_network_from_an_honest_one(run: Path, tmp_path: Path, capsys: Any) -> None:
    """Weights × 100 saturate the float32 softmax: with p - 1 for the gradient, the attack sees zeros."""
    state = nn.load(run / "reference.npz")
    nn.save(tmp_path / "masked.npz", state | {name: 100 * state[name] for name in ("fc2.weight", "fc2.bias")})
    given = ["--model", "mlp", "--data", "digits", "--set", "model.hidden=[12]", "--set", "data.n_train=200"]
    said = {}
    for name, weights in (("honest", run / "reference.npz"), ("masked", tmp_path / "masked.npz")):
        argv = ["attack", *given, "--weights", str(weights), "--n", "60", "--attack", "bim", "--epsilon", "25"]
        assert main([*argv, "--saturating", "--box", "0", "255", "--probe", "60", "--out", str(tmp_path / name)]) == 0
        said[name] = capsys.readouterr().out
        assert re.search(r"probe square fools \d+\.\d\d %", said[name])
    assert "warning" not in said["honest"]
    assert "warning: the gradient is exactly zero" in said["masked"]
    assert "warning: one step along the sign of the exact gradient fools more than the attack" in said["masked"]


# a second process

SLOW = ["--attack", "pgd", "--epsilon", "20", "--batch-size", "1", "--seed", "5", "--restarts", "1"]


def start(run: Path, out: Path, *argv: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    line = [sys.executable, "-m", "tinygrad2", "attack", str(run), *SLOW, "--out", str(out), *argv]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment)


def wait_for_parts(process: subprocess.Popen[str], out: Path, n: int) -> None:
    deadline = time.monotonic() + 100
    while len(list(out.glob("part-*.npz"))) < n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send this signal to another process")
def test_an_interrupted_attack_with_random_starts_goes_on_bit_for_bit(tmp_path: Path, error: Any) -> None:
    run = train(tmp_path / "run", "data.n_test=150")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main(["attack", str(run), *SLOW, "--out", str(whole)]) == 0
    for n, argv in ((5, ()), (40, ("--resume",))):
        process = start(run, out, *argv)
        wait_for_parts(process, out, n)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130 and "Traceback" not in err
        saved = len(list(out.glob("part-*.npz")))
        assert n <= saved < 150
        assert err.splitlines()[-1].endswith(f"{saved} of 150 batches are saved in {out}; go on by adding --resume")
    assert "holds an attack that was stopped; go on with it by --resume" in error("attack", run, *SLOW, "--out", out)
    changed = [*SLOW[:-1], "2"]
    message = error("attack", run, *changed, "--out", out, "--resume")
    assert "holds another attack: options is" in message and "'restarts': 2} here" in message
    process = start(run, out, "--resume")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    for name in ("adversarial.npz", "adversarial.png", "attack.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert {p.name for p in out.iterdir()} == {p.name for p in whole.iterdir()}
    assert "holds the result of an attack already" in error("attack", run, *SLOW, "--out", out, "--resume")


def test_random_choices_depend_on_the_seed_and_the_batch_alone(run: Path, tmp_path: Path) -> None:
    subject = ex.from_run(run)
    net, plan = subject.chosen("final"), ex.AttackPlan("pgd", {"epsilon": 9.0, "steps": 1}, seed=3, batch_size=20)
    first, again = (ex.attack(net, subject.dataset, plan, tmp_path / name) for name in "ab")
    other = ex.attack(net, subject.dataset, replace(plan, seed=4), tmp_path / "c")
    np.testing.assert_array_equal(first.arrays["adversarial"], again.arrays["adversarial"])
    assert (first.arrays["adversarial"] != other.arrays["adversarial"]).any()
    assert json.loads((tmp_path / "a" / "attack.json").read_text())["seed"] == 3
    second = slice(20, 40)
    alone = robust.pgd(
        net,
        subject.dataset.x_test[second],
        subject.dataset.y_test[second],
        9.0,
        steps=1,
        rng=np.random.default_rng([3, 1]),
    )
    np.testing.assert_array_equal(first.arrays["adversarial"][second], alone.adversarial.numpy())


def test_the_diagnostics_of_batches_add_up() -> None:
    note = lambda zero, change, probe, *warnings: robust.Diagnostic(zero, change, {"noise": probe}, warnings)
    both = merged([note(0.5, 1.0, 0.2, "masked"), note(0.0, 4.0, 0.8)], [10, 20], [2, 18])
    assert both is not None
    assert both.zero_gradients == pytest.approx(1 / 20) and both.loss_change == pytest.approx(3)
    assert both.probes["noise"] == pytest.approx(0.6) and both.warnings == ("masked (in 1 of 2 batches)",)
    assert merged([both, None], [1, 1], [1, 1]) is None
