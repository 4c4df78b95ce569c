"""Under-complete, over-complete and convolutional on MNIST, from clean pixels and from half of them."""

import pandas as pd

from isthmus.evaluation.error import corrupted, mean_squared_error
from isthmus.models import Autoencoder
from isthmus.networks import MLP, Conv
from isthmus.networks.parameters import Network
from isthmus.reproduce.result import Figure, Findings, Images, Table
from isthmus.reproduce.study import Study

TITLE = "Under-complete, over-complete, convolutional"

SETTING = (
    "MNIST, pixels scaled to [−1, 1]; tanh on the output. Dense: a code of 30 or of 500 units, tanh too. "
    "Convolutional: 1→4→16 channels, 3×3, ReLU, 2×2 max-pool (a code of 16×12×12), back by transposed 16→4 3×3 and "
    "4→1 2×2 with stride 2. Squared error, Adam 1e-3, batch 256, 20 epochs. Dropped: half of the pixels set to 0, the "
    "others doubled, the clean image to be found."
)

PUBLISHED = {  # the training loss at epoch 20, how far from it we may be, the task that it turns out to belong to
    "under-complete, 30": (0.0574, 0.006, "clean"),
    "over-complete, 500": (0.0407, 0.003, "dropped"),
    "convolutional": (0.0038, 0.0015, "clean"),
}

NOTES = (
    "The three published losses are not of one task: the under-complete and the convolutional figure belong to clean "
    "input, while the over-complete network was given half of its pixels dropped. So the tables have all three on both "
    "tasks. On one and the same task the convolutional network was found to lead the dense 500 by a fifth from dropped "
    "pixels, and not at all from clean ones; the published figures, put side by side, say ten times.",
    "Published losses are training losses, and so the verdicts are by training losses; the first table is of test "
    "images.",
)

DROPPED = 0.5
SHOWN = 10


def run(study: Study) -> Findings:
    """Fit three models on two tasks."""
    X, _, X_test, _ = study.load("mnist")
    X, X_test = 2 * X - 1, 2 * X_test - 1
    shown = {"clean": X_test, "dropped": corrupted(X_test, "dropout", DROPPED, study.seed)}
    train, test = pd.DataFrame(), pd.DataFrame()
    pictures = {task: {"input": rows[:SHOWN]} for task, rows in shown.items()}
    for task, rows in shown.items():
        for name, (components, network) in networks().items():
            model = study.fit(f"{name}, {task}", autoencoder(study, components, network, task), X)
            rebuilt = model.reconstruct(rows)
            train.loc[task, name] = model.history_[-1]["train"]["mse"]
            test.loc[task, name] = mean_squared_error(X_test, rebuilt)
            pictures[task][name] = rebuilt[:SHOWN]
    published = pd.DataFrame({name: [loss] for name, (loss, *_) in PUBLISHED.items()}, ["published (training)"])
    text = "Test images, and what each model makes of them."
    return Findings(
        [
            Figure(f"training loss, {name}, {task} pixels", train[name][task], loss, tolerance)
            for name, (loss, tolerance, task) in PUBLISHED.items()
        ],
        [
            Table("Test error of each model on each task", pd.concat([test, published])),
            Table("Training error in the last epoch", pd.concat([train, published])),
        ],
        NOTES,
        [
            Images(f"From {task} pixels", text, [{name: (rows + 1) / 2 for name, rows in lines.items()}])
            for task, lines in pictures.items()
        ],
    )


def networks() -> dict[str, tuple[int, Network]]:
    """Return each model's number of components and its network."""
    dense = MLP(hidden=(), linear_path=None, code_activation="tanh", output_activation="tanh")
    convolutional = Conv(
        channels=(4, 16),
        kernel_size=3,
        stride=1,
        padding=0,
        pool=(None, "max"),
        activation="relu",
        decoder_channels=(4,),
        decoder_kernel_size=(3, 2),
        decoder_stride=(1, 2),
        dense=False,
        output_activation="tanh",
    )
    return {
        "under-complete, 30": (30, dense),
        "over-complete, 500": (500, dense),
        "convolutional": (16 * 12 * 12, convolutional),
    }


def autoencoder(study: Study, components: int, network: Network, task: str) -> Autoencoder:
    """Return a model of the published setting."""
    return Autoencoder(
        components,
        network=network,
        corruption="dropout" if task == "dropped" else None,
        corruption_level=DROPPED,
        max_epochs=study.epochs(20),
        batch_size=256,
        lr=1e-3,
        lr_schedule="constant",
        validation_fraction=None,
        random_state=study.seed,
    )
