"""The run of an attack: a network is attacked on all its test images, and what was found is kept.

Each batch is saved as it is done and has a random generator of its own, so an attack that was stopped goes on with the
batches that are left, and not one bit differs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor
from tinygrad2.data import Dataset
from tinygrad2.experiments import attack_report, figures, jsonfile
from tinygrad2.experiments.attack_options import TARGETS, AttackPlan
from tinygrad2.experiments.attack_report import RESULT, AttackReport
from tinygrad2.experiments.catalogues import ATTACKS, find_attack
from tinygrad2.experiments.config import difference
from tinygrad2.experiments.folder import ELSEWHERE, alone
from tinygrad2.experiments.interrupts import Interrupted, stop_requests
from tinygrad2.experiments.progress import Track, say
from tinygrad2.experiments.targets import find_targets
from tinygrad2.nn import Layer
from tinygrad2.nn.reverse import ReverseIdentity
from tinygrad2.robust import AttackResult, Diagnostic
from tinygrad2.robust.attacks.diagnostic import diagnose
from tinygrad2.robust.attacks.result import merged
from tinygrad2.robust.attacks.transfer import same_network
from tinygrad2.robust.types import Box

RECORD = "attack.json"
PART = {"adversarial", "norms", "iterations", "diagnostic"}  # what the file of a batch holds


class Subtract(Layer):
    """Raw pixels to centred ones: a box is one pair of numbers for raw pixels alone."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def apply(self, x: Tensor) -> tuple[Tensor, ReverseIdentity]:
        return x - self.mean, ReverseIdentity()


def attack(
    net: Layer,
    dataset: Dataset,
    plan: AttackPlan,
    out: str | os.PathLike[str],
    resume: bool = False,
    source: tuple[str, Layer] | None = None,
) -> AttackReport:
    """Attack every test image, a batch at a time, and write what was found to the folder `out`.

    source: the name of another network to craft on, and the network; the images are then tested on `net`
    resume: go on with an attack that was stopped
    Raises Interrupted after Ctrl-C, when the batch is done and saved.
    """
    figures.require()
    name, crafted_on = source or (None, net)
    if name is not None and same_network(net, crafted_on):
        raise ValueError(f"{name} is the network itself: that is a white-box attack, not transfer; leave out --from")
    net.eval()
    victim, x, shift = _in_pixels(crafted_on.eval(), dataset, plan.options.get("box"))
    whole = find_attack(plan.attack).whole
    size = len(x) if whole else plan.batch_size
    slices = [slice(i, i + size) for i in range(0, len(x), size)]
    targets = _targets(plan, victim, x, dataset)
    record = _record(plan, crafted_on, net, dataset, targets)
    # An attack on all images at once has no batch after which it could stop: Ctrl-C ends it at once.
    stopping: AbstractContextManager[list[int]] = nullcontext([]) if whole else stop_requests()
    with _opened(Path(out), record, resume) as folder, stopping as stop:
        parts = [folder / f"part-{i:05}.npz" for i in range(len(slices))]
        left = [i for i, part in enumerate(parts) if not part.exists()]
        for i in Track(left, len(slices), plan.attack, len(slices) - len(left)):
            given = {name: values[slices[i]] for name, values in targets.items()}
            found = _run(plan, i, victim, x[slices[i]], dataset.y_test[slices[i]], given)
            _save(folder, record, parts[i], found)
            if stop and i != left[-1]:
                done = sum(part.exists() for part in parts)
                raise Interrupted(f"{done} of {len(parts)} batches are saved in {folder}; go on by adding --resume")
        report = _collect(net, dataset, plan, [_load(part) for part in parts], shift, name, targets)
        if plan.probes:
            report = _probed(report, victim, x, shift)
        attack_report.write(report, net, dataset, folder)
        for part in parts:
            part.unlink()
    return report


def _targets(plan: AttackPlan, net: Layer, x: np.ndarray, dataset: Dataset) -> dict[str, np.ndarray]:
    """The class that each image is to reach, (N,), under its name; nothing where any wrong class will do."""
    if plan.targets is None:
        return {}
    return {TARGETS: find_targets(plan.targets, net, x, dataset.y_test, dataset.classes)}


def _run(
    plan: AttackPlan, i: int, net: Layer, x: np.ndarray, labels: np.ndarray, targets: Mapping[str, np.ndarray]
) -> AttackResult:
    known = find_attack(plan.attack)
    options = {**plan.options, **targets}
    if "rng" in known.options:
        options["rng"] = np.random.default_rng([plan.seed, i])
    if "progress" in known.options:
        options["progress"] = lambda images: Track(images, len(images), f"{plan.attack}: images of a pass")
    return known.run(net, x, labels, **options)


def _in_pixels(net: Layer, dataset: Dataset, box: Box | None) -> tuple[Layer, np.ndarray, np.ndarray]:
    """Network and images as the attack sees them, and what is to be subtracted from its images afterwards."""
    x = dataset.x_test
    mean = dataset.mean
    if box is None or mean is None:
        return net, x, np.zeros(1, x.dtype)
    raw = dataset.pixels(x)
    rounding = np.float32(1e-5) * (box[1] - box[0])
    inside = raw.clip(*box)
    raw = np.where(abs(raw - inside) <= rounding, inside, raw)
    return nn.Sequential(Subtract(Tensor(mean).to(net.parameters()[0].device)), net), raw, mean


def _save(folder: Path, record: Mapping[str, Any], part: Path, found: AttackResult) -> None:
    """One batch, and with the first one the record of what is done here."""
    if not (folder / RECORD).exists():
        jsonfile.write(folder / RECORD, record)
    arrays = {"adversarial": found.adversarial.numpy(), "norms": found.norms, "iterations": found.iterations}
    note = None if found.diagnostic is None else asdict(found.diagnostic)
    nn.save(part, {**arrays, "diagnostic": np.asarray(json.dumps(note))})


def _load(part: Path) -> dict[str, np.ndarray]:
    """One batch that was saved. Raises ValueError that names the file of a damaged one."""
    found = nn.load(part)
    if missing := PART - found.keys():
        raise ValueError(f"{part} is damaged: it holds no {min(missing)}; delete it, and add --resume")
    return found


def _collect(
    net: Layer,
    dataset: Dataset,
    plan: AttackPlan,
    parts: Sequence[Mapping[str, np.ndarray]],
    shift: np.ndarray,
    name: str | None,
    targets: Mapping[str, np.ndarray],
) -> AttackReport:
    """All batches as one."""
    x = dataset.x_test
    y = dataset.y_test
    found = {key: np.concatenate([part[key] for part in parts]) for key in ("adversarial", "norms", "iterations")}
    found["adversarial"] = found["adversarial"] - shift
    before = robust.predict(net, x)
    after = robust.predict(net, found["adversarial"])
    arrays = {"images": x, **found, "labels": y, **targets, "before": before, "after": after}
    if dataset.mean is not None:
        arrays["mean"] = dataset.mean  # images + mean: pixels 0-255
    notes = [_diagnostic(json.loads(str(part["diagnostic"]))) for part in parts]
    sizes = [len(part["norms"]) for part in parts]
    right = [int(part.sum()) for part in np.split(before == y, np.cumsum(sizes)[:-1])]
    return AttackReport(plan, attack_report.units(dataset), name, arrays, merged(notes, sizes, right))


def _probed(report: AttackReport, net: Layer, x: np.ndarray, shift: np.ndarray) -> AttackReport:
    """With what fools the first images without a gradient, or with a better one; the attack should beat it."""
    plan = report.plan
    first = slice(report.plan.probes)
    say(f"probing {len(x[first])} images for gradient masking ...")
    a = {name: values[first] for name, values in report.arrays.items()}
    adversarial = a["adversarial"] + shift
    fooled = a["after"] != a["labels"]
    result = AttackResult(Tensor(adversarial), fooled, a["norms"], a["iterations"], report.diagnostic, plan.norm)
    epsilon = max(plan.options["epsilon"], float(abs(adversarial - x[first]).max()))  # that and rounding
    box = plan.options.get("box")
    return replace(report, diagnostic=diagnose(net, x[first], a["labels"], result, epsilon, rng=plan.seed, box=box))


def _diagnostic(note: dict[str, Any] | None) -> Diagnostic | None:
    return None if note is None else Diagnostic(**{**note, "warnings": tuple(note["warnings"])})


def _record(
    plan: AttackPlan, crafted_on: Layer, net: Layer, dataset: Dataset, targets: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """What must be the same when a stopped attack goes on, as it is read back from JSON."""
    record = {
        **asdict(plan),
        "network": _digest(*net.state_dict().values()),
        "crafted on": _digest(*crafted_on.state_dict().values()),
        "images": _digest(dataset.x_test, dataset.y_test),
        **{name: _digest(values) for name, values in targets.items()},
        **ATTACKS.digests(plan.attack),
    }
    as_read: dict[str, Any] = json.loads(json.dumps(record))
    return as_read


def _digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@contextmanager
def _opened(path: Path, record: Mapping[str, Any], resume: bool) -> Iterator[Path]:
    """This process alone works in the folder. A new folder is removed again if the attack saved nothing in it."""
    _check(path, record, resume)
    new = not path.exists()
    try:
        with alone(path):
            _check(path, record, resume)  # again: another process may have been faster
            yield path
    finally:
        if new and path.exists() and not (path / RECORD).exists():
            shutil.rmtree(path)


def _check(path: Path, record: Mapping[str, Any], resume: bool) -> None:
    begun = (path / RECORD).exists()
    if (path / RESULT).exists():
        raise FileExistsError(f"{path} holds the result of an attack already; {ELSEWHERE}")
    if begun and not resume:
        raise FileExistsError(f"{path} holds an attack that was stopped; go on with it by --resume, or {ELSEWHERE}")
    if resume and not begun:
        raise FileNotFoundError(f"{path} holds no attack that was stopped; leave out --resume")
    if begun:
        there = jsonfile.read(path / RECORD, dict.fromkeys(("attack", "network", "images"), str), ELSEWHERE)
        if other := difference(there, record):
            raise ValueError(f"{path} holds another attack: {other}; {ELSEWHERE}")
