"""Every mistake has one clear line."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    MultimodalAutoencoder,
    OutlierDetector,
    SequenceAutoencoder,
    SparseAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    compare,
    datasets,
)
from isthmus.networks import MLP, Modules
from isthmus.sources import catalogue, files

ROWS = np.random.default_rng(0).normal(size=(30, 5))
FRAME = pd.DataFrame(ROWS, columns=list("abcde"))


def with_value(value, row=3, column=2):
    rows = ROWS.copy()
    rows[row, column] = value
    return rows


def fit(X=ROWS, **params):
    return Autoencoder(max_epochs=1, **params).fit(X)


COMMANDS = {
    "data t.csv --window 2 --drop c": "t.csv has no column 'c', which is to be dropped: it has 'a', 'b'",
    "train cube.npy --window 2 --drop c --out run": "cube.npy has no column 'c', which is to be dropped: an array has",
    "data t.csv --window 2 --kind a=number": "--kind a=number: the columns of a series are numbers; leave it out",
    "train t.csv --stride 3 --out run": "--stride 3 is of windows: say how long they are too, such as --window 100",
    "train t.csv --window 5 --out run": "the series has 2 steps, fewer than a window of 5: give a smaller --window",
    "train t.csv --window 2 --label a --out run": "--label a: the windows of one series have no labels; leave it out",
    "train words.csv --window 2 --out run": "words.csv: columns 'a', 'b' hold no numbers: drop what is not measured",
    "train digits --window 2 --out run": "digits is no series: give one that ends in .npy, .csv or .parquet",
    "train none.csv --window 2 --out run": "there is no file none.csv",
    "train digist --out run": "unknown dataset 'digist': did you mean 'digits'?",
    "train rows.csv --out run": "there is no file rows.csv",
    "train digits --model deep --out run": "unknown model 'deep': give one of plain, denoising, sparse, contractive, ",
    "train digits --network rnn --out run": "unknown network 'rnn': give one of mlp, conv, lstm, transformer",
    "train digits --network transformer --hidden 8 --out run": "transformer has no hidden; give --set network__width=",
    "train digits --network conv --hidden 8 --out run": "the network conv has no hidden; give --channels",
    "train digits --channels 8 --out run": "the network mlp has no channels; give --hidden",
    "train digits --network conv --channels 8,x --out run": "--channels 8,x: give whole numbers",
    "train t.csv --network conv --epochs 1 --out run": "Conv needs images (height, width)",
    "train t.csv --model conditional --out run": "no labels to be a condition: name their column with --label",
    "sample MODELS/denoising -o x.npy": "cannot generate: train --model variational, or this one with --set b",
    "sample MODELS/variational -o x.txt": "give a name that ends in .npy, .csv, .parquet, .png",
    "sample MODELS/variational -o x.npy -n 0": "Invalid value for '-n'",
    "sample MODELS/variational -o x.npy --condition 3": "the model knows no conditions; train --model conditional",
    "sample MODELS/classes -o x.npy --condition 11": "unknown condition '11': give one of 0, 1, 2",
    "sample MODELS/numbers -o x.npy --condition red": "--condition red: give numbers",
    "sample MODELS/numbers -o x.npy --condition 1,2": "the model was trained with 1 a row",
    "sample MODELS/numbers -o x.png": "cannot draw x.png: the rows of MODELS/numbers are no images",
    "sample full -o x.npy": "full is not a model folder",
    "interpolate MODELS/variational digits -o x.npy --from 1,2": "--from has 2 rows and --to 5: name as many of each",
    "interpolate MODELS/variational digits -o x.npy --to 400": "--to 400: there is no row 400, the last of 360 is 359",
    "interpolate MODELS/variational digits -o x.npy --from= --to=": "--from '' names no row: give numbers with commas",
    "interpolate MODELS/variational one.npy -o x.npy": "one.npy has fewer than two rows, no pair to go between",
    "interpolate MODELS/variational digits -o x.npy --to a": "--to a: give whole numbers",
    "interpolate MODELS/variational digits -o x.npy --steps 1": "Invalid value for '--steps'",
    "interpolate MODELS/variational digits -o x.npy --path round": "Invalid value for '--path'",
    "impute MODELS/variational digits -o x.npy": "nothing is missing in digits: --missing 0.5 hides half of it",
    "impute MODELS/variational digits -o x.npy --block": "--block says how to hide: say how much too",
    "impute MODELS/variational digits -o x.npy --missing 1": "a share of 1 cannot be hidden",
    "impute MODELS/variational one.npy -o x.npy --missing 0.0001": "--missing 0.0001 hides nothing that is known",
    "neighbors MODELS/variational digits -o x.csv --query ,": "--query ',' names no row: give numbers with commas",
    "neighbors MODELS/variational digits -o x.csv --query=": "--query '' names no row: give numbers with commas",
    "neighbors MODELS/variational digits -o x.csv -k 360": "360 neighbours among 360 rows: there are from 1 to 359",
    "neighbors MODELS/variational digits -o x.csv -k 0": "0 neighbours among 360 rows",
    "neighbors MODELS/variational digits -o x.csv --query 360": "--query 360: there is no row 360",
    "neighbors MODELS/variational digits -o x.csv --query rows.csv": "there is no file rows.csv",
    "transform MODELS/variational digits -o x.png": "cannot write x.png: give a name that ends in .npy, .csv, .parquet",
    "reconstruct MODELS/classes wrong.npz -o x.npy": "y holds the class 77, which was not there at fit",
    "train digits": "train needs --out RUN",
    "train digits --hidden 8,x --out run": "--hidden 8,x: give whole numbers",
    "train digits --set dropout --out run": "--set dropout: give NAME=VALUE",
    "train digits --set network__activation=rely --epochs 1 --out run": "unknown activation 'rely'",
    "train digits --set nothing=1 --out run": "Invalid parameter 'nothing'",
    "train digits --epochs 0 --out run": "max_epochs == 0",
    "train digits --epochs x --out run": "Invalid value for '--epochs'",
    "train digits --lr 1e30 --epochs 1 --set validation_fraction=None --set on_nonfinite=raise --out run": "too high",
    "train digits --out full": "cannot write full: it holds other files and no model",
    "train digits --out full/notes.txt": "cannot write full/notes.txt: it is a file",
    "train digits --out full/notes.txt/run": "cannot write full/notes.txt/run",
    "train t.csv --label c --out run": "t.csv has no column 'c': it has 'a', 'b'",
    "train empty --out run": "empty holds no images",
    "train mnist --data-dir full --out run": "mnist/train-images-idx3-ubyte.gz",
    "compare digits --models deep,flat --out run": "unknown model 'flat'",
    "compare digits --corruption blur --epochs 1 --seeds 1 --out run": "'blur'",
    "compare digits --out full/notes.txt/run": "cannot write",
    "transform full digits -o codes.csv": "full is not a model folder: it has no config.json",
    "transform nowhere digits -o codes.csv": "nowhere is not a model folder",
    "transform full digits -o codes.txt": "cannot write codes.txt: give a name that ends in .npy",
    "transform full digits -o full/notes.txt/codes.csv": "cannot write full/notes.txt/codes.csv",
    "score full digits -o full": "give a name that ends in",
    "reconstruct full digits": "Missing option",
    "report full": "full is not a model folder",
    "train digits --set network__tied=maybe --out run": "tied='maybe': give True or False",
    "train digits --set network=mlp --out run": "network='mlp': give MLP(...)",
    "train digits --set precision=32 --out run": "unknown precision 32",
    "train gaps.csv --label a --out run": "column 'a' has no label in row 1",
    "reproduce deep-nien": "unknown reproduction 'deep-nien': did you mean 'deep-nine'?",
    "reproduce": "reproduce needs a NAME: isthmus reproduce --list says which there are",
    "reproduce deep-nine --quick --seed -1": "Invalid value for '--seed'",
    "reproduce deep-nine --quick --out full/notes.txt": "cannot write full/notes.txt",
    "reproduce deep-nine --quick --data-dir full": "mnist/train-images-idx3-ubyte.gz",
    "nonsense": "No such command 'nonsense'",
    "train digits --nonsense 3 --out run": "No such option: --nonsense",
    # Files that hold no table, or another one than they should.
    "train blank.csv --out run": "cannot read blank.csv: No columns",
    "train header.csv --out run": "header.csv has names of columns, and no rows",
    "train header.csv --model tabular --out run": "header.csv has names of columns, and no rows",
    "train twice.csv --out run": "twice.csv has more than one column 'a': give each a name of its own",
    "train ragged.csv --out run": "ragged.csv: its rows have more values than its first line has names",
    "train text.parquet --out run": "cannot read text.parquet: ",
    "train empty.npy --out run": "cannot read empty.npy: ",
    "train none.npz --out run": "none.npz holds no array: save the rows in it as X",
    "train objects.npz --out run": "cannot read objects.npz: 'X': it holds objects, not numbers",
    "train lengths.npz --out run": "X has the shape (10, 3) and y (4,): give a label a row",
    "train letters.npy --out run": "letters.npy holds <U1 where numbers are needed",
    "train dates.npy --out run": "dates.npy holds datetime64[D] where numbers are needed",
    "train complex.npy --out run": "complex.npy holds complex128 where numbers are needed",
    "train scalar.npy --out run": "scalar.npy holds a single number",
    "train row.npy --out run": "Expected 2D array, got 1D array instead, of shape (3,)",
    "train norows.npy --out run": "0 sample(s) (shape=(0, 3)) while a minimum of 2",
    "train deep.npy --out run": "Found array with dim 5",
    "train pictures --out run": "cannot read the image pictures/a.png",
    "train folder.csv --out run": "folder.csv holds no images",
    "train inf.csv --out run": "infinity at row 3, column 'b' (1 such value",
    "train gone.csv --out run": "nothing but NaN in column 'b': drop it",
    "train single.csv --out run": "1 sample(s) (shape=(1, 3)) while a minimum of 2",
    "train mixed.csv --out run": "mixed.csv: column 'a' holds 'x' in row 1, and numbers elsewhere",
    "train MODELS/people.csv --out run": "people.csv: column 'kind' holds no numbers: take a tabular model",
    "train digits --label y --out run": "--label y: digits has its own labels; leave it out",
    # Tables of several kinds of columns.
    "train lists.parquet --model tabular --out run": "column 'mix' (object) holds what is mixed",
    "train unknown.csv --model tabular --out run": "nothing but NaN in column 'kind': drop it",
    "train far.csv --model tabular --out run": "column 'size' reaches too far for the sum of its squares: divide it",
    "train digits --model tabular --out run": "X has the shape (1437, 8, 8): give a table",
    "train MODELS/people.csv --model tabular --set numbers=rank --out run": "did you mean 'rankgauss'",
    "train MODELS/people.csv --model tabular --set likelihood=bernoulli --out run": "has no meaning for Tabular",
    "transform MODELS/people vanished.csv -o x.csv": "column 'kind' is not in X, and was there at fit",
    "score MODELS/people vanished.csv -o x.csv --per-feature": "column 'kind' is not in X, and was there at fit",
    "reconstruct MODELS/people more.csv -o x.csv": "column 'more' was not there at fit, and is in X: drop it",
    "impute MODELS/people old.csv --missing 0.5 -o x.csv": "column 'age' holds categories (str) where there were",
    "interpolate MODELS/people vanished.csv -o x.csv": "column 'kind' is not in X",
    "report MODELS/people MODELS/numbers.csv -o r.html": "column 'age' is not in X, and was there at fit (nor are 3",
    "transform MODELS/people row.npy -o x.csv": "fit was given a DataFrame of several kinds of columns",
    "impute MODELS/people MODELS/people.csv -o x.csv": "nothing is missing in the table",
    "impute MODELS/people MODELS/people.csv --missing 1.5 -o x.csv": "a share of 1.5 cannot be hidden",
    "reconstruct MODELS/people MODELS/people.csv -o x.npy": "its columns are of several kinds; give a name that",
    "sample MODELS/people -o x.csv": "a TabularAutoencoder cannot generate",
    # Long series.
    "train MODELS/series.csv --window 1 --out run": "Invalid value for '--window'",
    "train MODELS/series.csv --window 10 --stride 0 --out run": "Invalid value for '--stride'",
    "train MODELS/series.csv --window ten --out run": "Invalid value for '--window'",
    "train MODELS/series.csv --window 60 --out run": "1 sample(s)",
    "train MODELS/series.csv --window 10 --time x --out run": "series.csv has no column 'x', which is to be the time",
    "train MODELS/series.csv --window 10 --group x --out run": "has no column 'x', which is to be the group: it has",
    "train MODELS/series.csv --window 10 --time b --group b --out run": "column 'b' cannot be both time and group",
    "train spoken.csv --window 10 --time b --out run": "spoken.csv: column 'b' holds no times: name another, or none",
    "train t.csv --time a --out run": "--time a: it is of series: say --window too, such as --window 100",
    "score MODELS/table MODELS/numbers.csv --group a -o x.csv": "was not trained on a series; leave it out",
    "score MODELS/series MODELS/series.csv --time x -o x.csv": "series.csv has no column 'x', which is to be the time",
    "score MODELS/series renamed.csv -o x.csv": "renamed.csv has no column 'b', which the model was trained on: it has",
    "train cube.npy --window 2 --out run": "cube.npy has the shape (4, 3, 2): a series has (n_steps,)",
    "train letters.npy --window 2 --out run": "letters.npy holds <U1",
    "train times.csv --window 10 --out run": "times.csv has no column of numbers",
    "train mixed.csv --window 2 --out run": "mixed.csv: column 'a' holds 'x' in row 1, and numbers elsewhere",
    "train spoken.csv --window 10 --out run": "spoken.csv: column 'b' holds no numbers",
    "train leap.csv --window 10 --out run": "leap.csv: column 'b' holds infinity in row 7; leave it blank",
    "train header.csv --window 2 --out run": "header.csv has names of columns, and no rows",
    "train none.npz --window 2 --out run": "none.npz is no series",
    "train MODELS/series.csv --window 10 --model tabular --out run": "X has the shape (51, 10, 2): give a table",
    "transform MODELS/series short.csv -o x.csv": "the series has 5 steps, fewer than a window of 10",
    "score MODELS/series short.csv -o x.csv --per-feature": "the series has 5 steps, fewer than a window of 10",
    "reconstruct MODELS/series wide.npy -o x.csv": "X has 3 features, but SequenceAutoencoder is expecting 2",
    "impute MODELS/series MODELS/series.csv -o x.csv": "nothing is missing in",
    "interpolate MODELS/series wide.npy -o x.csv": "X has 3 features, but SequenceAutoencoder is expecting 2",
    "neighbors MODELS/series MODELS/series.csv --query 99 -o x.csv": "--query 99: there is no row 99",
    "report MODELS/series short.csv -o r.html": "the series has 5 steps, fewer than a window of 10",
    "transform MODELS/series digits -o x.csv": "digits is no series",
    "reconstruct MODELS/series MODELS/series.csv -o x.png": "are no images",
    "reconstruct MODELS/future MODELS/series.csv -o x.csv": "trained without reconstruction has no reconstruct",
    # Rows that are not the model's, and runs that are none, or of another kind.
    "transform MODELS/table more.csv -o x.csv": "more.csv: column 'kind' holds no numbers",
    "transform MODELS/table inf.csv -o x.csv": "infinity at row 3, column 'b'",
    "transform MODELS/table digits -o x.csv": "X has 64 features, but Autoencoder is expecting 3",
    "score MODELS/table two.csv -o x.csv": "Feature names seen at fit time, yet now missing: - c",
    "score MODELS/variational MODELS/numbers.csv -o x.csv": "X has 3 features, but VariationalAutoencoder is expecting",
    "score MODELS/detector two.csv -o x.csv --per-feature": "yet now missing: - c",
    "neighbors MODELS/table MODELS/numbers.csv --query digits -o x.csv": "X has 64 features, but Autoencoder",
    "report MODELS/table two.csv -o r.html": "Feature names seen at fit time, yet now missing: - c",
    "transform MODELS/weightless MODELS/numbers.csv -o x.csv": "is not a model folder: it has no model.safetensors",
    "report MODELS/weightless": "is not a model folder: it has no model.safetensors",
    "sample MODELS/altered -o x.npy": "config.json is truncated or altered",
    "score MODELS/modalities digits -o x.csv": "X is a ndarray: give a dict of arrays",
    "transform MODELS/detector MODELS/numbers.csv -o x.csv": "holds an OutlierDetector: it can score rows",
    "transform MODELS/table MODELS/numbers.csv -o folder.csv": "cannot write folder.csv: it is a folder",
    "report MODELS/table": "does not say what it was trained on: give DATA",
    "report MODELS/table MODELS/numbers.csv -o full/notes.txt/r.html": "cannot write full/notes.txt/r.html",
    "train MODELS/numbers.csv --out /dev/null/run": "cannot write /dev/null/run",
    # Values that are none.
    "train MODELS/numbers.csv --lr nan --out run": "lr == nan, must be finite",
    "train MODELS/numbers.csv --batch-size 0 --out run": "batch_size == 0, must be >= 1",
    "train MODELS/numbers.csv --components 0 --out run": "n_components == 0, must be >= 1",
    "train MODELS/numbers.csv --device abacus --out run": "device='abacus'",
    "train MODELS/numbers.csv --hidden 0 --out run": "every width must be at least 1",
    "train MODELS/numbers.csv --set callbacks=3 --out run": "callbacks=3: give a list of functions",
    "train MODELS/numbers.csv --set verbose=loud --out run": "verbose must be an instance of",
    "train digits --model multimodal --out run": "unknown model 'multimodal'",
    "compare header.csv --out run": "header.csv has names of columns, and no rows",
    "compare gone.csv --out run": "NaN at row 0, column 'b'",
    "compare single.csv --out run": "X has 1 rows, too few to set some aside for a test",
    "compare lengths.npz --out run": "give a label a row",
    "compare MODELS/numbers.csv --components 0 --out run": "n_components == 0, must be >= 1",
    "compare MODELS/numbers.csv --corruption-level 2 --out run": "corruption_level == 2.0, must be <= 1",
    "compare MODELS/numbers.csv --seeds 0 --out run": "Invalid value for '--seeds'",
    "data more": "unknown dataset 'more': there are digits",
    "data more and": "Got unexpected extra argument",
    "data digits": "digits is a data set with a name",
    "data t.csv --label c": "t.csv has no column 'c'",
    "train t.csv --set network__dropout=text --out run": "dropout='text': give a share in [0, 1)",
    "train t.csv --set network__dropout=None --out run": "dropout=None: give a share in [0, 1)",
    "train t.csv --set verbose=1.5 --out run": "verbose must be an instance of",
    "train t.csv --set n_components=True --out run": "n_components == True, must be a number",
    "train t.csv --model variational --set free_bits=True --out run": "free_bits == True, must be a number",
    "train MODELS/people.csv --model tabular --set bins=True --out run": "bins == True, must be a number",
    "impute MODELS/modalities MODELS/modalities.npz -o x.csv": "nothing is missing in MODELS/modalities.npz",
    "impute MODELS/modalities MODELS/modalities.npz --missing 0.5 -o x.csv": "--missing 0.5: hidden are cells of one",
    "report MODELS/modalities MODELS/modalities.npz -o r.html": "holds a MultimodalAutoencoder, which has no report",
    "transform MODELS/modalities none.npz -o x.csv": "none.npz holds no array: save each modality in it",
    "transform MODELS/modalities objects.npz -o x.csv": "cannot read objects.npz: 'X': it holds objects, not",
    "sample MODELS/modalities -o x.csv": "cannot generate: train --model variational, or this one with --set fusion=",
    "data --data-dir": "requires an argument",
    "data --nonsense": "No such option: --nonsense",
}


ESTIMATORS = {
    "a column of NaN": (lambda: fit(with_value(np.nan, row=slice(None))), "nothing but NaN in column 2"),
    "a column of NaN in a frame": (
        lambda: fit(pd.DataFrame(with_value(np.nan, row=slice(None)), columns=list("abcde"))),
        "nothing but NaN in column 'c'",
    ),
    "infinity in a frame": (
        lambda: fit(pd.DataFrame(with_value(np.inf), columns=list("abcde"))),
        "infinity at row 3, column 'c'",
    ),
    "infinity beside NaN": (
        lambda: fit(np.where(ROWS > 1, np.nan, with_value(np.inf))),
        r"infinity at row 3, column 2 \(1 such",
    ),
    "NaN to compare": (lambda: compare(with_value(np.nan)), "NaN at row 3, column 2 "),
    "infinity": (lambda: fit(with_value(-np.inf)), "infinity at row 3, column 2"),
    "infinity at use": (lambda: fit().transform(with_value(np.inf)), "infinity at row 3"),
    "infinity in an image": (lambda: fit(with_value(np.inf).reshape(-1, 1, 5)), "infinity at row 3"),
    "NaN in codes": (lambda: fit().inverse_transform([[np.nan, 1]]), "NaN"),
    "a mask of numbers": (lambda: fit().impute(ROWS, np.zeros(ROWS.shape)), "mask holds float64: give True where"),
    "a mask of another shape": (lambda: fit().impute(ROWS, np.ones(4, bool)), r"mask has the shape \(4,\)"),
    "a mask the wrong way round": (
        lambda: fit().impute(ROWS, np.zeros(ROWS.shape, bool).T),
        r"mask has the shape \(5, 30\)",
    ),
    "values that are none": (lambda: fit().traverse(ROWS, 0, []), "minimum of 1 is required"),
    "values with NaN": (lambda: fit().traverse(ROWS, 0, [np.nan]), "values contains NaN"),
    "values in two rows": (lambda: fit().traverse(ROWS, 0, [[1, 2], [3, 4]]), "should be a 1d array"),
    "a weight of NaN": (lambda: fit(weight_decay=np.nan), "weight_decay == nan, must be finite"),
    "sigma without effect": (lambda: fit(np.abs(ROWS) / 9, likelihood="bernoulli", sigma=0.5), "sigma=0.5 has no"),
    "no turns": (lambda: fit().impute(ROWS, n_iter=0), "n_iter == 0"),
    "ends that are not pairs": (lambda: fit().interpolate(ROWS[:2], ROWS[:3]), "A has 2 rows and B 3"),
    "a way of one step": (lambda: fit().interpolate(ROWS[:2], ROWS[:2], 1), "n_steps == 1"),
    "an unknown way": (lambda: fit().interpolate(ROWS[:2], ROWS[:2], path="round"), "unknown path 'round'"),
    "a unit that is not there": (lambda: fit().traverse(ROWS, 2), "unit == 2, must be <= 1"),
    "no sigma": (lambda: fit(sigma=0.0), "sigma == 0.0"),
    "sigma by another word": (lambda: fit(sigma="learnt"), "unknown sigma 'learnt': did you mean 'learned'"),
    "one row": (lambda: fit(ROWS[:1]), r"1 sample\(s\)"),
    "no rows": (lambda: fit(ROWS[:0]), r"0 sample\(s\)"),
    "no columns": (lambda: fit(ROWS[:, :0]), r"0 feature\(s\)"),
    "one dimension": (lambda: fit(ROWS[0]), "Expected 2D array, got 1D array"),
    "five dimensions": (lambda: fit(np.zeros((2, 2, 2, 2, 2))), "dim 5|expected <= 2"),
    "wrong number of features": (
        lambda: fit().transform(ROWS[:, :4]),
        "X has 4 features, but Autoencoder is expecting 5",
    ),
    "wrong size of images": (lambda: fit(np.zeros((9, 4, 4))).transform(np.zeros((9, 4, 5))), "X has 20 features"),
    "wrong width of codes": (
        lambda: fit().inverse_transform(np.zeros((3, 7))),
        "7 columns, but the codes have n_components=2",
    ),
    "text": (lambda: fit([["a", "b"], ["c", "d"]]), "X holds text where numbers are needed"),
    "text in a frame": (lambda: fit(pd.DataFrame({"a": [1, 2], "name": ["x", "y"]})), "column 'name' holds text"),
    "ragged": (lambda: fit([[1.0, 2.0], [3.0]]), "inhomogeneous|sequence"),
    "negative for Bernoulli": (lambda: fit(likelihood="bernoulli"), r"needs X in \[0, 1\]"),
    "Bernoulli twice": (
        lambda: fit(np.abs(ROWS) / 9, likelihood="bernoulli", network=MLP(output_activation="sigmoid")),
        "leave output_activation=None",
    ),
    "KL on a code out of range": (
        lambda: fit(sparsity="kl", network=MLP(code_activation="relu")),
        r"a code in \(0, 1\)",
    ),
    "unknown activation": (
        lambda: fit(network=MLP(activation="rely")),
        "unknown activation 'rely': did you mean 'relu'",
    ),
    "unknown likelihood": (lambda: fit(likelihood="gausian"), "unknown likelihood 'gausian': did you mean 'gaussian'"),
    "unknown corruption": (lambda: fit(corruption="blur"), "unknown corruption 'blur'"),
    "unknown sparsity": (lambda: fit(sparsity="top_k"), "unknown sparsity 'top_k': did you mean 'topk'"),
    "unknown schedule": (lambda: fit(lr_schedule="cosine"), "unknown lr_schedule"),
    "unknown device": (lambda: fit(device="tpuu"), "device='tpuu'"),
    "a device that is not here": (lambda: fit(device="cuda:77"), "device='cuda:77'"),
    "precision of another library": (
        lambda: fit(precision="bf16-true"),
        "unknown precision 'bf16-true': give one of 'auto', '32-true', '64-true', '16-mixed', 'bf16-mixed'",
    ),
    "unknown compile": (lambda: fit(compile=None), "unknown compile None: give True, False or 'auto'"),
    "compile as a number": (lambda: fit(compile=1), "unknown compile 1: give True, False or 'auto'"),
    "unknown precision": (lambda: fit(precision="3"), "unknown precision '3': give one of 'auto'"),
    "unknown normalisation": (lambda: fit(network=MLP(normalization="group")), "unknown normalization 'group'"),
    "unknown linear path": (lambda: fit(network=MLP(linear_path="ica")), "unknown linear_path 'ica'"),
    "a width alone": (lambda: fit(network=MLP(hidden=64)), r"hidden=64: give whole numbers in a sequence"),
    "half a width": (lambda: fit(network=MLP(hidden=(6.5,))), "give whole numbers"),
    "tied to text": (lambda: fit(network=MLP(tied="false")), "tied='false': give True or False"),
    "a network by name": (lambda: fit(network="mlp"), r"network='mlp': give MLP\(...\)"),
    "an activation by number": (lambda: fit(network=MLP(activation=5)), "activation 5: give a name"),
    "no activation of one input": (lambda: fit(network=MLP(activation="glu")), "unknown activation 'glu'"),
    "a switch by text": (lambda: fit(early_stopping="false"), "early_stopping must be an instance of"),
    "a device that needs more": (lambda: fit(device="tpu"), "device='tpu'"),
    "a network that cannot take the rows": (
        lambda: fit(n_components=2, network=Modules(nn.Linear(4, 2), nn.Linear(2, 5))),
        "the network cannot take rows of this shape",
    ),
    "a gap in the labels": (lambda: compare(ROWS, ["a", None] * 15), "row 1 has no label"),
    "no seeds": (lambda: compare(ROWS, seeds=0), "seeds == 0"),
    "a name that is PCA's": (lambda: compare(ROWS, models={"PCA-2": Autoencoder()}), "names that PCA's do not have"),
    "a detector to compare": (lambda: compare(ROWS, models={"o": OutlierDetector()}), "give autoencoders of isthmus"),
    "no width": (lambda: fit(network=MLP(hidden=(8, 0))), "every width must be at least 1"),
    "full dropout": (lambda: fit(network=MLP(dropout=1.0)), r"dropout=1.0: give a share in \[0, 1\)"),
    "no components": (lambda: fit(n_components=0), "n_components == 0, must be >= 1"),
    "half a component": (lambda: fit(n_components=2.5), "n_components must be an instance of"),
    "no batch": (lambda: fit(batch_size=0), "batch_size == 0"),
    "negative rate": (lambda: fit(lr=-1), "lr == -1"),
    "negative weight": (lambda: fit(weight_decay=-1), "weight_decay == -1"),
    "all rows held out": (lambda: fit(validation_fraction=1.0), "validation_fraction == 1.0"),
    "more than all corrupted": (lambda: fit(corruption="masking", corruption_level=1.5), r"a share in \[0, 1\]"),
    "more on than there are": (lambda: SparseAutoencoder(4, k=5).fit(ROWS), "k=5 is more than n_components=4"),
    "contamination": (lambda: OutlierDetector(contamination=0.9).fit(ROWS), "contamination == 0.9"),
    "unknown dataset": (
        lambda: datasets.load("fashon_mnist"),
        "unknown dataset 'fashon_mnist': did you mean 'fashion_mnist'",
    ),
    "unknown dataset, nothing like it": (lambda: datasets.load("zzz"), "unknown dataset 'zzz': there are digits"),
    "unknown split": (lambda: datasets.load("digits", "validation"), "unknown split"),
    "unknown model": (
        lambda: compare(ROWS, models=["shallow"]),
        "unknown model 'shallow': compare knows 'under-complete'",
    ),
    "unknown network parameter": (
        lambda: Autoencoder().set_params(network__depth=3),
        "MLP has no parameter 'depth': it has hidden",
    ),
    "unknown parameter": (lambda: Autoencoder().set_params(depth=3), "Invalid parameter 'depth'"),
    # What other families make of their rows and parameters; more of these stand beside the families' own tests.
    "dates": (lambda: fit(np.zeros((9, 2), "M8[D]")), r"X holds datetime64\[D\]: give what of it matters as numbers"),
    "durations": (lambda: fit(np.zeros((9, 2), "m8[s]")), r"X holds timedelta64\[s\]"),
    "dates in a frame": (lambda: fit(FRAME.assign(day=pd.Timestamp("2020-01-01"))), "column 'day' holds datetime64"),
    "complex numbers": (lambda: fit(ROWS + 1j), "Complex data not supported: X holds complex128"),
    "nothing": (lambda: fit(None), "got 0D array instead"),
    "two columns of one name": (lambda: fit(FRAME.set_axis(list("abcda"), axis=1)), "more than one column 'a'"),
    "numbers without a square": (lambda: fit(ROWS * 1e200), "too far for the sum of its squares: divide it"),
    "single precision without a square": (lambda: fit((ROWS * 1e30).astype("f4")), "too far for the sum of its sq"),
    "an image that is missing": (
        lambda: fit(np.where(np.arange(5) == 2, np.nan, ROWS).reshape(30, 1, 5)),
        "nothing but NaN in entry 0, 2 of every row",
    ),
    "a callback that is none": (lambda: fit(callbacks=[3]), r"callbacks=\[3\]: give a list of functions"),
    "callbacks that are none": (lambda: fit(callbacks=3), "callbacks=3: give a list of functions"),
    "verbose by a word": (lambda: fit(verbose="loud"), "verbose must be an instance of"),
    "a seed by a word": (lambda: fit(random_state="x"), "'x' cannot be used to seed"),
    "codes in one row": (lambda: fit().inverse_transform([0, 1]), r"Z has the shape \(2,\): give codes as \(n, 2\)"),
    "infinity in codes": (lambda: fit().inverse_transform([[np.inf, 1]]), "infinity"),
    "another width at a warm start": (
        lambda: fit(warm_start=True).fit(ROWS[:, :3]),
        "X has 3 features, but Autoencoder is expecting 5",
    ),
    "no weight": (lambda: ContractiveAutoencoder(contraction_weight=-1).fit(ROWS), "contraction_weight == -1"),
    "an average that is all": (lambda: SparseAutoencoder(sparsity_target=1.0).fit(ROWS), "sparsity_target == 1.0"),
    "a level of two": (lambda: DenoisingAutoencoder(corruption_level=2).fit(ROWS), "masking takes a share in"),
    "no sample": (lambda: VariationalAutoencoder(max_epochs=1).fit(ROWS).sample(0), "n_samples == 0"),
    "a negative beta": (lambda: VariationalAutoencoder(beta=-1).fit(ROWS), "beta == -1"),
    "a sparse code that is Gaussian": (lambda: VariationalAutoencoder(sparsity="topk").fit(ROWS), "no meaning for a G"),
    "conditions that are missing": (lambda: ConditionalVariationalAutoencoder().fit(ROWS), "requires y to be passed"),
    "too few conditions": (lambda: ConditionalVariationalAutoencoder().fit(ROWS, [1, 2]), "y has 2 conditions"),
    "a sequence of text": (lambda: SequenceAutoencoder().fit([["a"], ["b"]]), "something else than numbers in seq"),
    "a sequence of dates": (lambda: SequenceAutoencoder().fit(np.zeros((5, 4), "M8[D]")), "in X, holds datetime64"),
    "a complex sequence": (lambda: SequenceAutoencoder().fit(ROWS + 1j), "Complex data not supported: X, in X, holds"),
    "unequal features": (lambda: SequenceAutoencoder().fit([ROWS, ROWS[:, :2]]), "2 features a step in sequence 1"),
    "a sequence without steps": (lambda: SequenceAutoencoder().fit([ROWS, ROWS[:0]]), r"shape \(0, 5\) in sequence 1"),
    "a sequence shorter than its future": (
        lambda: SequenceAutoencoder(future_steps=5).fit(ROWS),
        "5 steps in sequence 0, of which future_steps=5",
    ),
    "too few masks": (
        lambda: SequenceAutoencoder(max_epochs=1).fit(ROWS).impute(list(ROWS), [np.ones(5, bool)]),
        "mask is of 1 sequences, and X has 30",
    ),
    "a table of periods": (
        lambda: TabularAutoencoder().fit(FRAME.assign(day=pd.Period("2020", "D"))),
        "column 'day' .*period",
    ),
    "an array of dates": (lambda: TabularAutoencoder().fit(np.zeros((9, 2), "M8[D]")), "X holds datetime64"),
    "a table of nothing": (lambda: TabularAutoencoder().fit(FRAME.assign(b=None)), "nothing but NaN in column 'b'"),
    "a table whose columns are twice": (
        lambda: TabularAutoencoder().fit(FRAME.set_axis(list("abcda"), axis=1)),
        "more than one column 'a'",
    ),
    "a table without rows": (
        lambda: TabularAutoencoder(max_epochs=1).fit(FRAME).transform(FRAME[:0]),
        "X has 0 rows: give one or more",
    ),
    "a table without squares": (lambda: TabularAutoencoder().fit(ROWS * 1e200), "column 0 reaches too far for the sum"),
    "modalities without names": (lambda: MultimodalAutoencoder().fit(ROWS), "X is a ndarray: give a dict of arrays"),
    "modalities of unequal length": (
        lambda: MultimodalAutoencoder().fit({"a": ROWS, "b": ROWS[:9]}),
        "differ in their numbers of rows: 'a' has 30, 'b' has 9",
    ),
    "a modality of dates": (lambda: MultimodalAutoencoder().fit({"a": np.zeros((9, 2), "M8[D]")}), "holds datetime64"),
    "infinity in a modality": (lambda: MultimodalAutoencoder().fit({"a": with_value(np.inf)}), "'a' contains infinity"),
    "a detector of nothing": (lambda: OutlierDetector(3).fit(ROWS), "autoencoder=3: give an autoencoder of isthmus"),
    "a contamination of NaN": (lambda: OutlierDetector(contamination=np.nan).fit(ROWS), "contamination == nan"),
    "a level of two to compare": (lambda: compare(ROWS, corruption_level=2), "corruption_level == 2, must be <= 1"),
    "no components to compare": (lambda: compare(ROWS, n_components=0), "n_components == 0"),
    "one row to compare": (lambda: compare(ROWS[:1]), "X has 1 rows, too few to set some aside"),
    "too few labels to compare": (lambda: compare(ROWS, [1, 2]), "y has 2 labels, and X 30 rows"),
    "text to compare": (lambda: compare([["a", "b"]] * 9), "X holds text where numbers are needed"),
}


@pytest.fixture
def place(tmp_path, saved, monkeypatch):
    """A folder with files of every fault, and no others to be found."""
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    monkeypatch.setattr(catalogue.pooch, "os_cache", lambda name: tmp_path / "full")
    monkeypatch.setitem(catalogue.MIRRORS, "mnist", [])
    for folder in ("full/mnist", "empty", "pictures", "folder.csv"):
        (tmp_path / folder).mkdir(parents=True)
    for name, content in {
        "full/notes.txt": "mine",
        "full/mnist/train-images-idx3-ubyte.gz": "no gzip",
        "pictures/a.png": "no picture",
        "t.csv": "a,b\n1,2\n3,4\n",
        "gaps.csv": "a,b\nx,2\n,4\n",
        "words.csv": "a,b,c\nx,y,2\nz,w,4\n",
        "mixed.csv": "a,b\n1,2\nx,4\n5,6\n",
        "blank.csv": "\n\n",
        "header.csv": "a,b,c\n",
        "twice.csv": "a,a,b\n1,2,3\n4,5,6\n",
        "ragged.csv": "a,b\n1,2,3\n4,5,6\n",
        "text.parquet": "a,b\n1,2\n",
        "empty.npy": "",
    }.items():
        (tmp_path / name).write_text(content)
    for name, array in {
        "one": np.zeros((1, 8, 8)),
        "letters": np.array([["a", "b"], ["c", "d"]]),
        "dates": np.zeros((3, 2), "M8[D]"),
        "complex": np.zeros((3, 2), complex),
        "scalar": np.float64(3),
        "row": np.zeros(3),
        "norows": np.zeros((0, 3)),
        "deep": np.zeros((2, 2, 2, 2, 2)),
        "cube": np.zeros((4, 3, 2)),
        "wide": np.zeros((60, 3)),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "wrong.npz", X=np.zeros((2, 8, 8)), y=[1, 77])
    np.savez(tmp_path / "lengths.npz", X=np.zeros((10, 3)), y=[1, 2, 3, 4])
    np.savez(tmp_path / "objects.npz", X=np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "none.npz")
    numbers, people, series = (pd.read_csv(saved / f"{name}.csv") for name in ("numbers", "people", "series"))
    for name, table in {
        "inf": numbers.assign(b=numbers.b.where(numbers.index != 3, np.inf)),
        "gone": numbers.assign(b=np.nan),
        "single": numbers[:1],
        "two": numbers[["a", "b"]],
        "vanished": people.drop(columns="kind"),
        "more": people.assign(more=1),
        "old": people.assign(age="old"),
        "kinds": people.assign(kind=3),
        "unknown": people.assign(kind=None),
        "far": people.assign(size=people["size"] * 1e200),
        "short": series[:5],
        "spoken": series.assign(b=np.resize(["up", "down", "up"], len(series))),
        "times": series[["time"]],
        "renamed": series.rename(columns={"b": "c"}),
        "leap": series.assign(b=series.b.where(series.index != 7, np.inf)),
    }.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    people.assign(mix=[[1]] * len(people)).to_parquet(tmp_path / "lists.parquet")
    return tmp_path


@pytest.mark.parametrize("case", [*COMMANDS, *ESTIMATORS])
def test_a_mistake_has_its_line(case, request):
    """Of a command: exit status 2, one line on standard error, nothing left behind; of an estimator: one line."""
    if case in ESTIMATORS:
        act, pattern = ESTIMATORS[case]
        with pytest.raises((ValueError, TypeError), match=pattern) as error:
            act()
        assert "\n" not in str(error.value), error.value
        return
    run, saved, place = map(request.getfixturevalue, ("run", "saved", "place"))
    before = sorted([*place.rglob("*"), *saved.rglob("*")])
    status, _, err = run(case.replace("MODELS", str(saved)))
    assert status == 2
    assert COMMANDS[case].replace("MODELS", str(saved)) in err.replace(f"{place}/", "")
    assert err.startswith("isthmus: ")
    assert err.count("\n") == 1
    assert sorted([*place.rglob("*"), *saved.rglob("*")]) == before, "nothing is left behind"


def test_every_command_and_estimator_has_its_mistakes():
    told = " ".join(COMMANDS)
    for command in ("data", "train", "compare", "transform", "reconstruct", "score", "impute", "sample", "interpolate",
                    "neighbors", "report", "reproduce"):  # fmt: skip
        assert f"{command} " in told
    assert len(COMMANDS) + len(ESTIMATORS) > 200


FILES = {
    "no such file": ("rows.csv", None, FileNotFoundError, "there is no file .*rows.csv"),
    "unknown ending": ("rows.xlsx", b"", ValueError, r"rows.xlsx: give a file that ends in .npy"),
    "empty table": ("rows.csv", b"", ValueError, "cannot read .*rows.csv: No columns"),
    "ragged table": ("rows.csv", b"a,b\n1,2\n1,2,3,4\n", ValueError, "cannot read .*rows.csv: .*line 3"),
    "binary table": ("rows.csv", b"a,b\n\xff\xfe\0\1,2\n", ValueError, "cannot read .*rows.csv: it is not text"),
    "text column": ("rows.csv", b"a,name\n1,x\n2,y\n", ValueError, "column 'name' holds no numbers"),
    "broken parquet": ("rows.parquet", b"PAR1 but no more", ValueError, "cannot read .*rows.parquet"),
    "broken array": ("rows.npy", b"\x93NUMPY but no more", ValueError, "cannot read .*rows.npy"),
    "text for an array": ("rows.npy", b"1,2,3", ValueError, "cannot read .*rows.npy"),
    "broken archive": ("rows.npz", b"PK but no more", ValueError, "cannot read .*rows.npz"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_table(case, tmp_path):
    name, content, error, pattern = FILES[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=pattern) as raised:
        files.read(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_an_unknown_column(tmp_path):
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="no column 'c': it has 'a', 'b'"):
        files.read(tmp_path / "t.csv", label="c")
    np.savez(tmp_path / "t.npz", rows=[1], others=[2])
    with pytest.raises(ValueError, match="holds the arrays rows, others"):
        files.read(tmp_path / "t.npz")
    np.savez(tmp_path / "t.npz", X=[1])
    with pytest.raises(ValueError, match="no array 'c': it holds X"):
        files.read(tmp_path / "t.npz", label="c")
    np.save(tmp_path / "t.npy", [1])
    with pytest.raises(ValueError, match="leave the label out"):
        files.read(tmp_path / "t.npy", label="c")


def test_objects_in_arrays_are_not_unpickled(tmp_path):
    np.save(tmp_path / "t.npy", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "t.npz", X=np.array([{"a": 1}], dtype=object))
    for name in ("t.npy", "t.npz"):
        with pytest.raises(ValueError, match="cannot read"):
            files.read(tmp_path / name)


def test_methods_before_fit():
    from sklearn.exceptions import NotFittedError

    for method in ("transform", "reconstruct", "score_samples", "inverse_transform"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(Autoencoder(), method)(ROWS)
    with pytest.raises(NotFittedError):
        OutlierDetector().predict(ROWS)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/model.*is a file"):
        fit().save(tmp_path / "file" / "model")
    with pytest.raises(OSError, match="cannot write"):
        files.write(tmp_path / "file" / "codes.csv", ROWS, list("abcde"))
    with pytest.raises(ValueError, match=r"ends in .npy, .csv, .parquet"):
        files.write(tmp_path / "codes.txt", ROWS, list("abcde"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
