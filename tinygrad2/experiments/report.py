"""What a run achieved: a table as text, and result.json with all that is needed to trust, repeat or compare it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np

from tinygrad2 import __version__, robust
from tinygrad2.data import Dataset
from tinygrad2.experiments import figures, jsonfile
from tinygrad2.experiments.catalogues import find_attack
from tinygrad2.experiments.config import brought, label, to_values
from tinygrad2.experiments.folder import Folder
from tinygrad2.experiments.progress import over_batches, say
from tinygrad2.experiments.settings import Config, EvalSettings
from tinygrad2.experiments.trained import TrainedNetworks, from_run
from tinygrad2.nn import Layer
from tinygrad2.robust import Robustness
from tinygrad2.robust.batches import in_batches
from tinygrad2.robust.metrics.fgs import SHARES
from tinygrad2.robust.types import Box

# What the names of such variables begin with.
TUNING = ("OPENBLAS_", "OMP_", "GOMP_", "NUMBA_", "MKL_", "VECLIB_", "TINYGRAD2_NUMBA", "TINYGRAD2_DETERMINISTIC")
PACKAGES = ("numpy", "numba", "cupy-cuda13x", "matplotlib", "tqdm", "scikit-learn")


@dataclass(frozen=True)
class Table:
    """One row for each network, all on the same n images or the first of them. Print it.

    epsilon_ref: of the last network, in the units of the images; None if no ε up to `largest` fools half of them, or if
        sizes are given instead: then `fgs` is empty in every row
    n: number of test images
    motionless: for each network, the share of the images that FGS cannot move, because the gradient is 0 in every pixel
    under: network → attack → ε → accuracy in [0, 1], where sizes are given
    largest: the largest size of a perturbation of a pixel; clipped: whether adversarial images are kept in the box
    """

    epsilon_ref: float | None
    n: int
    settings: EvalSettings
    rows: dict[str, Robustness]
    motionless: dict[str, float]
    under: dict[str, dict[str, dict[float, float]]]
    largest: float
    clipped: bool = False

    def values(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        rows = {
            name: {
                "accuracy": r.accuracy,
                "rho2": r.rho2,
                "fgs": {f"{share:g}": a for share, a in r.fgs.items()},
                "zero_gradients": self.motionless[name],
                "under": {a: {f"{e:g}": acc for e, acc in at.items()} for a, at in self.under[name].items()},
            }
            for name, r in self.rows.items()
        }
        return {
            "rows": rows,
            "notes": self.notes,
            "epsilon_ref": self.epsilon_ref,
            "test_images": self.n,
            "eval": asdict(self.settings),
        }

    def __str__(self) -> str:
        width = max(14, *map(len, self.rows))
        columns = [self.columns(name) for name in self.rows]
        head = f"{'':{width}}  accuracy      ρ₂" + "".join(f"  {title:>8}" for title in columns[0])
        lines = [head, "─" * len(head)]
        for (name, row), cells in zip(self.rows.items(), columns, strict=True):
            under = (f"  {'—' if a is None else f'{100 * a:.2f} %':>{max(8, len(t))}}" for t, a in cells.items())
            lines.append(f"{name:{width}}  {100 * row.accuracy:6.2f} %  {row.rho2:6.4f}{''.join(under)}")
        return "\n".join([*lines, *self.notes])

    def columns(self, name: str) -> dict[str, float | None]:
        """The accuracies of one row under perturbations, by the titles of their columns."""
        if self.settings.epsilons:
            return {f"{attack} {e:g}": acc for attack, at in self.under[name].items() for e, acc in at.items()}
        return {f"Acc@{share}": self.rows[name].fgs.get(share) for share in SHARES}

    def over_epsilon(self) -> dict[str, dict[str, dict[float, list[float]]]]:
        """Attack → network → ε → accuracy in %; ε = 0 is without an attack."""
        return {
            attack: {
                name: {0.0: [100 * row.accuracy], **{e: [100 * acc] for e, acc in self.under[name][attack].items()}}
                for name, row in self.rows.items()
            }
            for attack in self.settings.attacks
        }

    @property
    def notes(self) -> list[str]:
        """What the columns mean, and warnings, in sentences."""
        return [*(self._sizes() if self.settings.epsilons else self._shares()), *self._warnings()]

    def _shares(self) -> list[str]:
        whom = "the network" if len(self.rows) == 1 else "the network of the last row"
        half = f"no ε up to {self.largest:g} fools {whom} on half of the images"
        if self.epsilon_ref is not None:
            half = f"half of the images fool {whom} at ε_ref = {self.epsilon_ref:.2f}"
        return [
            f"Acc@s: accuracy under FGS with s·ε_ref; {half}",
            f"of {self.largest:g}, by {self._gradients()}. {self._rho()}",
            self._images(),
        ]

    def _sizes(self) -> list[str]:
        return [
            f"Accuracy under the attacks at their l∞ sizes, of a range of {self.largest:g}, by {self._gradients()}.",
            self._rho(),
            self._images(),
        ]

    def _images(self) -> str:
        fewer = {"ρ₂": self.settings.n_rho, "attacks": self.settings.n}
        first = [f"; {what} on the first {n:,}" for what, n in fewer.items() if n is not None and n < self.n]
        return f"{self.n:,} test images{''.join(first)}."

    def _gradients(self) -> str:
        clipped = "clipped" if self.clipped else "not clipped"
        return f"{'gradients that saturate in float32' if self.settings.saturating else 'exact gradients'}, {clipped}"

    def _rho(self) -> str:
        return f"ρ₂: mean ‖Δ‖/‖x‖, DeepFool {self.settings.mode!r}, {self.settings.max_iter} iterations."

    def _warnings(self) -> list[str]:
        return [
            f"{name}: FGS cannot move {100 * share:.2f} % of the images, whose gradient is 0 in float32: "
            "its columns make the network look more robust than it is."
            for name, share in self.motionless.items()
            if share > 0
        ]


def table(nets: Mapping[str, Layer], dataset: Dataset, settings: EvalSettings) -> Table:
    """How robust the networks are, one row for each.

    nets: title → network; ε_ref is that of the last one (in the paper: the defended network)
    """
    x = dataset.x_test[: settings.n]
    y = dataset.y_test[: settings.n]
    low, high = dataset.range or (0.0, 255.0)
    largest = high - low  # where the search for ε_ref ends: the whole range of the pixels
    fgs = {n: robust.FGS(net.eval(), x, y, box=dataset.box, saturating=settings.saturating) for n, net in nets.items()}
    found = float("inf") if settings.epsilons else list(fgs.values())[-1].epsilon_ref(largest)
    epsilon_ref = found if found < float("inf") else None
    rows = {}
    under = {}
    for name, net in nets.items():
        progress = over_batches(f"rho2 of {name}")
        ratios = robust.rho(
            net, dataset.x_test[: settings.n_rho], mode=settings.mode, max_iter=settings.max_iter, progress=progress
        )
        rows[name] = Robustness(
            robust.accuracy(net, dataset.x_test, dataset.y_test),
            float(ratios.mean(dtype=np.float64)),
            {} if epsilon_ref is None else {share: fgs[name].accuracy(share * epsilon_ref) for share in SHARES},
        )
        under[name] = {
            attack: {e: accuracy_under(attack, fgs[name], e, settings, dataset.box) for e in settings.epsilons}
            for attack in (settings.attacks if settings.epsilons else ())
        }
    motionless = {name: float((f.directions == 0).reshape(len(x), -1).all(1).mean()) for name, f in fgs.items()}
    return Table(epsilon_ref, len(dataset.x_test), settings, rows, motionless, under, largest, dataset.box is not None)


def accuracy_under(name: str, fgs: robust.FGS, epsilon: float, settings: EvalSettings, box: Box | None) -> float:
    """The share of fgs's images that its network still classifies as labelled, attacked at the l∞ size epsilon."""
    if name == "fgsm":
        return fgs.accuracy(epsilon)
    attack = find_attack(name)
    wanted = {"epsilon": epsilon, "box": box, "steps": settings.steps, "step_size": settings.step_size}
    options = {k: v for k, v in wanted.items() if v is not None and k in attack.options}
    fooled = in_batches(
        lambda part: attack.run(fgs.net, fgs.x[part], fgs.labels[part], **options).success,
        len(fgs.x),
        progress=over_batches(f"{name} {epsilon:g}"),
    )
    return 1.0 - float(fooled.mean())


def finish(
    config: Config, out: str | os.PathLike[str], seconds: Mapping[str, float], dataset: Dataset | None = None
) -> Table:
    """Measure the networks of a trained run, and write result.json and, where they can be drawn, the figures.

    seconds: wall time of each phase. dataset: the run's images, where they are loaded already.
    """
    return measure(Folder(out), from_run(out, dataset=dataset), seconds, brought(config))


def measure(
    folder: Folder, trained: TrainedNetworks, seconds: Mapping[str, float], brought: Mapping[str, str]
) -> Table:
    """The same for networks that are there already. brought: the hashes of what the user brought."""
    config = trained.config
    measured = table(trained.nets, trained.dataset, config.eval)
    jsonfile.write(folder / "result.json", {**result(config, measured, seconds), "brought": dict(brought)})
    try:
        figures.require()
    except ModuleNotFoundError as reason:
        say(f"no figures: {reason}")
        return measured
    metrics = folder.metrics()
    if any(entry["kind"] == "epoch" for entry in metrics):
        figures.curves(metrics, list(trained.nets)[-1], folder / "curves.png")
    else:
        say("no curves.png: metrics.jsonl has lost its lines")
    if measured.settings.epsilons:
        figures.over_epsilon(measured.over_epsilon(), folder / "epsilons.png")
    if why := figures.why_no_images(trained.nets, trained.dataset):
        say(f"no perturbations.png: {why}")
    else:
        figures.perturbations(trained.nets, trained.dataset, folder / "perturbations.png", config.eval.mode)
    return measured


def result(config: Config, table: Table, seconds: Mapping[str, float]) -> dict[str, Any]:
    """What result.json holds. seconds: wall time of each phase."""
    return {
        **table.values(),
        "seed": config.run.seed,
        "defense": label(config),
        "config": to_values(config),
        "seconds": {name: round(s, 1) for name, s in seconds.items()},
        "peak_memory_mib": peak_memory_mib(),
        "versions": versions(),
        "variables": tuning(),
    }


def versions() -> dict[str, str]:
    """Of Python, this package and the packages that it uses, where they are installed."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "tinygrad2": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"cores": str(os.cpu_count())}


def tuning() -> dict[str, str]:
    """Every environment variable that is set and may change speed or the order of sums; not the names of folders."""
    names = (name for name in sorted(os.environ) if name.startswith(TUNING) and not name.endswith("_DIR"))
    return {name: os.environ[name] for name in names}


def peak_memory_mib() -> float | None:
    """The most memory that this process has had, in MiB; None on Windows, where Python does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes on macOS, KiB elsewhere
