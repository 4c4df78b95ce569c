"""What starts does so at once: libraries that take seconds are imported when something needs them."""

import json
import os
import pickle
import resource
import statistics
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import isthmus

SLOW = ("lightning_fabric", "matplotlib", "numpy", "pandas", "plotly", "scipy", "sklearn", "torch", "torch._dynamo")

COMMAND = """
import sys
sys.argv = ["isthmus", *{arguments!r}]
from isthmus.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def imported_by(code):
    """Return which of the slow libraries are there after some code in a new process."""
    tell = f"\nimport json, sys\nprint()\nprint(json.dumps([name for name in {SLOW} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + tell], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def seconds(code):
    """Return the processor time of some code in a new process: median of three."""
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame({"a": np.exp(np.random.default_rng(0).normal(3, 2, 60)), "b": ["x", "y"] * 30})
    frame.to_csv(tmp_path / "table.csv", index=False)
    return str(tmp_path / "table.csv")


def test_import_isthmus_imports_nothing_slow():
    assert imported_by("import isthmus; dir(isthmus)") == []


def test_help_imports_nothing_slow():
    for verb in ("data", "train", "compare", "transform", "impute", "sample", "report", "reproduce"):
        assert imported_by(COMMAND.format(arguments=[verb, "--help"])) == []
    assert imported_by(COMMAND.format(arguments=["--help"])) == []


def test_named_data_sets_are_listed_without_pandas():
    for arguments in (["data"], ["data", "--data-dir", "there", "--max-gb", "1"]):
        assert imported_by(COMMAND.format(arguments=arguments)) == ["numpy"]


def test_data_are_looked_at_without_torch_and_scikit_learn(table):
    for arguments in (["data", table], ["data", table, "--label", "b", "--na", "3"]):
        assert imported_by(COMMAND.format(arguments=arguments)) == ["numpy", "pandas"]


def test_what_trains_is_imported_when_something_trains():
    there = imported_by("from isthmus import Autoencoder, OutlierDetector, compare, load")
    assert not {"lightning_fabric", "torch._dynamo"} & {*there}


def test_codes_are_written_without_the_libraries_of_reports_and_of_training(table, tmp_path):
    isthmus.TabularAutoencoder(1, max_epochs=1, random_state=0).fit(pd.read_csv(table)).save(tmp_path / "run")
    arguments = ["transform", str(tmp_path / "run"), table, "-o", str(tmp_path / "codes.csv")]
    others = {"lightning_fabric", "matplotlib", "plotly"}
    assert not others & set(imported_by(COMMAND.format(arguments=arguments)))
    assert (tmp_path / "codes.csv").exists()


def test_the_processor_time_of_a_start(table):
    """Beside that of torch, as machines differ; about 0.02, 0.1 and 0.5 of it."""
    torch = seconds("import torch")
    assert seconds("import isthmus") < 0.15 * torch
    assert seconds(COMMAND.format(arguments=["--help"])) < 0.4 * torch
    assert seconds(COMMAND.format(arguments=["data", table])) < torch


def test_data_say_of_a_table_what_its_model_says(run, table, capfd):
    """Without the rest of the model's scaling, which is scikit-learn's."""
    status, said, _ = run(f"data {table}")
    assert status == 0
    assert "long tail compressed" in said
    isthmus.TabularAutoencoder(1, max_epochs=1, verbose=1, random_state=0).fit(pd.read_csv(table))
    assert capfd.readouterr().out.startswith(said)


def test_data_refuse_numbers_without_a_square_as_a_model_does(run, tmp_path):
    (tmp_path / "far.csv").write_text("a,b\n" + "".join(f"{i}e200,{i}\n" for i in range(1, 9)))
    said = "isthmus: column 'a' reaches too far for the sum of its squares: divide it\n"
    assert run("data far.csv")[::2] == (2, said)
    assert run("train far.csv --model tabular --epochs 1 --out run")[::2] == (2, said)


PACKAGE = """
import pickle
import isthmus
{first}
assert callable(isthmus.compare), isthmus.compare
assert callable(isthmus.load)
assert isthmus.datasets.names()
assert isthmus.networks.MLP
assert isthmus.data.windows([0, 1, 2], 2).tolist() == [[0, 1], [1, 2]]
assert isthmus.models.Autoencoder is isthmus.Autoencoder
model = pickle.loads(pickle.dumps(isthmus.Autoencoder(3)))
assert type(model) is isthmus.Autoencoder and model.n_components == 3
"""


@pytest.mark.parametrize("first", ["", "from isthmus import *; import isthmus.comparison, isthmus.cli.compare"])
def test_names_are_there_after_import_isthmus_alone(first):
    imported_by(PACKAGE.format(first=first))


def test_names_that_there_are_and_that_there_are_not():
    assert {*isthmus.__all__, "data", "networks", "__version__"} <= {*dir(isthmus)}
    with pytest.raises(AttributeError, match="module 'isthmus' has no attribute 'Autoencodr'"):
        _ = isthmus.Autoencodr
    with pytest.raises(ImportError, match="cannot import name 'Autoencodr' from 'isthmus'"):
        from isthmus import Autoencodr  # noqa: F401
    with pytest.raises(AttributeError, match=r"module 'isthmus\.cli' has no attribute 'nothing'"):
        _ = isthmus.cli.nothing
    assert pickle.loads(pickle.dumps(isthmus.compare)) is isthmus.compare


@pytest.mark.parametrize("code", ["import isthmus, torch", "from isthmus import Autoencoder", "import isthmus.cli"])
def test_threads_sleep_wherever_torch_is_imported_after_isthmus(code):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    check = f"{code}\nimport isthmus.threads\nassert isthmus.threads.ASLEEP"
    subprocess.run([sys.executable, "-c", check], env=environment, check=True)


def test_a_file_is_read_once(run, table, monkeypatch):
    """By a command, however many things it says of it."""
    read = []
    whole = isthmus.sources.files.read_source
    monkeypatch.setattr(
        isthmus.sources.files, "read_source", lambda *args, **how: read.append(1) or whole(*args, **how)
    )
    for command in (
        f"train {table} --model tabular --components 1 --epochs 1 --out run",
        f"train {table} --from run --epochs 1 --out other",
        f"impute run {table} --missing 0.3 -o filled.csv",
        f"neighbors run {table} -o neighbors.csv",
        f"report run {table}",
        f"data {table}",
    ):
        read.clear()
        assert run(command)[0] == 0
        assert read == [1], command
