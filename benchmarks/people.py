"""Files as people have them: what `isthmus data` and `isthmus train` say of them, and what ids and dates cost.

`make people`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from PIL import Image

from tables import COLUMNS

ROWS = 200_000


def adult():
    """Adult's training rows with a header, and "?" for what is missing."""
    path = Path(os.environ["ISTHMUS_DATA"], "tables", "adult.train.csv")
    return pd.read_csv(path, names=COLUMNS, skipinitialspace=True, keep_default_na=False)


def with_more(frame, rng):
    """Adult with what a person's export has beside: ids, dates as text, zip codes, remarks."""
    n = len(frame)
    minutes = pd.to_timedelta(rng.integers(0, 3000 * 1440, n), unit="min")
    words = rng.choice(["late", "paid", "called", "twice", "moved", "new", "phone", "soon"], (n, 9))
    return frame.assign(
        customer_id=[f"C{i:06}" for i in rng.permutation(n)],
        signed=(pd.Timestamp("2015-01-01") + minutes).strftime("%d.%m.%Y %H:%M"),
        zip=[f"{z:05}" for z in np.minimum(rng.zipf(1.3, n), 9000) * 11],
        remark=[" ".join(line) for line in words],
    )


def files(folder):
    """Write the five of them; return how each is trained on."""
    rng = np.random.default_rng(0)
    people = adult()
    people.to_csv(folder / "adult.csv", index=False)
    many = people.sample(ROWS, replace=True, random_state=0, ignore_index=True)
    many.to_csv(folder / "many.csv", index=False)
    with_more(many, rng).to_csv(folder / "more.csv", index=False)
    prices = pd.DataFrame({"Preis": rng.lognormal(3, 1, 500).round(2), "Menge": rng.integers(1, 9, 500)})
    prices = prices.assign(Ort=rng.choice(["Köln", "Bonn"], 500), Tag=pd.date_range("2024-01-01", periods=500))
    prices.to_csv(folder / "preise.csv", index=False, sep=";", decimal=",", encoding="latin-1", date_format="%d.%m.%Y")
    hosts(rng).to_csv(folder / "hosts.csv", index=False)
    pictures(folder / "pictures", rng)
    return {
        "adult.csv": ["--model", "tabular", "--epochs", "1"],
        "preise.csv": ["--model", "tabular", "--components", "2", "--epochs", "5"],
        "hosts.csv": ["--model", "sequence", "--window", "24", "--components", "4", "--epochs", "1"],
        "pictures": ["--network", "conv", "--channels", "8", "--components", "4", "--epochs", "3", "--size", "32"],
    }


def hosts(rng):
    """Two hosts' load every five minutes, shuffled, with a night of one missing and some times twice."""
    when = pd.date_range("2024-03-01", periods=1200, freq="5min")
    load = [np.sin(np.arange(1200) / 46 + shift) + 0.1 * rng.normal(size=1200) for shift in (0, 2)]
    each = [pd.DataFrame({"time": when, "host": 100 + i, "load": values}) for i, values in enumerate(load)]
    each[1] = each[1].drop(index=range(400, 500))
    both = pd.concat([*each, each[0][10:13]])
    return both.sample(frac=1, random_state=0)


def pictures(folder, rng):
    """A folder of pictures of all sizes and kinds, one of which is broken."""
    for kind, mode, depth in (("grey", "L", np.uint8), ("deep", "I;16", np.uint16), ("clear", "RGBA", np.uint8)):
        (folder / kind).mkdir(parents=True)
        for i in range(8):
            shape = (*rng.integers(30, 90, 2), *([4] if mode == "RGBA" else []))
            pixels = rng.integers(0, np.iinfo(depth).max, shape).astype(depth)
            Image.fromarray(pixels).save(folder / kind / f"{i}.png")
    (folder / "grey" / "broken.png").write_bytes(b"no picture")


def say(*arguments, cwd):
    """Run isthmus, and print the command and its first lines."""
    print("$ isthmus", *arguments, flush=True)
    command = [sys.executable, "-c", "from isthmus.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, flush=True)


COST = """
import resource, sys, time, warnings
import pandas as pd
from isthmus import TabularAutoencoder
warnings.simplefilter("ignore")
frame = pd.read_csv(sys.argv[1])
began = time.perf_counter()
TabularAutoencoder(max_epochs=1, random_state=0).fit(frame)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def cost(path):
    """Return the seconds and the MB that one epoch on a file takes, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", COST, path], capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def main():
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), perf_counter()
        runs = files(folder)
        print(f"files written in {perf_counter() - start:.0f} s\n")
        for path, options in runs.items():
            is_folder = ["--size", "32", "--skip-bad"] if path == "pictures" else []
            window = ["--window", "24"] if path == "hosts.csv" else []
            say("data", path, *is_folder, *window, cwd=folder)
            say("train", path, *options, *is_folder[2:], "--out", f"runs/{path}", cwd=folder)
        say("data", "pictures", cwd=folder)
        say("data", "more.csv", "--kind", "zip=category", cwd=folder)
        without, more = cost(folder / "many.csv"), cost(folder / "more.csv")
        print(f"one epoch on {ROWS:,} rows of Adult | seconds | MB")
        print(f"as they are | {without[0]:.1f} | {without[1]:.0f}")
        print(f"with ids, dates, zip codes and remarks | {more[0]:.1f} | {more[1]:.0f}")
        print(f"ratio | {more[0] / without[0]:.2f} | {more[1] / without[1]:.2f}")


if __name__ == "__main__":
    main()
