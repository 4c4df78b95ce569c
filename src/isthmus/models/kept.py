"""Which weights a fit has kept, in words."""

from sklearn.base import BaseEstimator


def kept_start(estimator: BaseEstimator) -> bool:
    """Tell whether what training began with is what a fitted estimator is; False where that is not known."""
    return getattr(estimator, "best_epoch_", None) == 0


def name_of_start(estimator: BaseEstimator) -> str:
    """Say what training began with."""
    if estimator.warm_start:
        return "what this fit began with (warm_start)"
    network = estimator.default_network() if estimator.network is None else estimator.network
    at_pca = getattr(network, "linear_path", None) == "pca"
    linear = getattr(estimator.module_.encoder, "centre", None) is not None  # a fusion of several has no such path
    if not (at_pca and linear):
        return "the untrained start"
    return f"the start ({estimator.module_.bottleneck.linear_start})"


def kept_in_words(estimator: BaseEstimator) -> str:
    """Say which weights a fitted estimator has; nothing where an older version did not note it."""
    if not hasattr(estimator, "best_epoch_"):
        return ""
    if kept_start(estimator):
        return f"kept: epoch 0 of {estimator.n_iter_}, {name_of_start(estimator)}"
    return f"kept: epoch {estimator.best_epoch_} of {estimator.n_iter_}"


def why_start_is_kept(estimator: BaseEstimator) -> str:
    """Say why what training began with is what came out, and what to try."""
    is_scaled = estimator.scales_itself or hasattr(estimator, "scale_")
    scaled = "" if is_scaled else "scale='standard', "
    return (
        f"the model is still {name_of_start(estimator)}: no epoch was better on held-out rows by more than three "
        f"standard errors; try more rows or epochs, {scaled}another network or lr, or validation_fraction=None, which "
        "keeps the last epoch"
    )
