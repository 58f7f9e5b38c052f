"""The training loop in one process: what a run leaves, when it stops, and that its figures can be read."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import threading
import zlib
from dataclasses import replace

import numpy as np
import pytest

from tinygrad2 import experiments as ex
from tinygrad2 import nn
from tinygrad2.experiments import figures, progress, training

SMALL = [
    "data.name=digits",
    "data.n_train=300",
    "data.n_test=100",
    "model.hidden=[20]",
    "reference.epochs=3",
    "defense.epochs=2",
    "run.log_every=2",
    "run.checkpoint_every=2",
]


def small(*sets: str) -> ex.Config:
    return ex.resolve(sets=[*SMALL, *sets])


def stop_after(monkeypatch, steps: int) -> list[int]:
    """Let training be asked to stop after so many steps. Result: a list that gets longer at each step taken."""
    taken: list[int] = []
    step = training._Training._step

    def stopping(self, phase, batch):
        note = step(self, phase, batch)
        taken.append(1)
        if len(taken) == steps:
            self.stop.append(2)  # as SIGINT does
        return note

    monkeypatch.setattr(training._Training, "_step", stopping)
    return taken


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "small"
    seconds = ex.train(small(), out)
    ex.finish(small(), out, seconds)
    return ex.Folder(out)


def test_a_run_leaves_what_it_promises(finished):
    assert {p.name for p in finished.path.iterdir()} == {
        ".lock", "config.toml", "metrics.jsonl", "checkpoint.npz", "reference.npz", "final.npz",
        "result.json", "curves.png", "perturbations.png",
    }  # fmt: skip
    assert finished.config() == small()


def test_metrics_have_one_line_an_epoch_and_one_every_few_steps(finished):
    lines = finished.metrics()
    epochs = [(e["phase"], e["epoch"]) for e in lines if e["kind"] == "epoch"]
    assert epochs == [*(("reference", i) for i in range(4)), ("deep-defense", 1), ("deep-defense", 2)]
    assert [e["step"] for e in lines if e["kind"] == "steps" and e["phase"] == "deep-defense"] == [2, 3, 2, 3]
    for e in lines:
        if e["kind"] == "steps" and e["phase"] == "deep-defense":
            assert e["loss"] == pytest.approx(e["cross_entropy"] + e["regularizer"], rel=1e-5)


def test_the_learning_rate_falls_when_the_paper_says(tmp_path):
    ex.train(small("reference.epochs=0", "defense.epochs=5", "data.n_train=100", "run.log_every=1"), tmp_path / "run")
    rates = [e["lr"] for e in ex.Folder(tmp_path / "run").metrics() if e["kind"] == "steps"]
    assert rates == [5e-4] * 4 + [2.5e-4]


def test_fine_tuning_starts_from_the_reference_and_moves_it(finished):
    reference, final = nn.load(finished / "reference.npz"), nn.load(finished / "final.npz")
    assert reference.keys() == final.keys()
    assert all((reference[k] != final[k]).any() for k in reference)


def test_the_result_says_what_was_measured_and_with_what(finished):
    result = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    assert list(result["rows"]) == ["Reference", "Deep Defense"]
    assert result["rows"]["Deep Defense"]["fgs"]["1"] <= 0.5  # the definition of ε_ref
    assert result["test_images"] == 100
    assert result["seconds"].keys() == {"reference", "deep-defense"}
    assert result["versions"]["numpy"] == np.__version__
    assert result["variables"].items() <= os.environ.items()
    assert {name for name in os.environ if name.startswith(("OMP_", "OPENBLAS_"))} <= result["variables"].keys()
    curve = [e for e in finished.metrics() if e["kind"] == "epoch"][-1]
    assert result["rows"]["Deep Defense"]["accuracy"] == curve["accuracy"]
    assert result["rows"]["Deep Defense"]["rho2"] == pytest.approx(curve["rho2"], rel=1e-6)


def test_the_same_run_has_the_same_bits_and_another_seed_has_not(finished, tmp_path):
    ex.train(small(), tmp_path / "again")
    ex.train(small("run.seed=1"), tmp_path / "other")
    for name in ("reference.npz", "final.npz", "metrics.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != (finished / name).read_bytes()


@pytest.mark.parametrize("sets", [["data.pixels=whitened"], ["data.augment=jitter"]])
def test_images_prepared_differently_train_another_network_that_repeats_itself(finished, tmp_path, sets):
    for name in "ab":
        ex.train(small(*sets), tmp_path / name)
    a, b, plain = (nn.load(folder / "reference.npz") for folder in (tmp_path / "a", tmp_path / "b", finished))
    assert all(a[k].tobytes() == b[k].tobytes() for k in a)
    assert any(a[k].tobytes() != plain[k].tobytes() for k in a)


def test_an_augmented_run_goes_on_with_the_images_it_would_have_drawn(tmp_path, monkeypatch):
    config = small("data.augment=elastic", "defense.epochs=0")
    ex.train(config, tmp_path / "whole")
    stop_after(monkeypatch, 5)
    with pytest.raises(ex.Interrupted):
        ex.train(config, tmp_path / "run")
    ex.train(config, tmp_path / "run", resume=True)
    whole, resumed = (nn.load(tmp_path / name / "final.npz") for name in ("whole", "run"))
    assert all(whole[k].tobytes() == resumed[k].tobytes() for k in whole)


def test_the_smooth_gradient_methods_moving_images_are_not_augmented(tmp_path):
    with pytest.raises(ValueError, match=r"data.augment: smooth-gradient trains on images of its own"):
        ex.train(small("data.augment=jitter", "defense.name=smooth-gradient"), tmp_path / "run")


@pytest.mark.parametrize("steps", [1, 4, 9, 10, 13, 15])
def test_a_run_stopped_at_any_step_goes_on_bit_for_bit(finished, tmp_path, monkeypatch, steps):
    """Of 3·3 reference and 2·3 fine-tuning steps."""
    taken = stop_after(monkeypatch, steps)
    with pytest.raises(ex.Interrupted, match="--resume"):
        ex.train(small(), tmp_path / "run")
    ex.train(small(), tmp_path / "run", resume=True)
    assert len(taken) == 15
    for name in ("reference.npz", "final.npz", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_dropout_continues_with_the_masks_it_would_have_drawn(tmp_path, monkeypatch):
    def dropping(in_features, classes, *, rng):
        return nn.Sequential(
            flatten=nn.Flatten(), drop=nn.Dropout(0.5, rng=rng), fc=nn.Linear(in_features, classes, rng=rng)
        )

    monkeypatch.setitem(nn.models.MODELS, "dropping", dropping)
    config = ex.resolve(sets=[*(s for s in SMALL if "hidden" not in s), "model.name=dropping"])
    ex.train(config, tmp_path / "whole")
    epoch = training._Training._epoch
    monkeypatch.setattr(training._Training, "_epoch", lambda self, phase: (self.stop.append(2), epoch(self, phase)))
    with pytest.raises(ex.Interrupted):
        ex.train(config, tmp_path / "parts")
    monkeypatch.setattr(training._Training, "_epoch", epoch)
    ex.train(config, tmp_path / "parts", resume=True)
    assert (tmp_path / "parts" / "final.npz").read_bytes() == (tmp_path / "whole" / "final.npz").read_bytes()


@pytest.mark.parametrize(
    ("sets", "where"),
    [
        (["reference.optimizer=sgd", "reference.lr=1e30"], "reference: the loss is"),
        (["reference.epochs=0", "defense.lr=1e30"], "deep-defense: the loss is"),
    ],
)
def test_a_loss_that_is_not_finite_stops_with_step_layer_and_advice(tmp_path, sets, where):
    with pytest.raises(ex.Diverged) as error:
        ex.train(small(*sets), tmp_path / "run")
    message = str(error.value)
    assert where in message
    assert "epoch 1, step 2" in message
    assert "output of layer 'fc" in message
    assert "Lower the learning rate" in message
    saved = tmp_path / "run" / "checkpoint.npz"
    assert not saved.exists() or all(np.isfinite(a).all() for k, a in nn.load(saved).items() if k != "scalars")


def test_a_last_step_that_leaves_the_numbers_is_noticed_too(tmp_path):
    sets = [
        "data.n_train=100",
        "reference.optimizer=sgd",
        "reference.lr=1e38",
        "defense.epochs=0",
        "reference.epochs=1",
    ]
    with pytest.raises(ex.Diverged, match=r"'fc1.weight' is not finite after epoch 1\. Lower the learning rate"):
        ex.train(small(*sets), tmp_path / "run")
    assert not (tmp_path / "run" / "reference.npz").exists()


def test_the_first_layer_that_is_not_finite_is_named_through_nested_containers():
    net = nn.Sequential(a=nn.Linear(2, 2), b=nn.Sequential(c=nn.Linear(2, 2), d=nn.Linear(2, 2)), e=nn.Linear(2, 2))
    assert training.first_not_finite(net, training.Tensor(np.ones((1, 2), np.float32))) == ""
    net["b"]["d"].bias.data = np.array([0, np.nan], np.float32)
    assert training.first_not_finite(net, training.Tensor(np.ones((1, 2), np.float32))) == "b.d"


def test_two_processes_cannot_work_in_one_folder(tmp_path):
    folder = ex.Folder(tmp_path / "run")
    with folder.opened(small(), resume=False), pytest.raises(BlockingIOError, match="in use by another process"):
        ex.train(small(), folder.path, resume=True)


def test_a_run_can_be_trained_outside_the_main_thread(tmp_path):
    worker = threading.Thread(target=ex.train, args=(small("defense.epochs=0"), tmp_path / "run"))
    worker.start()
    worker.join()
    assert (tmp_path / "run" / "final.npz").exists()


def test_without_a_defense_the_table_has_one_row(tmp_path):
    config = small("defense.epochs=0", "eval.n_curve=0")
    table = ex.finish(config, tmp_path / "run", ex.train(config, tmp_path / "run"))
    assert list(table.rows) == ["Reference"]
    assert all("rho2" not in e for e in ex.Folder(tmp_path / "run").metrics())
    assert decode(tmp_path / "run" / "curves.png").ndim == 3


def test_a_network_that_fgs_cannot_move_is_not_called_robust(finished):
    """Where FGS saturates p - 1 rounds to 0, and sign(0) = 0 moves nothing; the exact signs still do."""
    subject = ex.from_run(finished.path)
    net = subject.nets["Deep Defense"]
    for name in ("weight", "bias"):
        p = getattr(net["fc2"], name)
        p.data = p.numpy() * np.float32(1e4)
    assert ex.table({"loud": net}, subject.dataset, subject.config.eval).motionless["loud"] == 0
    table = ex.table({"loud": net}, subject.dataset, replace(subject.config.eval, saturating=True))
    assert table.epsilon_ref is None
    assert table.rows["loud"].fgs == {}
    assert table.motionless["loud"] > 0.5
    assert table.rows["loud"].rho2 < 0.5  # which does not depend on the scale of the logits
    assert f"loud: FGS cannot move {100 * table.motionless['loud']:.2f} % of the images" in str(table)
    assert json.loads(json.dumps(table.values()))["epsilon_ref"] is None


def test_weights_from_a_file_are_the_reference(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD2_DATA", str(finished.path))
    config = small('reference.weights="reference.npz"')
    ex.train(config, tmp_path / "run")
    assert (tmp_path / "run" / "reference.npz").read_bytes() == (finished / "reference.npz").read_bytes()
    assert (tmp_path / "run" / "final.npz").exists()


def decode(path) -> np.ndarray:
    """The pixels (H, W, channels) of a PNG without interlacing, by zlib alone; every checksum is verified."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    assert (depth, kind) == (8, b"IEND")
    raw = np.frombuffer(zlib.decompress(packed), np.uint8)
    return raw.reshape(height, -1)[:, 1:].reshape(height, width, {2: 3, 6: 4}[colour])


@pytest.mark.parametrize("name", ["curves.png", "perturbations.png"])
def test_figures_are_whole_pictures_with_something_in_them(finished, name):
    pixels = decode(finished / name)
    assert min(pixels.shape[:2]) > 400
    assert len(np.unique(pixels[..., :3].reshape(-1, 3), axis=0)) > 50


def test_a_figure_that_cannot_be_finished_leaves_nothing(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *args, **options: (args[1].write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        figures.curves(finished.metrics(), "Deep Defense", tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinygrad2\[lab\]'"):
        figures.require()


def test_progress_tells_rate_and_time_left_in_plain_lines(monkeypatch, capsys):
    now = iter(np.arange(0.0, 1000.0, 6.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    assert list(progress.Track(range(4), 10, "work", done=6)) == [0, 1, 2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["work: 8/10, 0.167/s, 0:12 left", "work: 10/10, 0.167/s, 0:00 left"]


def test_progress_is_a_bar_where_a_person_watches(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    track = progress.Track(range(4), 10, "work", done=6)
    for item in track:
        track.note = f"loss {item}"
    assert progress.sys.stderr.getvalue().count("work:") >= 1
    assert re.search(r"6/10|10/10", progress.sys.stderr.getvalue())


def test_demo_makes_the_network_harder_to_fool_at_no_loss_of_accuracy(tmp_path):
    config = ex.resolve("demo")
    table = ex.finish(config, tmp_path / "demo", ex.train(config, tmp_path / "demo"))
    reference, defended = table.rows["Reference"], table.rows["Deep Defense"]
    assert reference.accuracy > 0.95
    assert defended.accuracy >= reference.accuracy
    assert defended.rho2 > 1.5 * reference.rho2
    assert all(defended.fgs[share] > reference.fgs[share] for share in reference.fgs)
