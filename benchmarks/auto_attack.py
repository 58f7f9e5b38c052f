"""APGD-CE and the ensemble `robust.auto` beside torchattacks' AutoAttack classes: robust accuracy and time.

Two networks, at two sizes of l∞ perturbation in [0, 1]: the reference LeNet, and the same after one epoch of training
on FGSM images. Both sides get the same weights and images, and take turns; each attack runs in a process of its own,
after a short one that warms it up. The reference has the authors' options: 100 steps of APGD on each loss, 100 of FAB,
5,000 queries of Square.

Beside the seconds stands the processor time of all threads, which other programs on the machine disturb less. Idle
threads sleep (OMP_WAIT_POLICY), so that waiting does not count. TINYGRAD2_DATA names the folder with mnist/ and
lenet-reference.npz.

    python -m benchmarks.auto_attack --images 400
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.setting import environment, load, set_threads

OUTPUT = Path(__file__).parent / "results" / "auto-attack.json"
EPSILONS = (0.1, 0.2)
NETWORKS = ("reference", "defended")
ATTACKS = ("apgd, ce", "auto")
SIDES = ("tinygrad2", "torchattacks")
QUERIES = 5000
STEPS = 100
PIXELS = 255.0


def problem(network: str, images: int) -> dict[str, Any]:
    """The weights, the mean that the network subtracts, images in [0, 1] (N, 1, 28, 28), and labels (N,)."""
    from tinygrad2 import data, nn

    digits = data.mnist()
    folder = Path(os.environ["TINYGRAD2_DATA"])
    file = folder / "lenet-reference.npz" if network == "reference" else OUTPUT.with_name("auto-attack-defended.npz")
    x = (digits.x_test[:images] / PIXELS).astype("float32")
    return {"weights": nn.load(file), "mean": data.centre(digits).mean, "x": x, "y": digits.y_test[:images]}


def ours(weights: Any, mean: Any) -> Any:
    """The network of pixels in [0, 1]."""
    from tinygrad2 import nn
    from tinygrad2.autodiff import Tensor

    class Unit(nn.Layer):
        """Pixels in [0, 1] to pixels 0-255, centred."""

        def forward(self, x: Tensor) -> Tensor:
            return x * PIXELS - Tensor(mean)

    lenet = nn.models.lenet()
    lenet.load_state_dict(weights)
    return nn.Sequential(unit=Unit(), net=lenet)


def train_defended() -> None:
    """One epoch of FGSM training (ε = 0.1) from the reference network, where no file holds the result yet."""
    import numpy as np

    from tinygrad2 import data, nn, robust
    from tinygrad2.autodiff import Tensor

    path = OUTPUT.with_name("auto-attack-defended.npz")
    if path.exists():
        return
    given = problem("reference", 1)
    net = ours(given["weights"], given["mean"])
    defense = robust.AdversarialTraining(lambda net, x, y: robust.fgsm(net, x, y, 0.1, box=(0.0, 1.0)).adversarial)
    digits = data.mnist()
    order = np.random.default_rng(0).permutation(len(digits.x_train))
    adam = nn.Adam(net.parameters(), 1e-4)
    for i in range(0, len(order), 100):
        index = order[i : i + 100]
        x = Tensor((digits.x_train[index] / PIXELS).astype(np.float32))
        net.zero_grad()
        defense.losses(net, x, digits.y_train[index], index)["loss"].backward()
        adam.step()
    nn.save(path, net["net"].state_dict())


def of_tinygrad2(attack: str, given: dict[str, Any], epsilon: float) -> Callable[[int], Any]:
    """run(short) attacks, and returns the adversarial images; with few steps and queries if short."""
    from tinygrad2 import robust

    net = ours(given["weights"], given["mean"])
    x, y = given["x"], given["y"]

    def run(short: int) -> Any:
        steps = 2 if short else STEPS
        if attack == "auto":
            queries = 2 if short else QUERIES
            return robust.auto(net, x, y, epsilon, steps=steps, queries=queries, box=(0.0, 1.0)).adversarial.numpy()
        return robust.apgd(net, x, y, epsilon, steps=steps, box=(0.0, 1.0)).adversarial.numpy()

    return run


def of_torchattacks(attack: str, given: dict[str, Any], epsilon: float) -> Callable[[int], Any]:
    """The same of the reference implementation."""
    import torch
    import torchattacks as ta

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    mean = torch.tensor(given["mean"])

    class Unit(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * PIXELS - mean

    layers: dict[str, Any] = {
        "unit": Unit(), "conv1": torch.nn.Conv2d(1, 20, 5), "pool1": torch.nn.MaxPool2d(2),
        "conv2": torch.nn.Conv2d(20, 50, 5), "pool2": torch.nn.MaxPool2d(2), "flatten": torch.nn.Flatten(),
        "fc1": torch.nn.Linear(800, 500), "relu": torch.nn.ReLU(), "fc2": torch.nn.Linear(500, 10),
    }  # fmt: skip
    net = torch.nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    net.load_state_dict({name: torch.tensor(a) for name, a in given["weights"].items()})
    net.eval()
    x, y = torch.tensor(given["x"]), torch.tensor(given["y"])

    def run(short: int) -> Any:
        steps = 2 if short else STEPS
        apgd = [ta.APGD(net, eps=epsilon, steps=steps, loss=loss) for loss in ("ce", "dlr")]
        if attack != "auto":
            return apgd[0](x, y).numpy(force=True)
        fab = ta.FAB(net, eps=epsilon, steps=steps)
        square = ta.Square(net, eps=epsilon, n_queries=2 if short else QUERIES)
        return ta.MultiAttack([*apgd, fab, square])(x, y).numpy(force=True)

    return run


def measure(side: str, attack: str, network: str, epsilon: float, images: int) -> dict[str, Any]:
    """One attack in this process: accuracy left, by our network on what either side made, and seconds."""
    import numpy as np

    from tinygrad2 import robust

    given = problem(network, images)
    make = of_tinygrad2 if side == "tinygrad2" else of_torchattacks
    run = make(attack, given, epsilon)
    run(1)
    before = load()
    start = time.perf_counter()
    cpu_start = time.process_time()
    adversarial = run(0)
    cpu = time.process_time() - cpu_start
    seconds = time.perf_counter() - start
    assert abs(adversarial - given["x"]).max() <= epsilon + 1e-6 and 0 <= adversarial.min() <= adversarial.max() <= 1
    net = ours(given["weights"], given["mean"])
    standing = robust.predict(net, np.asarray(adversarial)) == given["y"]
    clean = robust.accuracy(net, given["x"], given["y"])
    return {
        "accuracy": float(standing.mean()),
        "clean": clean,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "load": before,
    }


def rows(images: int) -> Iterator[dict[str, Any]]:
    """A row for each network, epsilon and attack: both sides, one after the other."""
    for network in NETWORKS:
        for epsilon in EPSILONS:
            for attack in ATTACKS:
                row: dict[str, Any] = {"network": network, "epsilon": epsilon, "attack": attack}
                for side in SIDES:
                    command = [sys.executable, "-m", "benchmarks.auto_attack", "--images", str(images)]
                    command += ["--side", side, "--attack", attack, "--network", network, "--epsilon", str(epsilon)]
                    row[side] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                yield row


def table(report: dict[str, Any]) -> str:
    """The rows in Markdown: each pair is ours, then the reference."""
    lines = ["| network | ε | attack | clean % | accuracy left % | | seconds | | ratio | processor s | | ratio |"]
    lines += ["|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for row in report["rows"]:
        a, b = (row[side] for side in SIDES)
        cells = [row["network"], row["epsilon"], row["attack"], f"{100 * a['clean']:.2f}"]
        cells += [f"{100 * side['accuracy']:.2f}" for side in (a, b)]
        for time_of in ("seconds", "cpu_seconds"):
            cells += [a[time_of], b[time_of], f"{b[time_of] / a[time_of]:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Measure all rows and write them, or one attack for the process that does so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="the first so many test images")
    parser.add_argument("--threads", type=int, default=2)
    for name in ("side", "attack", "network"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    parser.add_argument("--epsilon", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    set_threads(given.threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    if given.side:
        print(json.dumps(measure(given.side, given.attack, given.network, given.epsilon, given.images)))
        return
    train_defended()
    report: dict[str, Any] = {**environment(given.threads), "images": given.images, "rows": []}
    for row in rows(given.images):
        report["rows"].append(row)
        OUTPUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(table(report).splitlines()[-1], flush=True)
    OUTPUT.with_suffix(".md").write_text(table(report) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
