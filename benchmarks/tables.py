"""Mixed tables, on Adult: hidden layers as another model's features, and missing cells. `make tables`."""

import os
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from isthmus import TabularAutoencoder

COLUMNS = [
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
]  # fmt: skip


def adult():
    """Adult's training and test rows, with blanks where it has question marks; and who earns more than 50,000."""
    folder = Path(os.environ["ISTHMUS_DATA"], "tables")
    files = [("adult.train.csv", 0), ("adult.test.csv", 1)]  # the test file begins with a line that is no row
    parts = [
        pd.read_csv(folder / name, names=COLUMNS, skiprows=skip, skipinitialspace=True, na_values="?")
        for name, skip in files
    ]
    rich = [part.pop("income").str.startswith(">50K").to_numpy() for part in parts]
    return *parts, *rich


def features(train, test, y_train, y_test):
    """The accuracy of a logistic regression on the hidden layers of a model that saw no labels."""
    both = pd.concat([train, test], ignore_index=True)
    text = train.select_dtypes(exclude="number").columns
    plain = make_column_transformer(
        (StandardScaler(), train.columns.difference(text)),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
    ).fit(train)
    print("features | how many | C | accuracy on the test file")
    row("one-hot and standardised", regression(plain.transform(train), plain.transform(test), y_train, y_test))
    levels = {name: pd.CategoricalDtype(sorted(both[name].dropna().unique())) for name in text}
    as_categories = [part.astype(levels) for part in (train, test)]
    boosting = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
    accuracy = boosting.fit(as_categories[0], y_train).score(as_categories[1], y_test)
    print(f"gradient boosting on the columns | {train.shape[1]} | | {accuracy:.2%}", flush=True)
    for params in ({}, {"numbers": "standard"}, {"numbers": "rankgauss"}, {"bins": 0}):
        start = perf_counter()
        model = TabularAutoencoder(random_state=0, **params).fit(both)
        seconds = perf_counter() - start
        layers = model.transform(both, layers="all").astype(np.float32)
        result = regression(layers[: len(train)], layers[len(train) :], y_train, y_test)
        row(f"all layers of {model} ({seconds:.0f} s)", result)


def regression(train, test, y_train, y_test):
    """Fit logistic regressions to standardised features, the strength of the penalty by a fifth that is held out."""
    fitted, held_out, y_fitted, y_held_out = train_test_split(train, y_train, test_size=0.2, random_state=0)

    def at(strength):
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))

    strengths = (1e-3, 1e-2, 1e-1)
    losses = [log_loss(y_held_out, at(c).fit(fitted, y_fitted).predict_proba(held_out)) for c in strengths]
    best = strengths[int(np.argmin(losses))]
    return train.shape[1], best, at(best).fit(train, y_train).score(test, y_test)


def row(name, result):
    n, strength, accuracy = result
    print(f"{name} | {n} | {strength:g} | {accuracy:.2%}", flush=True)


def missing_cells(train, test):
    """A tenth of all known cells hidden: the error of what is filled in, in the test file."""
    both = pd.concat([train, test], ignore_index=True)
    hidden = (np.random.default_rng(0).random(both.shape) < 0.1) & both.notna().to_numpy()
    shown = both.mask(hidden)
    middle = {
        name: shown[name].median() if column.dtype.kind in "if" else shown[name].mode()[0]
        for name, column in both.items()
    }
    part = slice(len(train), None)
    print("filled in by | RMSE of numbers, in standard deviations | accuracy of categories")
    told("median and mode", imputation_errors(both, shown[part].fillna(middle), hidden[part]))
    for params in ({}, {"numbers": "standard"}, {"numbers": "rankgauss"}, {"corruption": "masking"}):
        model = TabularAutoencoder(random_state=0, **params).fit(shown)
        told(repr(model), imputation_errors(both, model.impute(shown[part]), hidden[part]))


def told(name, errors):
    print(f"{name} | {errors[0]:.3f} | {errors[1]:.1%}", flush=True)


def imputation_errors(both, filled, hidden):
    """Return the columns' mean root mean squared error, of numbers in standard deviations, and their mean accuracy."""
    true, rmse, accuracy = both.loc[filled.index], [], []
    for i, (name, column) in enumerate(true.items()):
        guess, right = filled[name][hidden[:, i]], column[hidden[:, i]]
        if column.dtype.kind in "if":
            rmse.append(np.sqrt(np.square((guess - right) / both[name].std()).mean()))
        else:
            accuracy.append((guess == right).mean())
    return np.mean(rmse), np.mean(accuracy)


def main():
    train, test, y_train, y_test = adult()
    missing_cells(train, test)
    features(train, test, y_train, y_test)


if __name__ == "__main__":
    main()
