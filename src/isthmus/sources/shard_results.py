"""What a model says of the shards of a table, in shards: resumed where it stopped, and shared among processes."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pyarrow import parquet

from isthmus.errors import InputError, InputTypeError, shown
from isthmus.saving.atomic import check_writable, replacing
from isthmus.sources.endings import check_folder_apart, is_sharded
from isthmus.sources.pieces import Piece, Store, merged, n_rows, said_where
from isthmus.sources.reading import in_order
from isthmus.sources.results import as_table, in_file_order, with_row_names, write_parts
from isthmus.sources.shards import Shards

NOTE = "_results.json"
"""What a folder of results says of them."""

Ending = Literal["parquet", "npy"]


class Shard(NamedTuple):
    """A shard, its result, and how far that is.

    Attributes
    ----------
    path, result : path
    n_rows : int
    is_new : bool
        Whether it was written now, or was there already.
    """

    path: Path
    result: Path
    n_rows: int
    is_new: bool


def write_shards(
    method: Callable[..., object],
    source: str | Path,
    folder: str | Path,
    *,
    y: str | Sequence[str] | None = None,
    drop: Sequence[str] = (),
    ending: Ending = "parquet",
    **parameters: Any,
) -> list[Path]:
    """Apply a method of a fitted model to a table in Parquet shards, and write the result of each shard to a file.

    Each file is written whole or not at all. Shards whose results are there already are left out: so it goes on where
    it was stopped or killed. Of several processes, started by torchrun, Slurm's srun or whatever sets ``RANK`` and
    ``WORLD_SIZE``, each takes its share of the shards, every so many-th, and none waits for another.

    Parameters
    ----------
    method : callable
        Of a fitted model: ``model.transform``, ``model.score_samples``, ``model.reconstruct`` or ``model.impute``.
    source : path
        A folder of Parquet files, or one.
    folder : path
        Where to: the results have the names of the shards. What they are of, ``_results.json`` says there.
    y : str or sequence of str, optional
        Columns that are the conditions of a conditional model, and no features for any other.
    drop : sequence of str, optional
        Columns that are left out.
    ending : {"parquet", "npy"}, default "parquet"
        What the results' names end in. In Parquet codes are ``code_0``, ``code_1``, …, scores ``score``, entries of
        rows as their columns are called or ``x_0``, …, and the names of rows, where the index of the table that was
        written had some, stand first. ``.npy`` holds numbers alone.
    **parameters
        What else the method takes, such as ``n_iter=50``.

    Returns
    -------
    list of path
        The results of the shards that are this process's, in order; some may have been there before.

    Raises
    ------
    ValueError
        If the folder holds the results of another model, method or source, or of rows that have changed since, a shard
        cannot be read, or as the method does.
    TypeError
        If `method` is no method of a fitted model.
    OSError
        If a result cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from isthmus import Autoencoder, datasets
    >>> X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
    >>> model = Autoencoder(2, max_epochs=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as here:
    ...     Path(here, "rows").mkdir()
    ...     for i in range(3):
    ...         X[20 * i : 20 * i + 20].to_parquet(f"{here}/rows/{i}.parquet")
    ...     files = datasets.write_shards(model.transform, f"{here}/rows", f"{here}/codes")
    ...     print([file.name for file in files], list(pd.read_parquet(files[0])))
    ['0.parquet', '1.parquet', '2.parquet'] ['code_0', 'code_1']
    """
    return [shard.result for shard in results_of(method, source, folder, y=y, drop=drop, ending=ending, **parameters)]


def results_of(
    method: Callable[..., object],
    source: str | Path,
    folder: str | Path,
    *,
    y: str | Sequence[str] | None = None,
    drop: Sequence[str] = (),
    ending: Ending = "parquet",
    prepared: Callable[[Piece], Piece] | None = None,
    **parameters: Any,
) -> Iterator[Shard]:
    """Yield each shard of this process once its result is there; see :func:`write_shards`.

    `prepared` makes of each piece what the method takes.
    """
    source, folder = _parquet_at(source), Path(folder)
    if ending not in ("parquet", "npy"):
        raise InputError(f"ending={ending!r}: give 'parquet' or 'npy'")
    check_folder_apart(folder, source)
    whole = Shards(source, y)  # all footers: what is wrong with one is said before any is written
    _check_columns(whole, drop)
    applied = Applied(method, parameters, tuple(drop), prepared)
    check_writable(folder / NOTE)
    pairs = list(zip(whole.paths, _results_in(folder, source, whole.paths, ending), strict=True))
    described = applied.described() | {"source": str(source.resolve()), "y": y if y is None else _plain(y)}
    _note(folder, described, pairs, whole.signatures_of_files)
    rank, world = share_of_process()
    for (path, result), n in list(zip(pairs, whole.rows_of_files, strict=True))[rank::world]:
        is_new = not result.exists()
        if is_new:
            parts = applied.parts(Shards(path, y) if n else whole, whole.schema.names, as_arrays=ending == "npy")
            write_parts(result, parts if n else (next(parts)[:0],), n)
        elif (its := _n_rows(result)) != n:
            raise InputError(f"{result} has {its} rows, and {path} {n}: delete it, and it is written anew")
        yield Shard(path, result, n, is_new)


class Applied:
    """A method of a fitted model, with what it is told beside the rows.

    Parameters
    ----------
    method : callable
    parameters : dict
        What else it takes.
    drop : sequence of str
        Columns that are left out.
    prepared : callable, optional
        Makes of each piece what the method takes.
    """

    def __init__(
        self,
        method: Callable[..., object],
        parameters: dict[str, object],
        drop: Sequence[str] = (),
        prepared: Callable[[Piece], Piece] | None = None,
    ) -> None:
        self.model, self.name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if not hasattr(self.model, "declared"):
            raise InputTypeError(f"method={shown(method)}: give a method of a fitted model, such as model.transform")
        self._method, self._parameters, self._drop, self._prepared = method, parameters, drop, prepared
        self._takes_y = bool(getattr(self.model, "takes_conditions", False))

    def of(self, piece: Piece) -> Any:
        """Return what the method gives of a piece."""
        with said_where(piece):
            piece = piece if not self._drop else piece._replace(X=piece.X.drop(columns=list(self._drop)))
            piece = piece if self._prepared is None else self._prepared(piece)
            told = {"y": piece.y} if self._takes_y and piece.y is not None else {}
            return self._method(piece.X, **self._parameters, **told)

    def parts(
        self, rows: Store, columns: Sequence[str] = (), *, as_arrays: bool = False, unnamed: str = "row"
    ) -> Iterator[pd.DataFrame | np.ndarray]:
        """Yield the result of each piece as a table.

        Parameters
        ----------
        rows : Store
        columns : sequence of str
            Those of its file, in order.
        as_arrays : bool
            Whether the method's arrays are left as they are, and nothing stands beside them.
        unnamed : str
            What the column of the rows' names is called, where these have none.
        """
        done, files = 0, getattr(rows, "names", None)
        for piece in merged(in_order(rows)):
            values = self.of(piece)
            done += n_rows(piece.X)
            if as_arrays and isinstance(values, np.ndarray):
                yield values
                continue
            table = as_table(self.model, self.name, values)
            if self.name == "impute":
                table = in_file_order(table, None if piece.y is None else pd.DataFrame(piece.y), columns)
            if files is not None:
                table = table.set_axis(pd.Index(files[done - len(table) : done], name="file"))
            index = piece.X.index if isinstance(piece.X, pd.DataFrame) else table.index
            yield table if as_arrays else with_row_names(table, index, unnamed)

    def described(self) -> dict[str, object]:
        """Return what results are of, as JSON can hold it."""
        return {
            "class": type(self.model).__name__,
            "model": fingerprint(self.model),
            "method": self.name,
            "parameters": {name: _plain(value) for name, value in self._parameters.items()},
            "drop": list(self._drop),
        }


def fingerprint(model: object) -> str:
    """Return the SHA-256 of a fitted model's weights, and of what it has learnt of its rows."""
    digest = hashlib.sha256()
    for each in {id(model): model, **{id(own): own for own in getattr(model, "autoencoders_", ())}}.values():
        codecs = {name: codec for name, codec in each.declared().items() if name != "history_" and hasattr(each, name)}
        learnt = {name: codec.to_json(getattr(each, name)) for name, codec in codecs.items()}
        known = {"class": type(each).__name__, "layers": getattr(each, "layers", None), "learnt": learnt}
        digest.update(json.dumps(known, sort_keys=True).encode())
        if hasattr(each, "module_"):
            for name, tensor in each.module_.state_dict().items():
                values = tensor.numpy(force=True)
                digest.update(f"{name}{values.shape}{values.dtype}".encode() + values.tobytes())
    return digest.hexdigest()


def share_of_process() -> tuple[int, int]:
    """Return the rank of this process and how many there are: of those that torchrun, or Slurm's srun, has started.

    The script that srun is called in has a number too, and is alone: only srun says how many its step has.
    """
    for rank, world in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        own, of_all = os.environ.get(rank, ""), os.environ.get(world, "")
        if own and of_all:
            if not (own.isdecimal() and of_all.isdecimal() and int(own) < int(of_all)):
                raise InputError(f"{rank}={own} and {world}={of_all} in the environment: give a rank from 0 below that")
            return int(own), int(of_all)
    return 0, 1


def _check_columns(shards: Shards, drop: Sequence[str]) -> None:
    """Raise ValueError where a column that is to be left out is not there."""
    gone = [name for name in drop if name not in shards.schema.names]
    if gone:
        raise InputError(f"drop names the column {gone[0]!r}, which is not in {shards.name}")


def _results_in(folder: Path, source: Path, paths: Sequence[Path], ending: Ending) -> list[Path]:
    """Return where the results of shards go: by their names, in the folders that they are in."""
    own = [Path(path.name) if path == source else path.relative_to(source) for path in paths]
    return [folder / path.with_suffix(f".{ending}") for path in own]


def _note(
    folder: Path, described: dict[str, object], pairs: Sequence[tuple[Path, Path]], signatures: Sequence[str]
) -> None:
    """Write down what results are of; raise ValueError where those that are there are of something else.

    A note without results is of a call that failed before the first.
    """
    path = folder / NOTE
    # What is there is asked before the note is read: another process writes the note first, and results after it.
    any_there, there = _holds_results(folder), [result for _, result in pairs if result.exists()]
    if path.exists() and any_there:
        noted = _noted(path)
        _check_alike(folder, noted, described)
        _check_unchanged(noted, pairs, signatures, there)
    elif there:
        raise InputError(f"{there[0]} is there already, and nothing says what it is of: give another folder")
    shards = {result.relative_to(folder).as_posix(): own for (_, result), own in zip(pairs, signatures, strict=True)}
    text = json.dumps(described | {"shards": shards}, indent=2)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _holds_results(folder: Path) -> bool:
    found = (each.relative_to(folder) for each in folder.rglob("*") if each.suffix in (".parquet", ".npy"))
    return any(not each.name.startswith(".") for each in found)


def _noted(path: Path) -> dict[str, object]:
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} is altered, and nothing else says what the results there are of: delete them"
        ) from error
    return noted if isinstance(noted, dict) else {}


def _check_alike(folder: Path, noted: dict[str, object], described: dict[str, object]) -> None:
    """Raise ValueError where results are of another model, method or source."""
    for name, value in described.items():
        its = noted.get(name)
        if its != value:
            what = "another model" if name == "model" else f"the {name} {shown(its, 60)}, and not {shown(value, 60)}"
            raise InputError(f"{folder} holds results of {what}: give another folder, or delete it")


def _check_unchanged(
    noted: dict[str, object], pairs: Sequence[tuple[Path, Path]], signatures: Sequence[str], there: Sequence[Path]
) -> None:
    """Raise ValueError where a shard has other rows than when its result was written."""
    shards = noted.get("shards")
    known = set(shards.values()) if isinstance(shards, dict) else set()
    for (path, result), own in zip(pairs, signatures, strict=True):
        if own not in known and result in there:
            raise InputError(f"{path} has changed since {result} was written: delete that, and it is written anew")


def _n_rows(result: Path) -> int:
    try:
        if result.suffix == ".npy":
            return len(np.load(result, mmap_mode="r"))
        with parquet.ParquetFile(result) as file:
            return int(file.metadata.num_rows)
    except (ValueError, EOFError, OSError) as error:  # Arrow's are of ValueError
        raise InputError(f"cannot read {result}: delete it, and it is written anew") from error


def _parquet_at(source: object) -> Path:
    """Return the path of rows in Parquet; raise ValueError where there are none."""
    if not isinstance(source, str | Path):
        raise InputTypeError(f"source={shown(source)}: give the path of a folder of Parquet files, or of one")
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if not (is_sharded(path) or path.suffix == ".parquet"):
        raise InputError(f"write_shards takes Parquet, in a folder or one file, and {path} is none: use the method")
    return path


def _plain(value: object) -> object:
    """Return a parameter as JSON can hold it; an array by its checksum."""
    if isinstance(value, np.ndarray | pd.DataFrame | pd.Series):
        array = np.ascontiguousarray(np.asarray(value))
        return hashlib.sha256(f"{array.shape}{array.dtype}".encode() + array.tobytes()).hexdigest()
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return str(value)
