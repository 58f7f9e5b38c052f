"""Defenses: what each trains on and does to the weights, written out in loops; a resumed run is the same run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS

from tinygrad2 import experiments as ex
from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor, grad
from tinygrad2.cli import main
from tinygrad2.experiments import training
from tinygrad2.experiments.phases import phases
from tinygrad2.ops import cross_entropy


def net_of(seed: int = 0, dropout: float = 0.0) -> nn.Sequential:
    """Input: (N, 1, 4, 4); 3 classes; float64."""
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        conv=nn.Conv2d(1, 5, 2, rng=rng, dtype=np.float64),
        relu=nn.ReLU(),
        flatten=nn.Flatten(),
        drop=nn.Dropout(dropout, rng=rng),
        fc=nn.Linear(45, 3, rng=rng, dtype=np.float64),
    )


def batch_of(seed: int, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(n, 1, 4, 4)), rng.integers(0, 3, n)


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def gradients(loss: Tensor, net: nn.Layer) -> dict[str, np.ndarray]:
    net.zero_grad()
    loss.backward()
    return {name: p.grad.numpy() for name, p in net.named_parameters()}


class Recorder(robust.Objective):
    """An objective that remembers what it was asked about."""

    def __call__(self, net, x, labels):
        object.__setattr__(self, "seen", (x.numpy(), np.array(labels), net.training))
        return super().__call__(net, x, labels)


# the objective


@pytest.mark.parametrize(("over", "off"), [("others", 0.1 / 2), ("all", 0.1 / 3)])
def test_label_smoothing_takes_from_the_true_class_what_it_gives(over, off):
    net, (x, y) = net_of(), batch_of(1)
    found = robust.Objective(label_smoothing=0.1, smoothing_over=over)(net, Tensor(x), y)["loss"].item()
    targets = np.full((8, 3), off)
    targets[np.arange(8), y] = 0.9 + (0.1 / 3 if over == "all" else 0)
    assert targets.sum(1) == pytest.approx(np.ones(8))
    assert found == pytest.approx(-(targets * log_softmax(net(x).numpy())).sum() / 8, rel=1e-12)


def test_the_sum_of_cross_entropies_is_the_mean_with_lam_divided_by_the_batch_size():
    net, (x, y) = net_of(), batch_of(2)
    penalty = robust.PENALTIES["jacobian_frobenius"]
    of_sum = gradients(robust.Objective(penalty, 0.7, "sum")(net, Tensor(x), y)["loss"], net)
    of_mean = gradients(robust.Objective(penalty, 0.7 / 8, "mean")(net, Tensor(x), y)["loss"], net)
    for name, g in of_mean.items():
        np.testing.assert_allclose(of_sum[name], 8 * g, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", robust.PENALTIES)
def test_every_penalty_can_be_added(name):
    net, (x, y) = net_of(), batch_of(3)
    options = {"rng": 5} if "rng" in robust.PENALTIES[name].options else {}
    penalty = lambda trace, labels: robust.PENALTIES[name](trace, labels, **options)
    losses = robust.Objective(penalty, 3.0)(net, Tensor(x), y)
    assert losses["cross_entropy"].item() == pytest.approx(cross_entropy(net(x), y).item(), rel=1e-12)
    assert losses["regularizer"].item() == pytest.approx(3 * penalty(net.trace(x), y).item(), rel=1e-12)
    assert losses["loss"].item() == pytest.approx(losses["cross_entropy"].item() + losses["regularizer"].item())


def test_layers_that_are_not_named_feel_the_cross_entropy_alone():
    net, (x, y) = net_of(), batch_of(4)
    plain = gradients(cross_entropy(net(x), y), net)
    penalty = robust.PENALTIES["jacobian_l1"]
    whole = gradients(robust.Objective(penalty, 2.0)(net, Tensor(x), y)["loss"], net)
    masked = gradients(robust.Objective(penalty, 2.0, layers=("fc",))(net, Tensor(x), y)["loss"], net)
    np.testing.assert_allclose(masked["conv.weight"], plain["conv.weight"], rtol=1e-10)
    np.testing.assert_allclose(masked["fc.weight"], whole["fc.weight"], rtol=1e-10)
    assert abs(whole["conv.weight"] - plain["conv.weight"]).max() > 1e-3
    deep = robust.DeepDefense(layers=("conv",)).losses(net, Tensor(x), y, np.arange(8))
    np.testing.assert_allclose(gradients(deep["loss"], net)["fc.weight"], plain["fc.weight"], rtol=1e-10)


def test_deep_defense_is_its_objective():
    net, (x, y) = net_of(), batch_of(5)
    losses = robust.DeepDefense(lam=3.0, mode="coded").losses(net, Tensor(x), y, np.arange(8))
    found = robust.deep_defense(net, x, y, lam=3.0, mode="coded")
    assert losses["loss"].item() == found.total.item()
    assert losses["regularizer"].item() == found.regularizer.item()


# adversarial training

double = lambda net, x, labels: x * 2  # an "attack" that can be recognised


@given(st.integers(1, 12), st.floats(0.05, 1), st.booleans(), SEEDS)
def test_the_batch_holds_the_share_of_attacked_images_with_their_own_labels(n, share, append, seed):
    net, (x, y) = net_of(), batch_of(seed, n)
    objective = Recorder()
    defense = robust.AdversarialTraining(double, objective, share=share, append=append, rng=seed)
    defense.losses(net, Tensor(x), y, np.arange(n))
    seen, labels, _ = objective.seen
    attacked = max(1, round(share * n))
    assert len(seen) == len(labels) == (n + attacked if append else n)
    kept = len(seen) - attacked
    for image, label in zip(seen[:kept], labels[:kept], strict=True):
        assert any((image == x[i]).all() and label == y[i] for i in range(n))
    for image, label in zip(seen[kept:], labels[kept:], strict=True):
        assert any((image == 2 * x[i]).all() and label == y[i] for i in range(n))
    originals = np.concatenate([seen[:kept], seen[kept:] / 2]) if not append else seen[:kept]
    np.testing.assert_array_equal(np.sort(originals.ravel()), np.sort(x.ravel()))  # each image once


def test_adversarial_training_ii_appends_fgsm_images_inside_the_box():
    net, (x, y) = net_of(), batch_of(6)
    fgsm = lambda net, x, labels: robust.fgsm(net, x, labels, 0.3, box=(0.0, 1.0)).adversarial
    objective = Recorder()
    loss = robust.AdversarialTraining(fgsm, objective).losses(net, Tensor(x), y, np.arange(8))["loss"].item()
    signs = np.sign(grad(lambda x: cross_entropy(net(x), y))(Tensor(x)).numpy())
    expected = np.concatenate([x, (x + 0.3 * signs).clip(0, 1)])
    np.testing.assert_allclose(objective.seen[0], expected, atol=1e-15)
    both = -log_softmax(net(expected).numpy())[np.arange(16), np.concatenate([y, y])]
    assert loss == pytest.approx(both.mean(), rel=1e-12)


def test_attacks_meet_the_net_in_eval_mode_and_training_goes_on_in_train_mode():
    net, (x, y) = net_of(dropout=0.5).train(), batch_of(7)
    modes = []
    craft = lambda net, x, labels: (modes.append(net.training), x)[1]
    objective = Recorder()
    robust.AdversarialTraining(craft, objective).losses(net, Tensor(x), y, np.arange(8))
    assert modes == [False]
    assert objective.seen[2] is True
    assert all(layer.training for _, layer in net.named_layers())


def test_what_was_crafted_is_a_constant():
    net, (x, y) = net_of(), batch_of(8)
    through = lambda net, x, labels: x + net(x).sum() * 0.1
    losses = robust.AdversarialTraining(through, append=False).losses(net, Tensor(x), y, np.arange(8))
    fixed = Tensor(x + 0.1 * net(x).numpy().sum())
    expected = gradients(cross_entropy(net(fixed), y), net)
    for name, g in gradients(losses["loss"], net).items():
        np.testing.assert_allclose(g, expected[name], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        robust.AdversarialTraining(double, share=share)


def test_the_fixed_set_is_made_once_by_the_first_network():
    net, (x, y) = net_of(), batch_of(9, 20)
    x, objective = x.astype(np.float64), Recorder()
    expected = robust.deepfool(net, x, y, max_iter=50).adversarial.numpy()
    defense = robust.FixedAdversarialSet(objective)
    defense.start(net, x, y)
    net["fc"].weight.data = -net["fc"].weight.numpy()  # another network: the images stay
    index = np.array([3, 17, 4])
    defense.losses(net, Tensor(x[index]), y[index], index)
    np.testing.assert_allclose(objective.seen[0], np.concatenate([x[index], expected[index]]), rtol=1e-10)
    again = robust.FixedAdversarialSet()
    again.load_arrays(defense.arrays())
    assert again.images.tobytes() == defense.images.tobytes()


# Parseval


@given(SEEDS, st.floats(1e-5, 0.5))
def test_parseval_leaves_orthonormal_rows_where_they_are(seed, beta):
    w = np.linalg.qr(np.random.default_rng(seed).standard_normal((8, 5)))[0].T.copy()
    moved = robust.parseval_step(Tensor(w), np.arange(5), beta).numpy()
    np.testing.assert_allclose(moved, w, atol=1e-13)


@given(SEEDS, st.sampled_from([(6, 4), (6, 2, 3, 3)]))
def test_parseval_is_its_formula_on_the_chosen_rows_of_the_unfolding(seed, shape):
    rng = np.random.default_rng(seed)
    w, rows = rng.standard_normal(shape), rng.permutation(6)[:3]
    expected = w.reshape(6, -1).copy()
    s = expected[rows].copy()
    expected[rows] = 1.1 * s - 0.1 * s @ s.T @ s
    np.testing.assert_allclose(robust.parseval_step(Tensor(w), rows, 0.1).numpy(), expected.reshape(shape), atol=1e-12)


def test_repeated_parseval_steps_end_at_w_wt_equal_to_i():
    net = net_of()
    defense = robust.Parseval(beta=0.2, share=1.0)
    for _ in range(300):
        defense.after_step(net)
    w = net["fc"].weight.numpy()
    np.testing.assert_allclose(w @ w.T, np.eye(3), atol=1e-10)


def test_parseval_moves_the_share_of_rows_and_no_bias():
    net = net_of()
    before = {name: p.numpy().copy() for name, p in net.named_parameters()}
    robust.Parseval(beta=0.1, share=0.4).after_step(net)
    moved = {n: (p.numpy() != before[n]).reshape(len(p), -1).any(1).sum() for n, p in net.named_parameters()}
    assert moved == {"conv.weight": 2, "conv.bias": 0, "fc.weight": 1, "fc.bias": 0}


# the smooth gradient method


def visit(defense, net, x, y, index):
    """One step of the loop, with an optimizer that moves the weights before the defense is told."""
    net.zero_grad()
    losses = defense.losses(net, Tensor(x[index]), y[index], index)
    losses["loss"].backward()
    net["fc"].weight.data = net["fc"].weight.numpy() * 1.5
    defense.after_step(net)
    return losses["loss"].item()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_visited_images_climb_by_exactly_the_rate_times_their_own_gradient(reduction):
    net, (x, y) = net_of(), batch_of(10, 9)
    original, index = x.copy(), np.array([7, 2, 5])
    own = [grad(lambda v, i=i: cross_entropy(net(v), y[[i]]))(Tensor(x[[i]])).numpy()[0] for i in index]
    defense = robust.SmoothGradient(robust.Objective(reduction=reduction), rate=0.2)
    defense.start(net, x, y)
    visit(defense, net, x, y, index)
    np.testing.assert_allclose(defense.images[index], original[index] + 0.2 * np.array(own), rtol=1e-11, atol=1e-14)
    others = np.setdiff1d(np.arange(9), index)
    np.testing.assert_array_equal(defense.images[others], original[others])
    np.testing.assert_array_equal(x, original)  # the data set of the caller stays


def test_the_next_visit_sees_the_images_where_they_were_left():
    net, (x, y) = net_of(), batch_of(11, 6)
    index, defense = np.arange(6), robust.SmoothGradient(rate=0.5)
    defense.start(net, x, y)
    visit(defense, net, x, y, index)
    expected = cross_entropy(net(defense.images), y).item()
    assert visit(defense, net, x, y, index) == pytest.approx(expected, rel=1e-12)


def test_noise_has_mean_zero_and_the_given_deviation():
    net, (x, y) = net_of(), batch_of(12, 2000)
    quiet, noisy = robust.SmoothGradient(rate=0.1), robust.SmoothGradient(rate=0.1, noise=0.05)
    for defense in (quiet, noisy):
        defense.start(net, x, y)
        visit(defense, net_of(), x, y, np.arange(2000))
    added = noisy.images - quiet.images
    assert abs(added.mean()) < 5 * 0.05 / np.sqrt(added.size)
    assert added.std() == pytest.approx(0.05, rel=0.02)


# in the training loop

LOOP = [
    "data.name=digits", "data.n_train=150", "data.n_test=40", "data.pixels=unit", "model.hidden=[12]",
    "run.batch_size=50", "run.checkpoint_every=2", "reference.epochs=1", "defense.epochs=2", "eval.n_curve=0",
    "defense.optimizer=adam",
]  # fmt: skip
DEFENDED = {
    "smooth-gradient": ["smooth.noise=0.1"],
    "adversarial": ["adversarial.share=0.5", "adversarial.attack=pgd", "adversarial.steps=2"],
    "adversarial-fixed+jacobian_l1": ["adversarial.share=0.3", "adversarial.append=false"],
    "parseval+projected_frobenius": ["parseval.beta=0.01"],
    "logit_margin": ["defense.layers=['fc1']"],
    "none": ["defense.label_smoothing=0.1"],
    "deep-defense": [],
}


@pytest.mark.parametrize("name", DEFENDED)
def test_a_defended_run_stopped_at_any_step_goes_on_bit_for_bit(tmp_path, monkeypatch, name):
    """Of 3 reference and 2·3 defended steps: stopped after every single one, by the command line."""
    settings = [part for s in [*LOOP, *DEFENDED[name]] for part in ("--set", s)]
    argv = ["train", "--defense", name, *settings, "--out"]
    assert main([*argv, str(tmp_path / "whole")]) == 0
    step = training._Training._step

    def stopping(self, phase, batch):
        note = step(self, phase, batch)
        self.stop.append(2)  # as SIGINT does
        return note

    monkeypatch.setattr(training._Training, "_step", stopping)
    codes = [main([*argv, str(tmp_path / "parts")])]
    while codes[-1] == 130:
        codes.append(main(["train", "--out", str(tmp_path / "parts"), "--resume"]))
    assert codes == [130] * 9 + [0]
    for file in ("final.npz", "metrics.jsonl", "config.toml"):
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_no_defense_is_training_that_goes_on(tmp_path):
    """Without a reference phase of its own it is the reference phase under another name."""
    sets = [s for s in LOOP if not s.startswith(("reference", "defense"))]
    alike = "optimizer=adam", "epochs=3", "lr=0.002", "weight_decay=0.0", "drops=[0.5]", "factor=0.1"
    one = [f"reference.{s}" for s in alike] + ["defense.epochs=0"]
    other = [f"defense.{s}" for s in alike] + ["reference.epochs=0", "defense.name=none"]
    ex.train(ex.resolve(sets=[*sets, *one]), tmp_path / "one")
    ex.train(ex.resolve(sets=[*sets, *other]), tmp_path / "other")
    assert (tmp_path / "one" / "reference.npz").read_bytes() == (tmp_path / "other" / "final.npz").read_bytes()


def test_every_defense_can_be_named_and_is_of_its_class():
    for name, kind in robust.DEFENSES.items():
        _, phase = phases(ex.resolve(sets=ex.defended(name)), box=None)
        assert type(phase.defense) is kind
        assert phase.name == name


def test_held_out_images_are_not_trained_on_and_end_the_training(tmp_path, monkeypatch):
    sets = [*LOOP, "defense.name=none", "data.n_validation=60", "reference.epochs=0", "defense.epochs=30"]
    config = ex.resolve(sets=[*sets, "defense.settle=1.0", "defense.lr=0.0"])
    visited, step = set(), training._Training._step
    note = lambda self, phase, batch: (visited.update(batch.tolist()), step(self, phase, batch))[1]
    monkeypatch.setattr(training._Training, "_step", note)
    ex.train(config, tmp_path / "run")
    assert visited == set(range(90))
    epochs = [e for e in ex.Folder(tmp_path / "run").metrics() if e["kind"] == "epoch" and e["phase"] == "none"]
    assert [e["epoch"] for e in epochs] == [*range(1, 12)]  # the first after ten
    net, images = ex.from_run(tmp_path / "run").nets["no defense"], ex.from_run(tmp_path / "run").dataset
    assert epochs[-1]["validation"] == robust.accuracy(net, images.x_train[90:], images.y_train[90:])


def test_the_learning_rate_falls_where_the_validation_accuracy_does_not_rise(tmp_path):
    sets = ["data.n_validation=60", "reference.epochs=0", "defense.epochs=5", "defense.drops=[]", "defense.lr=1e-9"]
    config = ex.resolve(sets=[*LOOP, *sets, "defense.name=none", "defense.patience=2", "run.log_every=1"])
    ex.train(config, tmp_path / "run")
    rates = [e["lr"] for e in ex.Folder(tmp_path / "run").metrics() if e["kind"] == "steps"]
    assert rates[::2] == pytest.approx([1e-9, 1e-9, 1e-9, 5e-10, 5e-10])


def test_unit_pixels_are_attacked_inside_their_box(tmp_path):
    config = ex.resolve(sets=[*LOOP, "defense.name=none", "eval.epsilons=[0.0, 0.4]", "eval.attacks=['fgsm', 'bim']"])
    table = ex.finish(config, tmp_path / "run", ex.train(config, tmp_path / "run"))
    subject = ex.from_run(tmp_path / "run")
    x, y = subject.dataset.x_test, subject.dataset.y_test
    assert (x.min(), x.max()) == (0, 1)
    for name, net in subject.nets.items():
        found = robust.fgsm(net, x, y, 0.4, box=(0.0, 1.0))
        assert table.under[name]["fgsm"] == {
            0.0: table.rows[name].accuracy,
            0.4: pytest.approx(1 - found.success.mean()),
        }
        assert table.under[name]["bim"][0.4] <= table.under[name]["fgsm"][0.4]
    assert "fgsm 0.4" in str(table)


WRONG = [
    (["--defense", "jacobean_l1"], "unknown defense 'jacobean_l1' (did you mean 'jacobian_l1'?)"),
    (["--defense", "adversarial+none+logits"], "unknown defense 'logits'"),
    (["--defense", "parsival"], "did you mean 'parseval'?"),
    (["--defense", "deep-defense+jacobian_l1"], "deep-defense has an objective of its own"),
    (
        ["--defense", "jacobian_l1", "--set", "penalty.squared=true"],
        "penalty.squared: 'jacobian_l1' has no such option",
    ),
    (["--defense", "adversarial", "--set", "adversarial.steps=3"], "adversarial.steps: 'fgsm' has no such option"),
    (["--defense", "adversarial", "--set", "adversarial.attack=fgms"], "did you mean 'fgsm'?"),
    (["--defense", "none", "--set", "defense.settle=1e-4"], "defense.settle needs a validation set"),
    (["--defense", "none", "--set", "defense.layers=['fc1']"], "there is no penalty"),
    (["--defense", "jacobian_l1", "--set", "defense.layers=['fc7']"], "no layer 'fc7' has parameters"),
    (["--defense", "none", "--set", "data.n_validation=150"], "expected fewer than the 150 training images, got 150"),
    (["--set", "defense.optimizer=adam", "--set", "defense.momentum=0.5"], "'adam' has no momentum; leave it out"),
    (["--set", "data.pixels=units"], "did you mean 'unit'?"),
    (["--set", "eval.attacks=['bmi']"], "did you mean 'bim'?"),
]


@pytest.mark.parametrize(("argv", "message"), WRONG)
def test_a_defense_that_cannot_be_is_one_line_and_leaves_nothing(tmp_path, capsys, argv, message):
    small = [part for s in ("data.name=digits", "data.n_train=150") for part in ("--set", s)]
    assert main(["train", *small, *argv, "--out", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
