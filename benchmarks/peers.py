"""How fast isthmus trains beside loops written by hand and other libraries, in one run: one table a workload.

`make peers`. The other libraries are installed, at the versions of peers.txt, into an environment of their own,
.venv-peers; one that cannot be is left out, and so is what a machine cannot do. Every competitor has a process of its
own, which stays alive; in each round all train one after the other. What is imported, compiled and warmed up before is
not in their speed, and has columns of its own.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from isthmus import datasets
from peers_competitors import COMPETITORS
from peers_report import PRODUCTS, plot, tables
from peers_workloads import TEST_ROWS, WORKLOADS, sines

HERE = Path(__file__).parent
ROOT = HERE.parent
PINS = HERE / "peers.txt"
COMMON = ("torch", "numpy", "pillow")
"""What the processes of other libraries need beside these."""

PATIENCE = 900
"""Seconds that one training may take, compiling it included."""


class LeftOutError(Exception):
    """A competitor has no figures, and this is why."""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def last_line(text):
    return text.strip().rpartition("\n")[2][:200]


def environment(folder, packages):
    """Return the Python of the other libraries, with these packages installed."""
    binary = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pins = hashlib.sha256(PINS.read_bytes()).hexdigest()
    mark = folder / f".installed-{'-'.join(packages)}"
    if not mark.exists() or mark.read_text() != pins:
        say(f"installing {', '.join(packages)} into {folder}")
        install = [binary, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--constraint", PINS]
        commands = [] if binary.exists() else [[sys.executable, "-m", "venv", folder]]
        for command in (*commands, [*install, *COMMON, *packages]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                raise LeftOutError(f"cannot be installed: {(errors or [last_line(done.stderr)])[0][:200]}")
        mark.write_text(pins)
    return binary


class Worker:
    """The process of a competitor."""

    def __init__(self, name, workload, data, asked):
        packages = COMPETITORS[name].packages if name in COMPETITORS else ()
        python = environment(asked.environment, packages) if packages else sys.executable
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        command = [python, HERE / "peers_worker.py", name, workload, data, str(asked.threads)]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(asked.threads))
        # Compiled code that another run has left behind would hide what compiling takes.
        fresh = {"TORCHINDUCTOR_CACHE_DIR": str(data.parent / "inductor"), "TORCHINDUCTOR_FX_GRAPH_CACHE": "0"}
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
            env=os.environ | threads | fresh | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONWARNINGS": "ignore"},
            preexec_fn=lambda: confine(asked.threads),
        )
        try:
            self.about = self.answer()
        except LeftOutError:
            self.close()
            raise

    def answer(self):
        """Return what the process says next."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise LeftOutError(f"no answer in {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise LeftOutError(last_line(self.errors.read()) or "its process ended")
        return json.loads(line)

    def train(self, epochs, measures=False):
        with contextlib.suppress(BrokenPipeError):  # the answer says why
            self.process.stdin.write((json.dumps({"epochs": epochs, "measures": measures}) + "\n").encode())
        return self.answer()

    def close(self):
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.errors):
            file.close()


def confine(threads):
    """Leave a process as many cores as it has threads: some libraries ask for nothing else."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def data_of(work, share, folder):
    """Write a workload's rows to a file; returns it, and whose rows they are."""
    n = max(2, round(share * work.rows / work.batch_size)) * work.batch_size
    if work.dataset == "sines":
        rows, source = sines(n + TEST_ROWS), "made: noisy sines"
        train, test = rows[:n], rows[n:]
    else:
        try:
            train, test = (datasets.load(work.dataset, split).X for split in ("train", "test"))
            source = work.dataset
        except (OSError, ValueError) as error:
            rng = np.random.default_rng(0)
            train, test = (rng.random((count, 784), np.float32) for count in (n, TEST_ROWS))
            source = f"random pixels in [0, 1], as {work.dataset} is not there ({last_line(str(error))})"
        train, test = (rows.reshape(-1, *work.row_shape).astype(np.float32) for rows in (train[:n], test[:TEST_ROWS]))
    path = folder / "rows.npz"
    np.savez(path, train=train, test=test)
    return path, source, n


class Workers:
    """The processes of all competitors on one workload: those that work, what was found of them, why others do not."""

    def __init__(self, workload, data, asked):
        self.alive, self.found, self.left_out = {}, {}, {}
        for name in (PRODUCTS, *asked.competitors):
            if name not in COMPETITORS or workload in COMPETITORS[name].workloads:
                say(f"{workload}: warming up {name}")
                with self.or_left_out(name):
                    worker = self.alive[name] = Worker(name, workload, data, asked)
                    self.found[name] = worker.about | {"first": worker.train(1), "rounds": [], "sees": sees(name)}

    @contextlib.contextmanager
    def or_left_out(self, name):
        """Leave a competitor out from here on if it fails."""
        try:
            yield
        except LeftOutError as reason:
            self.left_out[name] = str(reason)
            self.found.pop(name, None)
            if name in self.alive:
                self.alive.pop(name).close()

    def round(self, i, epochs):
        """Let each train once; none is always the first."""
        names = list(self.alive)
        for name in names[i % len(names) :] + names[: i % len(names)]:
            with self.or_left_out(name):
                self.found[name]["rounds"].append(self.alive[name].train(epochs))

    def measure(self, epochs):
        """Let each train once more, and measure its losses."""
        for name in [name for name in self.found if name != PRODUCTS]:
            with self.or_left_out(name):
                self.found[name]["quality"] = self.alive[name].train(epochs, measures=True)

    def close(self):
        for worker in self.alive.values():
            worker.close()


def sees(name):
    """Return how often an epoch of a competitor sees a row."""
    return COMPETITORS[name].models * COMPETITORS[name].share if name in COMPETITORS else 1


def measured(workload, asked, folder):
    """Let all competitors train on a workload, round by round."""
    work = WORKLOADS[workload]
    data, source, n = data_of(work, asked.share, folder)
    workers = Workers(workload, data, asked)
    try:
        for i in range(asked.rounds):
            say(f"{workload}: round {i + 1} of {asked.rounds}")
            workers.round(i, 1 + asked.counted)
        epochs = work.epochs if asked.epochs is None else asked.epochs
        if epochs:
            say(f"{workload}: losses of {epochs} epochs")
            workers.measure(epochs)
    finally:
        workers.close()
    about = {"title": work.title, "source": source, "rows": n, "target": work.target, "epochs": epochs}
    return about | {"flops": work.flops(), "found": workers.found, "left_out": workers.left_out}


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--competitors", nargs="*", default=list(COMPETITORS), choices=COMPETITORS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--counted", type=int, default=1, help="epochs counted in a round, after one that is not")
    parser.add_argument("--epochs", type=int, help="of the training whose losses are measured; 0 for none")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows, for a trial")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="the same for all")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-peers", help="of the other libraries")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "peers.json")
    parser.add_argument("--plot", type=Path, help="a file to draw the speeds into: .png, .svg or .pdf")
    parser.add_argument("--again", action="store_true", help="print and draw what --out holds, and measure nothing")
    parser.add_argument("--profile", action="store_true", help="say instead where the time of a step goes")
    return parser.parse_args()


def machine(asked):
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "processor": processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": asked.threads,
        "rounds": asked.rounds,
        "counted": asked.counted,
        "pins": [line for line in PINS.read_text().split() if line.partition("==")[0] in shown_packages()],
    }


def processor():
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def shown_packages():
    return {package for each in COMPETITORS.values() for package in each.packages}


def main():
    asked = options()
    if asked.profile:
        from peers_profile import profile

        profile(asked)
        return
    if not asked.again:
        results = {"machine": machine(asked), "workloads": {}}
        for workload in asked.workloads:
            with tempfile.TemporaryDirectory() as folder:
                results["workloads"][workload] = measured(workload, asked, Path(folder))
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(json.dumps(results, indent=1))  # what is measured is kept, should the next one fail
    results = json.loads(asked.out.read_text())
    print(tables(results))
    if asked.plot is not None:
        plot(results, asked.plot)


if __name__ == "__main__":
    main()
