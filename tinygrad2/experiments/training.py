"""The training loop: a reference network, then its fine-tuning, phases that can stop at any step and go on bit for bit.

Everything that the next step depends on is in the checkpoint: phase, epoch, step, parameters, optimizer, generators,
running sums. The order of the images is a function of (seed, epoch), so a resumed run skips the batches that are done.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from tinygrad2 import data, nn, robust
from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.data import Dataset
from tinygrad2.experiments.building import build_net, first_weights, load_data, load_weights
from tinygrad2.experiments.config import brought, difference, to_values
from tinygrad2.experiments.folder import AFRESH, Folder, Journal
from tinygrad2.experiments.interrupts import Interrupted, stop_requests
from tinygrad2.experiments.phases import Phase, phases
from tinygrad2.experiments.progress import Track, over_batches, say
from tinygrad2.experiments.settings import Config
from tinygrad2.nn import Layer
from tinygrad2.nn.rng import plain, rng_state, set_rng_state
from tinygrad2.nn.schedules import plateau, settled, step
from tinygrad2.robust.evaluation import inside


class Diverged(ValueError):
    """The loss or a gradient is NaN or infinite."""


GO_ON = "tinygrad2 train --out {} --resume"


@dataclass(frozen=True)
class Experiment:
    """What is trained, and with what.

    brought: the hashes of what the user brought, by name; a run goes on only with the same
    again: how to go on with a run that was stopped, in words
    """

    config: Config
    dataset: Dataset
    net: Layer
    phases: list[Phase]
    brought: dict[str, str]
    again: str


@dataclass
class State:
    """Where the run is: phase number, epochs and steps done in it, sums over the steps since the last metrics."""

    phase: int
    epoch: int
    step: int
    sums: dict[str, float]
    journal_size: int
    seconds: dict[str, float]  # wall time of each phase, measurements included
    validation: list[float] = field(default_factory=list)  # accuracy after each epoch of the phase


def train(
    config: Config, out: str | os.PathLike[str], resume: bool = False, dataset: Dataset | None = None
) -> dict[str, float]:
    """Run the experiment, or go on with it, in the folder `out`. Result: the wall time of each phase, in seconds.

    dataset: the images of the configuration, where they are loaded already.
    Raises Interrupted after Ctrl-C or SIGTERM, when the step is done and saved; Diverged at a loss that is not finite.
    """
    folder = Folder(out)
    folder.check(config, resume)
    if dataset is None:
        dataset = load_data(config)
    net = build_net(config, dataset)
    planned = phases(config, dataset.box)
    weights = first_weights(config)
    if weights is not None and folder.load_state() is None:
        load_weights(net, weights)
    return run(Experiment(config, dataset, net, planned, brought(config), GO_ON.format(out)), folder, resume)


def run(experiment: Experiment, folder: Folder, resume: bool) -> dict[str, float]:
    """Train the network of the experiment in the folder, or go on with it. See `train`."""
    quiet = np.errstate(over="ignore", invalid="ignore")  # the loop looks for what is not finite itself, and says where
    with folder.opened(experiment.config, resume), stop_requests() as stop, quiet:
        return _Training(experiment, folder, stop).run()


class _Training:
    """One process's share of a run."""

    def __init__(self, experiment: Experiment, folder: Folder, stop: list[int]) -> None:
        self.config = experiment.config
        self.folder = folder
        self.dataset = experiment.dataset
        self.net = experiment.net
        self.phases = experiment.phases
        self.again = experiment.again
        self.stop = stop
        self.made_of = json.loads(json.dumps({**to_values(experiment.config), **experiment.brought}))
        self.n_train = len(self.dataset.x_train) - self.config.data.n_validation
        self.state = State(0, 0, 0, {}, 0, {})
        self.since = time.monotonic()
        self.optimizer = self._optimizer()
        self._restore()

    def run(self) -> dict[str, float]:
        """The phases that are left. Result: wall times."""
        with Journal(self.folder / "metrics.jsonl", self.state.journal_size) as self.journal:
            while self.state.phase < len(self.phases):
                phase = self.phases[self.state.phase]
                self.net.train(phase.defense.training)
                if self.state.phase == self.state.epoch == self.state.step == 0:
                    self._measure(phase)  # later phases start where the one before was measured
                if phase.settings.epochs and self.state.epoch == self.state.step == 0:
                    x = self.dataset.x_train[: self.n_train]
                    y = self.dataset.y_train[: self.n_train]
                    phase.defense.start(self.net, x, y, over_batches(f"{phase.name}: preparing"))
                while self.state.epoch < phase.settings.epochs and not self._settled(phase):
                    self._epoch(phase)
                self._keep(phase)
                self._next_phase()
        if not (self.folder / "final.npz").exists():  # somebody removed it; the last checkpoint is that network
            self._keep(self.phases[-1])
        return self.state.seconds

    def _keep(self, phase: Phase) -> None:
        """Write the network that a phase ends with."""
        name = "reference.npz" if phase.name == "reference" else "final.npz"
        nn.save(self.folder / name, inside(self.net).state_dict())

    def _epoch(self, phase: Phase) -> None:
        """The rest of the current epoch, then its measurements and a checkpoint."""
        s = phase.settings
        run = self.config.run
        n_steps = -(-self.n_train // run.batch_size)
        self.optimizer.lr = s.lr * step(self.state.epoch, [share * s.epochs for share in s.drops], s.factor)
        if s.patience is not None:
            self.optimizer.lr *= plateau(self.state.validation, s.factor, s.patience)
        # Each phase sees an order of its own.
        order = data.batches(self.n_train, run.batch_size, run.seed, self._epochs_before() + self.state.epoch)
        left = islice(order, self.state.step, None)
        track = Track(left, n_steps, f"{phase.name} epoch {self.state.epoch + 1}/{s.epochs}", self.state.step)
        for batch in track:
            track.note = self._step(phase, batch)
            if self.stop:
                self._save()
                raise self._interrupted()
            if self.state.step % run.checkpoint_every == 0 and self.state.step < n_steps:
                self._save()
        self._check_network(phase)
        self._log(phase)
        self.state.epoch += 1
        self.state.step = 0
        self._measure(phase)
        self._save()
        if self.stop:
            raise self._interrupted()

    def _step(self, phase: Phase, batch: np.ndarray) -> str:
        """One step of the optimizer. Result: a note for the progress line."""
        run = self.config.run
        images = self.dataset
        seed = [run.seed, self._epochs_before() + self.state.epoch, self.state.step]  # as for the order of the images
        augmented = data.augment(images, self.config.data.augment, images.x_train[batch], seed)
        x = Tensor(augmented).to(run.device)
        labels = images.y_train[batch]
        self.optimizer.zero_grad()
        losses = phase.defense.losses(self.net, x, labels, batch)
        values = {name: loss.item() for name, loss in losses.items()}
        losses["loss"].backward()
        self._check_finite(phase, x, values["loss"])
        self.optimizer.step()
        phase.defense.after_step(self.net)
        self.state.step += 1
        sums = self.state.sums
        for name, value in {**values, "steps": 1}.items():
            sums[name] = sums.get(name, 0) + value
        if self.state.step % run.log_every == 0:
            self._log(phase)
        return f"loss {values['loss']:.4f}"

    def _log(self, phase: Phase) -> None:
        """The means since the last line of metrics."""
        steps = self.state.sums.pop("steps", 0)
        if steps:
            means = {name: total / steps for name, total in self.state.sums.items()}
            where = {"phase": phase.name, "epoch": self.state.epoch, "step": self.state.step}
            self.journal.write(kind="steps", **where, lr=self.optimizer.lr, **means)
        self.state.sums = {}

    def _measure(self, phase: Phase) -> None:
        """Accuracy on the test images, and ρ₂ on the first of them."""
        images = self.dataset
        e = self.config.eval
        self.net.eval()
        entry = {"accuracy": robust.accuracy(self.net, images.x_test, images.y_test)}
        if self.config.data.n_validation:
            held_out = images.x_train[self.n_train :], images.y_train[self.n_train :]
            entry["validation"] = robust.accuracy(self.net, *held_out)
            if self.state.epoch:
                self.state.validation.append(entry["validation"])
        if n := min(e.n_curve, len(images.x_test)):
            ratios = robust.rho(self.net, images.x_test[:n], mode=e.mode, progress=over_batches("rho2"))
            entry["rho2"] = float(ratios.mean(dtype=np.float64))
        self.net.train(phase.defense.training)
        self.journal.write(kind="epoch", phase=phase.name, epoch=self.state.epoch, **entry)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in entry.items())
        say(f"{phase.name} epoch {self.state.epoch}/{phase.settings.epochs}: {shown}")

    def _settled(self, phase: Phase) -> bool:
        """Whether an epoch is done after which the validation accuracy no longer moves."""
        tolerance = phase.settings.settle
        return tolerance is not None and not self.state.step and settled(self.state.validation, tolerance=tolerance)

    def _check_finite(self, phase: Phase, x: Tensor, loss: float) -> None:
        gradients = {name: p.grad for name, p in self.net.named_parameters()}
        bad = [name for name, g in gradients.items() if g is not None and not np.isfinite(g.numpy()).all()]
        if math.isfinite(loss) and not bad:
            return
        layer = first_not_finite(self.net, x)
        # The backward pass meets the last layer first.
        gradient = f"the gradient of {bad[-1]!r}" if bad else "the loss itself"
        first = f"the output of layer {layer!r}" if layer else gradient
        where = f"epoch {self.state.epoch + 1}, step {self.state.step + 1}"
        raise self._diverged(phase, f"the loss is {loss} at {where}; the first value not finite is {first}")

    def _check_network(self, phase: Phase) -> None:
        """The last step of an epoch has no next step that would notice what it did."""
        for name, t in self.net.named_tensors():
            if not np.isfinite(t.numpy()).all():
                raise self._diverged(phase, f"{name!r} is not finite after epoch {self.state.epoch + 1}")

    def _diverged(self, phase: Phase, what: str) -> Diverged:
        advice = f"Lower the learning rate ({phase.section}.lr, {self.optimizer.lr:g} here)"
        return Diverged(f"{phase.name}: {what}. {advice}. What was saved before is kept in {self.folder.path}")

    def _interrupted(self) -> Interrupted:
        return Interrupted(f"all is saved; go on with: {self.again}")

    def _epochs_before(self) -> int:
        return sum(phase.settings.epochs for phase in self.phases[: self.state.phase])

    def _next_phase(self) -> None:
        self._count_time()
        self.state = State(self.state.phase + 1, 0, 0, {}, self.journal.size, self.state.seconds)
        if self.state.phase < len(self.phases):
            self.optimizer = self._optimizer()
        self._save()

    def _optimizer(self) -> nn.Optimizer:
        """A fresh one for the current phase."""
        s = self._phase().settings
        options = {} if s.momentum is None else {"momentum": s.momentum}
        made: nn.Optimizer = nn.OPTIMIZERS[s.optimizer](
            self.net.parameters(), lr=s.lr, weight_decay=s.weight_decay, **options
        )
        return made

    def _phase(self) -> Phase:
        """The current phase; the last one when all is done."""
        return self.phases[min(self.state.phase, len(self.phases) - 1)]

    def _count_time(self) -> None:
        """Add the time since the last call to the current phase."""
        if self.state.phase < len(self.phases):
            name = self.phases[self.state.phase].name
            now = time.monotonic()
            self.state.seconds[name] = self.state.seconds.get(name, 0.0) + now - self.since
            self.since = now

    def _save(self) -> None:
        self._count_time()
        self.journal.settle()  # first: a checkpoint must not count lines that a power failure takes away
        self.state.journal_size = self.journal.size
        arrays = {f"net.{name}": a for name, a in self.net.state_dict().items()}
        arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state_dict().items()}
        defense = self._phase().defense
        arrays |= {f"defense.{name}": a for name, a in defense.arrays().items()}
        generator = plain(defense.rng.bit_generator.state)
        random = {"rng": rng_state(self.net), "defense_rng": generator}
        self.folder.save_state(arrays, {**vars(self.state), **random, "made_of": self.made_of})

    def _restore(self) -> None:
        saved = self.folder.load_state()
        if saved is None:
            return
        arrays, scalars = saved
        if other := difference(scalars.pop("made_of"), self.made_of):
            raise ValueError(f"{self.folder.path}: the run began in another way: {other}; put that back, or {AFRESH}")
        if scalars["phase"] > 0 and not (self.folder / "reference.npz").exists():
            raise FileNotFoundError(f"{self.folder / 'reference.npz'} is gone, and no other file has it; {AFRESH}")
        try:
            rng = scalars.pop("rng")
            defense_rng = scalars.pop("defense_rng")
            self.state = State(**scalars)
            self.optimizer = self._optimizer()
            self.net.load_state_dict(_part(arrays, "net."))
            self.optimizer.load_state_dict(_part(arrays, "optimizer."))
            set_rng_state(self.net, rng)
            self._phase().defense.rng.bit_generator.state = defense_rng
            self._phase().defense.load_arrays(_part(arrays, "defense."))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.folder / 'checkpoint.npz'} does not fit this run: {error}") from None


def first_not_finite(net: Layer, x: Tensor, name: str = "") -> str:
    """The dotted name of the first layer whose output at x has a NaN or an infinity; empty if there is none."""
    with no_grad():
        if not isinstance(net, nn.Sequential):
            return "" if np.isfinite(net(x).numpy()).all() else name
        for child_name, child in net.children():
            if found := first_not_finite(child, x, f"{name}.{child_name}" if name else child_name):
                return found
            x = child(x)
    return ""


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
