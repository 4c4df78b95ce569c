"""How long it takes until isthmus answers: import, help, a look at a file, and a first fit, beside torch's own import.

Medians of five, in seconds: of the clock, and of the processor, which other programs on the machine disturb less.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

COMMAND = "import sys; sys.argv = ['isthmus', *{!r}]; from isthmus.cli import main; main()"
FIT = """
import isthmus, numpy
isthmus.Autoencoder(2, max_epochs=1).fit(numpy.random.default_rng(0).normal(size=(100, 8)))
"""
TIMES = 5


def timed(code):
    """Return the seconds of the clock and of the processor that some code takes in a new process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        rng = np.random.default_rng(0)
        pd.DataFrame({"a": rng.normal(size=1000), "b": rng.choice(["x", "y"], 1000)}).to_csv(path, index=False)
        what = {
            "import torch": "import torch",
            "import pandas": "import pandas",
            "import isthmus": "import isthmus",
            "isthmus --help": COMMAND.format(["--help"]),
            "isthmus train --help": COMMAND.format(["train", "--help"]),
            "isthmus data": COMMAND.format(["data"]),
            "isthmus data table.csv": COMMAND.format(["data", str(path)]),
            "from isthmus import Autoencoder": "from isthmus import Autoencoder",
            "a first fit": FIT,
        }
        found = {name: [timed(code) for _ in range(TIMES)] for name, code in what.items()}
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "not known"
    print(f"load of the machine: {load}")
    torch = statistics.median(cpu for _, cpu in found["import torch"])
    print(f"{'':34}{'clock':>8}{'processor':>12}{'/ torch':>9}")
    for name, pairs in found.items():
        wall, cpu = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"{name:34}{wall:8.2f}{cpu:12.2f}{cpu / torch:9.2f}")


if __name__ == "__main__":
    main()
