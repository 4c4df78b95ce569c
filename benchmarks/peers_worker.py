"""A process of benchmarks/peers.py: one competitor on one workload, alive from round to round.

Each line that it is given is what to do, in JSON, and so is each that it answers; all else that libraries print goes to
standard error.
"""

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402  (what imports take is counted)
import torch  # noqa: E402

from peers_competitors import COMPETITORS  # noqa: E402
from peers_workloads import WORKLOADS  # noqa: E402

SIDE, SECONDS = 2048, 0.5
"""Of the matrices whose product is timed, and for how long."""


class Clock:
    """The seconds of each epoch, between its end and that of the one before; a measured loss takes none of them.

    What is told of its epochs when all have ended says itself what each took.
    """

    def __init__(self, measures):
        self.measures = measures
        self.seconds, self.losses = [], []
        self.start = self.began = time.perf_counter()

    def __call__(self, measure, seconds=None):
        self.seconds.append(time.perf_counter() - self.began if seconds is None else seconds)
        if self.measures:
            before = time.perf_counter()
            self.losses.append(measure())
            self.start += time.perf_counter() - before
        self.began = time.perf_counter()


def memory():
    """Return the most that the process has had in memory, in bytes."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def trained(train, epochs, measures):
    torch.manual_seed(0)
    clock = Clock(measures)
    train(epochs, clock)
    whole = time.perf_counter() - clock.start
    return {"seconds": clock.seconds, "whole": whole, "losses": clock.losses, "memory": memory()}


def products():
    """Return the operations a second of products of matrices, the best of those timed, by dtype and library.

    Torch takes MKL for float32 and oneDNN for bfloat16. Where oneDNN has one for float32 too, it is timed beside MKL's,
    as it may be twice as fast: the peak is the machine's, and not a library's.
    """
    a, b = torch.randn(2, SIDE, SIDE)
    halves = a.bfloat16(), b.bfloat16()
    best = {"float32": operations(lambda: a @ b), "bfloat16": operations(lambda: halves[0] @ halves[1])}
    with contextlib.suppress(AttributeError, RuntimeError):  # of a torch without oneDNN
        best["float32, oneDNN"] = operations(lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    return best


def operations(product):
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        product()
        times.append(time.perf_counter() - began)
    return 2 * SIDE**3 / min(times)


def main():
    name, workload, data, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(int(threads))
    if name == "products":
        train = None
    else:
        rows = np.load(data)
        train = COMPETITORS[name].prepare(WORKLOADS[workload], rows["train"], rows["test"])
    print(json.dumps({"ready": time.perf_counter() - BEGAN, "torch": torch.__version__}), file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        found = products() if train is None else trained(train, asked["epochs"], asked["measures"])
        print(json.dumps(found), file=answers)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        print(f"\n{type(error).__name__}: {reason}", file=sys.stderr)
        sys.exit(1)
