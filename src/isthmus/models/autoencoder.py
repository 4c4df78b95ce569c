"""The plain autoencoder, and the parameters that all families share."""

from dataclasses import dataclass

from isthmus.models.base import AbstractAutoencoder


@dataclass(eq=False, repr=False)
class Autoencoder(AbstractAutoencoder):
    """An autoencoder: under- or over-complete, one layer or deep, plain or with any of the terms below.

    It minimises −log p(x | z) plus the weighted penalties. With the default network it starts at the data's PCA and
    leaves it only for weights that are better on held-out rows.

    Parameters
    ----------
    n_components : int, default 2
        Units of the code.
    network : MLP, Conv, Transformer, Modules or None, default None
        The encoder and the decoder; None is ``MLP()``, whose first layer has fewer than 512 units where it would have
        more than a million weights, and more than a quarter of as many as there are numbers in X; never under 16.
    likelihood : {"gaussian", "bernoulli"} or Likelihood, default "gaussian"
        What the decoder's output means: the mean of a normal (squared error), or the logit of a pixel in [0, 1]
        (cross-entropy); or an :class:`isthmus.parts.Likelihood` of your own, or its class (``docs/own-parts.md``).
    sigma : float or "learned", default 1
        Standard deviation of that normal, one for all features, in the units of X: given, or learnt with the weights
        and put, after each epoch, where it is most likely.
    scale : {"standard", "auto"} or None, default None
        Whether rows are standardised inside: each column of a table, or each channel of images, to mean 0 and variance
        1 over the training rows. All that is given back is in the units of X, scores in nats of these; `sigma`, a
        corruption's level, the terms in the history and codes are as if X had been standardised before. ``"auto"``
        does it where X has a spread that does harm, of which None only warns, and says so.
    bottleneck : {"deterministic", "gaussian"}, Bottleneck or None, default None
        What becomes of the encoder's output: it is the code; or it is the mean and the variance of a normal that the
        code is drawn from, as a variational autoencoder's, whose KL is then a term of the loss; or what an
        :class:`isthmus.parts.Bottleneck` of your own, or of its class, makes of it, of which ``fit`` trains a copy.
        None is what the family and `sparsity` say.
    corruption : {"gaussian", "masking", "dropout", "salt_and_pepper", "swap", "block"}, callable or None, default None
        What is done in training to the rows that the encoder is shown. ``masking`` hides entries, ``block`` a rectangle
        of an image or a run of a row: what is hidden looks to the encoder as what is missing (NaN) does at use, so that
        such a model fills gaps in. The others are noise: ``gaussian`` adds some, ``dropout`` sets entries to 0 and
        scales up the rest, ``salt_and_pepper`` sets entries to the batch's lowest or highest value, ``swap`` takes them
        from another row. With a Transformer ``masking`` hides whole patches, which are not encoded at all, and the loss
        counts the hidden ones alone (He et al. 2021).
        A function of your own is called as ``function(x, generator=generator)`` and returns rows shaped like `x`.
    corruption_level : float, default 0.25
        The noise's standard deviation in the units of X for ``gaussian``, else the share of entries, or of
        patches, in [0, 1].
    sparsity : {"kl", "l1", "topk"} or None, default None
        How the code is made sparse: KL(ρ ‖ ρ̂) on a sigmoid code (Ng 2011); Σ|h| and a threshold of β below which a
        unit is zero (the proximal operator of β Σ|h|; a Gaussian code has the sum alone); or all units but the `k`
        largest set to zero (Makhzani & Frey 2013).
    sparsity_target : float in (0, 1), default 0.05
        Share ρ of the rows in which a unit should be on; for ``"kl"``.
    sparsity_weight : float, default 0.1
        Weight β of the sparsity term, for ``"kl"`` and ``"l1"``; for the latter also, in the units of the code,
        the threshold.
    k : int or None, default None
        Units that stay on in a row for ``"topk"``; None is a tenth of them, at least one.
    contraction_weight : float, default 0
        Weight λ of ‖∂h/∂x‖²_F (Rifai et al. 2011).
    weight_decay : float, default 0
        Weight λ of ‖W‖², summed over all weight matrices.
    penalties : dict of str to float or (callable, float), or None, default None
        Further terms of the loss: ``"contractive"``, ``"l1"`` or ``"weight_decay"`` with a weight alone; or a name of
        your own with a function of an :class:`isthmus.parts.Forward` and its weight. A term is of shape (rows,), or ()
        where it belongs to the batch; it is in the history by its name, unweighted.
    max_epochs : int or None, default None
        Passes over the training rows; None is 15 for 60,000 rows and more the fewer there are, up to 150.
    batch_size : int, default 128
        Rows a step.
    lr : float, default 2e-3
        Adam's learning rate, or its peak. The weights of a layer of more than 784 inputs have 784/inputs of it.
    lr_schedule : {"one_cycle", "constant"}, default "one_cycle"
        Whether the learning rate rises and falls once over the training, or stays.
    optimizer : callable or None, default None
        A class of ``torch.optim``, or a function of groups of parameters that returns an optimizer; `lr` and
        `lr_schedule` apply to it, and its momentum is its own. None is Adam.
    max_grad_norm : float or None, default None
        What the norm of the gradient, over all weights, is cut to; None leaves it.
    on_nonfinite : {"roll_back", "raise"}, default "roll_back"
        What to do where the loss becomes NaN or infinite: go back to the end of the epoch before and on at half the
        learning rate, three times at most, each with a warning; or raise FloatingPointError. ``roll_back`` goes back
        also, ten times at most, where an epoch's squared error rises to more than twice what it was before training,
        for few rows a little more, and the loss with it; ``raise`` lets that be.
    validation_fraction : float in (0, 1) or None, default 0.1
        Share of the rows held out to choose the best epoch by; no fewer than 50 rows, or a quarter where that is less,
        as fewer could not tell better from worse. None trains on every row and keeps the last weights.
    monitor : str, default "loss"
        By what the best epoch is chosen on held-out rows, the lower the better: any name in the record's
        ``"validation"``, such as ``"reconstruction"``, ``"mse"`` or that of a penalty.
    early_stopping : bool, default False
        Whether to stop when `monitor` on held-out rows has not fallen for `patience` epochs. The best weights are kept
        either way; ``lr_schedule="constant"`` goes well with it, as a cycle that is cut short never comes to rest.
    patience : int, default 10
        See `early_stopping`; in epochs.
    warm_start : bool, default False
        Whether ``fit`` goes on from the weights of the last one.
    random_state : int, RandomState or None, default None
        An int makes two fits on one machine equal to the bit.
    device : str, default "auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``; ``"auto"`` takes the best there is.
    devices : int, default 1
        Processes that train together on a machine, each on a device of its own, or on its part of the CPU's cores, and
        each on its share of every batch. ``fit`` starts them itself; those that ``torchrun`` or ``srun`` has started
        are taken as they are (``docs/distributed.md``). Results differ from those of one process by rounding alone.
    nodes : int, default 1
        Machines of so many devices each, on all of which the same is to be run; see ``docs/distributed.md``.
    precision : str, default "auto"
        Of the training: ``"32-true"``, ``"64-true"``, ``"bf16-mixed"``, ``"16-mixed"``, as Lightning Fabric names
        them. ``"auto"`` is ``"32-true"``, or ``"64-true"`` on a CPU for up to 250,000 numbers of float64. Dense
        networks whose layers and batches are large (512 units and 5e8 multiply-adds a step, as of 784-784-64 at 1,024
        rows) take their products in bfloat16 on a machine with fast units for them, as ``"bf16-mixed"`` does: AMX,
        AVX512-BF16, or an NVIDIA GPU from Ampere on. Terms of the loss are in float32 then. What is computed after the
        training is in the dtype of X.
    compile : bool or "auto", default False
        Whether each step of the training, with its gradient and Adam, is one graph, compiled with ``torch.compile``: it
        takes half a minute or so before the first step, and small networks then train half as fast again. What cannot
        be compiled (dropout, batch normalisation, LSTM, modules of your own) trains as usual, with a warning, as it
        does where there is no C++ compiler. The numbers differ by rounding. ``"auto"`` compiles where the run is long
        enough to repay it: small networks of 100,000 steps or more.
    callbacks : sequence of callables, default ()
        Each is handed every epoch's record, and one that has a second argument without a default also the estimator,
        fitted so far; the training ends where one returns True.
    verbose : int, default 0
        0 is silent, 1 shows a progress bar, 2 also what Lightning Fabric logs. A model that is loaded is silent again.

    Attributes
    ----------
    module_ : Module
        The trained model, with ``encoder`` and ``decoder``.
    history_ : list of dict
        One record an epoch: ``{"epoch", "seconds", "train": {term: value, "loss", "mse"}, "validation": {…}}``; terms
        unweighted, in nats a row. ``"loss"`` is their weighted sum, constants of the density and all; ``"mse"`` is the
        squared error an entry of the rows as they are, rebuilt from what the encoder is shown in training: corrupted,
        where there is a corruption, and from a draw of the code, where it is Gaussian. ``"train"`` is a mean over the
        epoch, while the weights change; ``"validation"`` is of the weights at its end.
    start_ : dict or None
        The validation record before the first step: PCA's, with the default network.
    best_epoch_ : int
        The epoch whose weights are kept, the best on held-out rows; the last one where none were held out. 0 is the
        start: no epoch was better by more than three standard errors, and ``fit`` has warned of it.
    held_out_ : ndarray of int
        The rows of `X` that were held out to choose that epoch by, empty where none were; not saved.
    n_features_in_ : int
        Features (or pixels times channels) of a row.
    feature_names_in_ : ndarray of str
        The names of a DataFrame's columns.
    row_shape_ : tuple of int
        The shape of a row.
    hidden_ : tuple of int
        Widths of the default network's hidden layers; where `network` is None.
    sigma_ : float
        The standard deviation of a Gaussian likelihood.
    mean_, scale_ : ndarray of shape (features,), or (channels,) for images
        What rows are standardised by, where they are; see `scale`.
    n_iter_ : int
        Epochs run.
    interrupted_ : bool
        Whether the training was ended from the keyboard.
    rescaled_ : bool
        Whether a row with gaps is shown to the encoder with the mean in these and the distances of what is known from
        it divided by the share that is known. So it is where the training rows had gaps, or some were made by
        ``masking`` or ``block``; not in tables and sequences.
    dead_units_ : int
        With `sparsity`, unless the code is Gaussian: units of the code that are on in no row that ``fit`` was given,
        held-out ones among them, by the kept weights. A unit is on where it is not zero; one of a ``"kl"`` code, which
        never is, counts as on if it changes by more than 0.01 over the rows.
    threshold_ : float
        With ``sparsity="l1"``, unless the code is Gaussian: what |h| must exceed for a unit to be on. Models saved by
        versions of isthmus that set no unit to zero have none.

    Warns
    -----
    UserWarning
        If more than a tenth of the units of a sparse code are dead.

    Notes
    -----
    To ``transform``, ``reconstruct``, ``impute``, ``score_samples``, ``log_likelihood`` and the other methods that give
    something of each row, and ``inverse_transform`` of each code, rows may come a piece at a time, so that they never
    are in memory as a whole: from a path of a ``.npy`` file, a Parquet file, a folder of these (shards) or of images,
    from a data set or data loader of PyTorch (of a shuffled one too in the order of its data set), or an iterable of
    batches, also a generator, which gives them once alone. The result is then an iterator with a result for each piece,
    in the form that the method gives for such rows in memory, the index of dataframes going on; ``score`` is the mean
    over all. A memory map gives one array, as an array does. A mask shaped like the rows is cut with them; conditions
    come as ``fit`` takes them of such rows, or one for all. What is wrong with the first piece is said with the call,
    and of later ones where they are read, with the name of the piece.

    Examples
    --------
    >>> from isthmus import Autoencoder, datasets
    >>> X, y = datasets.load("digits")
    >>> autoencoder = Autoencoder(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1437, 8)
    >>> autoencoder.reconstruct(X).shape
    (1437, 8, 8)
    """
