"""The contractive autoencoder."""

from dataclasses import dataclass

from isthmus.models.base import AbstractAutoencoder


@dataclass(eq=False, repr=False)
class ContractiveAutoencoder(AbstractAutoencoder):
    """An autoencoder whose code is made to change little with its input: λ‖∂h/∂x‖²_F is added (Rifai et al. 2011).

    A one-layer encoder has the term in closed form, a code of up to 3 units by its exact Jacobian, a wider one by
    Hutchinson's unbiased estimate. A step with it takes some 1.2 times as long as one without where the encoder is one
    layer, and two to three times where it is deep; `docs/growth.md` has the figures.

    Parameters
    ----------
    contraction_weight : float, default 0.1
        Weight λ of that term. All other parameters are those of :class:`isthmus.Autoencoder`.

    Examples
    --------
    >>> from isthmus import ContractiveAutoencoder, datasets
    >>> X, y = datasets.load("digits")
    >>> contractive = ContractiveAutoencoder(8, max_epochs=5, random_state=0).fit(X)
    >>> sorted(contractive.history_[-1]["train"])
    ['contractive', 'loss', 'mse', 'reconstruction']
    """

    contraction_weight: float = 0.1
