"""A model's folder: whole, checked, or refused in one line."""

import json

import numpy as np
import pytest
import torch

import isthmus
from isthmus import Autoencoder
from isthmus.networks import MLP
from isthmus.saving import persistence
from isthmus.saving.atomic import replacing


@pytest.fixture
def folder(digits, tmp_path):
    Autoencoder(3, network=MLP(hidden=[16, 8], activation="tanh"), max_epochs=1, random_state=0).fit(digits).save(
        tmp_path / "model"
    )
    return tmp_path / "model"


def refuses(folder, pattern, error=ValueError):
    with pytest.raises(error, match=pattern) as raised:
        isthmus.load(folder)
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


def edit(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def reseal(folder, change):
    """Change a config and give it a right checksum again, as an older or newer isthmus would."""

    def both(config):
        config.pop("config_sha256")
        change(config)
        config["config_sha256"] = persistence._sha256(persistence._canonical(config))

    edit(folder, both)


def test_what_is_in_a_folder(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config["version"] == 3
    assert config["model"]["class"] == "Autoencoder"
    assert config["model"]["params"]["network"] == {
        "class": "MLP",
        "params": MLP(hidden=[16, 8], activation="tanh").get_params(),
    }


def test_parameters_come_back(folder):
    model = isthmus.load(folder)
    assert model.network.hidden == (16, 8)
    assert model.n_components == 3
    assert model.row_shape_ == (8, 8)
    assert model.module_.training is False


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_truncated(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refuses(folder, "truncated or altered")


def test_truncated_config(folder):
    path = folder / "config.json"
    path.write_text(path.read_text()[:-20])
    refuses(folder, "truncated or altered")


def test_a_flipped_bit(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    refuses(folder, "truncated or altered")


def test_an_altered_config(folder):
    edit(folder, lambda config: config["model"]["params"].update(n_components=4))
    refuses(folder, "altered: its checksum differs")


def test_another_version(folder):
    reseal(folder, lambda config: config.update(version=99))
    refuses(folder, "of version 99, and this isthmus reads versions 2 to 4")


def test_another_class(folder):
    reseal(folder, lambda config: config["model"].update({"class": "Transmogrifier"}))
    refuses(folder, "Transmogrifier")


def test_weights_that_do_not_fit(folder):
    reseal(folder, lambda config: config["model"]["params"].update(n_components=4))
    refuses(folder, "size mismatch|does not describe a model")


def test_other_peoples_json(folder):
    (folder / "config.json").write_text('{"a": 1}')
    refuses(folder, "is not an isthmus model's config")
    (folder / "config.json").write_text("[1]")
    refuses(folder, "is not an isthmus model's config")
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    refuses(folder, "truncated or altered")


def test_no_folder(tmp_path):
    refuses(tmp_path / "nowhere", "is not a model folder: it has no config.json", FileNotFoundError)
    refuses(tmp_path, "is not a model folder", FileNotFoundError)


def test_a_model_takes_the_place_of_another(folder, digits):
    model = Autoencoder(5, max_epochs=1).fit(digits)
    model.save(folder)
    np.testing.assert_array_equal(isthmus.load(folder).transform(digits), model.transform(digits))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_other_peoples_folders_are_left_alone(digits, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    model = Autoencoder(max_epochs=1).fit(digits)
    with pytest.raises(FileExistsError, match="holds other files and no model"):
        model.save(tmp_path)
    with pytest.raises(FileExistsError, match="it is a file"):
        model.save(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_fitted_models_are_saved(tmp_path):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        Autoencoder().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_callbacks_and_generators_are_not_saved_and_do_not_hinder(digits, tmp_path):
    model = Autoencoder(max_epochs=1, callbacks=[print], random_state=np.random.RandomState(0))
    model.callbacks = [lambda record: None]
    model.fit(digits).save(tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    assert again.callbacks == ()
    assert again.random_state is None


def test_parameters_that_were_changed_do_not_spoil_a_model(folder, digits):
    model = isthmus.load(folder)
    codes = model.transform(digits)
    with pytest.raises(ValueError, match="the parameters are not those of the last fit"):
        model.set_params(n_components=7).save(folder)
    np.testing.assert_array_equal(isthmus.load(folder).transform(digits), codes)


def test_other_files_in_the_folder_stay(folder, digits):
    (folder / "notes.txt").write_text("mine")
    Autoencoder(5, max_epochs=1).fit(digits).save(folder)
    assert isthmus.load(folder).n_components == 5
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_save_that_fails_leaves_the_old_model(folder, digits, monkeypatch):
    codes = isthmus.load(folder).transform(digits)
    monkeypatch.setattr(persistence.json, "dumps", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        persistence.write(folder, {}, {"a": torch.zeros(1)})
    monkeypatch.undo()
    np.testing.assert_array_equal(isthmus.load(folder).transform(digits), codes)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_widths_as_an_array(digits, tmp_path):
    model = Autoencoder(3, network=MLP(hidden=np.array([8, 4])), max_epochs=1).fit(digits)
    model.save(tmp_path / "model")
    assert isthmus.load(tmp_path / "model").network.hidden == (8, 4)
    assert "8" in repr(model)


def test_weights_keep_their_dtype(digits, tmp_path):
    model = Autoencoder(max_epochs=1, precision="64-true").fit(digits)
    model.save(tmp_path / "model")
    assert isthmus.load(tmp_path / "model").module_.encoder.path.linear.weight.dtype == torch.float64
