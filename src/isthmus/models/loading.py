"""Saved estimators of all families, from their folders."""

from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator
from torch import Tensor

from isthmus.errors import InputError
from isthmus.models.autoencoder import Autoencoder as Autoencoder
from isthmus.models.building import Families, Networks, build, plan, unpacked
from isthmus.models.conditional import ConditionalVariationalAutoencoder as ConditionalVariationalAutoencoder
from isthmus.models.contractive import ContractiveAutoencoder as ContractiveAutoencoder
from isthmus.models.denoising import DenoisingAutoencoder as DenoisingAutoencoder
from isthmus.models.multimodal import MultimodalAutoencoder as MultimodalAutoencoder
from isthmus.models.outlier import OutlierDetector as OutlierDetector
from isthmus.models.own import Trusted, listed
from isthmus.models.sequence import SequenceAutoencoder as SequenceAutoencoder
from isthmus.models.sparse import SparseAutoencoder as SparseAutoencoder
from isthmus.models.tabular import TabularAutoencoder as TabularAutoencoder
from isthmus.models.variational import VariationalAutoencoder as VariationalAutoencoder
from isthmus.saving import persistence
from isthmus.saving.attributes import JsonObject
from isthmus.saving.untrusted import WRONG, one_line

FAMILIES: Families = {
    each.__name__: each
    for each in vars().values()
    if isinstance(each, type) and issubclass(each, BaseEstimator) and each is not BaseEstimator
}
"""The families that can be loaded: those that are imported here."""


def load(folder: str | Path, *, network: Networks = None, trusted: Trusted = ()) -> Any:
    """Load a saved estimator; it computes the same numbers to the bit.

    Parameters
    ----------
    folder : path
        What ``save`` wrote.
    network : MLP, Modules, dict of these or None, default None
        For a model whose network is not described by names and numbers (your own modules, activations as modules):
        the same network again, for its weights to be put into; a dict where it was `networks` that was one.
    trusted : class, function, str or iterable of these, default ()
        For a model whose class is a subclass of your own, or that has parts of your own (likelihood, bottleneck,
        penalties, corruption, optimizer): these classes and functions, or their import paths as text,
        ``"package.module:Mine"`` or ``"package.module.Mine"``, which are then imported. Nothing that a folder names is
        imported unless it is named here. A class of a script (``__main__``) or of a function has no import path: give
        the class itself.

    Returns
    -------
    estimator
        Fitted, on the CPU.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `folder` is no model folder.
    TypeError
        If `trusted` has in it what is neither a class or function nor text.
    ValueError
        If a file is truncated, altered or of another version, its parts do not fit together, or `network` or `trusted`
        is needed and is not given, or does not fit.

    Notes
    -----
    A folder may be a stranger's: nothing in it is run, and nothing is taken for granted because a checksum is right.
    The model is first built without memory and held against the names, shapes and dtypes of the weights in the file.

    Examples
    --------
    >>> import isthmus, tempfile
    >>> X, y = isthmus.datasets.load("digits")
    >>> autoencoder = isthmus.Autoencoder(max_epochs=1, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     autoencoder.save(folder)
    ...     again = isthmus.load(folder)
    >>> bool((again.transform(X) == autoencoder.transform(X)).all())
    True
    """
    folder, named = Path(folder), listed(trusted)

    def check(whole: JsonObject, described: dict[str, Tensor]) -> None:
        config, weights = unpacked(whole, described)
        plan(config, weights, network, named, FAMILIES)

    try:
        whole, weights = persistence.read(folder, check)
        return build(*unpacked(whole, weights), network, named, FAMILIES)
    except WRONG as error:
        reason = one_line(error)
        if not reason.startswith(str(folder)):
            reason = f"{folder} does not describe a model that this isthmus can build: {reason}"
        raise InputError(reason) from error
