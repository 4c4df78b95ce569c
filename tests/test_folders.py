"""Folders of images as people have them."""

import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import isthmus
from isthmus.sources import files, images
from isthmus.sources.datasets import load_folder


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i, suffix in enumerate(["png", "bmp", "gif", "tif"]):
            Image.fromarray(rng.integers(0, 256, (5, 7), np.uint8)).save(tmp_path / label / f"{i}.{suffix}")
    (tmp_path / "readme.txt").write_text("no image")
    (tmp_path / "cat" / ".hidden.png").write_bytes(b"no image either")
    return tmp_path


def test_grey(folder):
    X, y = load_folder(folder)
    assert X.shape == (8, 5, 7), "a GIF has a palette, of greys"
    assert X.dtype == np.uint8
    assert y.tolist() == ["cat"] * 4 + ["dog"] * 4
    first = np.asarray(Image.open(folder / "cat" / "0.png"))
    np.testing.assert_array_equal(X[0], first)


def test_one_in_colour_makes_all_so(folder):
    Image.fromarray(np.full((5, 7, 3), [1, 2, 3], np.uint8)).save(folder / "dog" / "9.png")
    X, _ = load_folder(folder)
    assert X.shape == (9, 3, 5, 7)
    assert X[-1, :, 0, 0].tolist() == [1, 2, 3]


def test_without_subfolders_there_are_no_labels(folder):
    assert load_folder(folder / "cat").y is None


def test_an_unreadable_image_is_named(folder):
    (folder / "dog" / "5.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(ValueError, match=r"cannot read the image .*dog/5.png") as error:
        load_folder(folder)
    assert "\n" not in str(error.value)


def test_a_truncated_image_is_named(folder):
    path = folder / "dog" / "0.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"dog/0.png"):
        load_folder(folder)


SIZES = {"wide.png": (40, 20), "tall.jpg": (15, 45), "small.bmp": (5, 4)}


@pytest.fixture
def mixed(tmp_path):
    """Pictures of three sizes: halves of red and green, on the left and on the right."""
    for name, (width, height) in SIZES.items():
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 1] = 200
        Image.fromarray(pixels).save(tmp_path / name, quality=95)
    return tmp_path


def test_sizes_that_differ_need_one(mixed):
    with pytest.raises(ValueError, match=r"tall.jpg is 15×45 pixels and small.bmp 5×4: .*size=32 \(--size 32\)"):
        load_folder(mixed)


@pytest.mark.parametrize(("size", "shape"), [(10, (10, 10)), ((8, 12), (8, 12)), (np.int64(6), (6, 6))])
def test_all_sizes_are_brought_to_one(mixed, size, shape):
    X, y = load_folder(mixed, size)
    assert X.shape == (3, 3, *shape)
    assert y is None
    for image in X[[1, 2]]:
        assert image[0, :, 0].min() > 180 > 20 > image[0, :, -1].max(), "red on the left"
        assert image[1, :, -1].min() > 180, "green on the right"


def test_what_is_padded_is_whole(mixed):
    wide = load_folder(mixed, 10, "pad").X[2]
    assert not wide[:, :2].any()
    assert not wide[:, -2:].any()
    assert wide[:, 4].any(0).all()


def test_the_middle_is_kept(tmp_path):
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert load_folder(tmp_path, 10).X.min() == 255
    np.testing.assert_array_equal(load_folder(tmp_path, (10, 30)).X[0], pixels, "as it is where it is of that size")


@given(size=st.tuples(st.integers(1, 24), st.integers(1, 24)), fit=st.sampled_from(["crop", "pad"]), grey=st.booleans())
@settings(max_examples=25, deadline=None)
def test_means_are_kept(tmp_path_factory, size, fit, grey):
    """An image of one tone is of that tone at any size; what is shrunk is not aliased."""
    folder = tmp_path_factory.mktemp("tones")
    Image.new("L" if grey else "RGB", (19, 31), 77 if grey else (77, 88, 99)).save(folder / "a.png")
    stripes = np.zeros((192, 192), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(folder / "b.png")
    X, _ = load_folder(folder, size, fit)
    assert X.shape == (2, *(() if grey else (3,)), *size)
    tones = (77,) if grey else (77, 88, 99)
    for channel, tone in enumerate(tones):
        tone_found = X[0] if grey else X[0, channel]
        assert set(np.unique(tone_found)) <= {0, tone} if fit == "pad" else (tone_found == tone).all()
    if fit == "crop":
        assert np.abs(X[1].astype(float) - 127.5).max() < 20


@pytest.mark.parametrize("wrong", [0, -3, 2.5, "32", (1, 2, 3), (0, 4), True, 10**6])
def test_no_size(mixed, wrong):
    with pytest.raises(ValueError, match="give pixels as one whole number, or as"):
        load_folder(mixed, wrong)


def test_an_unknown_fit(mixed):
    with pytest.raises(ValueError, match="unknown fit 'stretch'"):
        load_folder(mixed, 8, "stretch")


def see_through(mode):
    """Black on the left, transparent on the right."""
    alpha = Image.fromarray(np.repeat([[255, 0]], 4, 0).astype(np.uint8))
    if mode == "P":
        image = Image.new("P", (2, 4), 0)
        image.putpalette([0, 0, 0, 9, 9, 9])
        image.paste(1, (1, 0, 2, 4))
        return image, {"transparency": 1}
    image = Image.new(mode, (2, 4), 0)
    if mode in ("L", "RGB"):
        image.paste(9 if mode == "L" else (9, 9, 9), (1, 0, 2, 4))
        return image, {"transparency": 9 if mode == "L" else (9, 9, 9)}
    image.putalpha(alpha)
    return image, {}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    image, options = see_through(mode)
    image.save(tmp_path / "a.png", **options)
    with pytest.warns(UserWarning, match="what is transparent is laid on white: a.png"):
        X, _ = load_folder(tmp_path)
    assert X.shape == ((1, 4, 2) if mode in ("LA", "L", "P") else (1, 3, 4, 2))
    assert (X[..., 0] == 0).all()
    assert (X[..., 1] == 255).all()


def test_an_alpha_that_hides_nothing_is_not_spoken_of(tmp_path):
    Image.new("RGBA", (3, 3), (1, 2, 3, 255)).save(tmp_path / "a.png")
    assert load_folder(tmp_path).X[0, :, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("size", [None, 3])
def test_sixteen_bits(tmp_path, suffix, size):
    deep = np.random.default_rng(0).integers(0, 65536, (5, 5)).astype(np.uint16)
    deep[0, 0], deep[4, 4] = 0, 65535
    Image.fromarray(deep).save(tmp_path / f"a.{suffix}")
    Image.new("L", (5, 5), 51).save(tmp_path / "b.png")
    with pytest.warns(UserWarning, match=r"brought to \[0, 1\] \(of 16 bits: /65535\): a"):
        X, _ = load_folder(tmp_path, size)
    assert X.dtype == np.float32
    assert 0 <= X.min() < X.max() <= 1
    if size is None:
        np.testing.assert_allclose(X[0], deep / 65535, rtol=1e-6)
    np.testing.assert_allclose(X[1], 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((4, 4), 70_000, np.int32), "more than 16 bits a pixel"),
        (np.full((4, 4), -1, np.int32), "more than 16 bits a pixel"),
        (np.full((4, 4), 3.5, np.float32), r"floats beyond \[0, 1\]"),
        (np.full((4, 4), np.nan, np.float32), r"floats beyond \[0, 1\]"),
    ],
)
def test_pixels_whose_range_nobody_knows(tmp_path, pixels, reason):
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=rf"a.tif: .*{reason}"):
        load_folder(tmp_path)


def test_floats_in_the_unit_interval(tmp_path):
    pixels = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.warns(UserWarning, match="more than 8 bits"):
        np.testing.assert_array_equal(load_folder(tmp_path).X[0], pixels)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "RGB"])
def test_other_spaces_of_colours(tmp_path, mode):
    Image.new("RGB", (8, 8), (200, 40, 90)).convert(mode).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(load_folder(tmp_path).X[0, :, 4, 4], [200, 40, 90], atol=4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [None, 6])
def test_images_stand_upright(tmp_path, orientation, size):
    """However the camera was held, the picture is the one that was seen."""
    seen = np.kron(np.array([[0, 50, 100], [150, 200, 250]]), np.ones((8, 8))).astype(np.uint8)
    turns = [None, None, 0, 3, 1, 5, 2, 6, 4]  # of Image.Transpose, each the inverse of what the orientation asks for
    held = Image.fromarray(seen)
    if turns[orientation] is not None:
        held = held.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    held.save(tmp_path / "a.png", exif=exif)
    Image.fromarray(seen).save(tmp_path / "b.png")
    X, _ = load_folder(tmp_path, size)
    np.testing.assert_array_equal(X[0], X[1])


def test_a_large_photograph_is_read_as_well_as_a_small_one(tmp_path):
    """What a JPEG leaves out where it is read smaller is not seen."""
    x, y = np.meshgrid(np.linspace(0, 9, 900), np.linspace(0, 6, 600))
    pixels = (127 + 60 * np.sin(x) + 60 * np.cos(y)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for fit in ("crop", "pad"):
        X, _ = load_folder(tmp_path, 24, fit)
        np.testing.assert_allclose(X[0].astype(int), X[1], atol=3)


def test_the_first_frame_of_what_moves(tmp_path):
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (10, 90, 200)]
    for suffix in ("gif", "png", "webp", "tif"):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.warns(UserWarning, match=r"only the first frame is read: a.gif, a.png, a.tif and 1 more"):
        X, _ = load_folder(tmp_path)
    assert (X[:, 0] == 10).all()


def broken(folder):
    """One file of each way to be broken."""
    good = (folder / "cat" / "0.png").read_bytes()
    wrong = {
        "empty.png": b"",
        "text.jpg": b"<html>not found</html>",
        "cut.png": good[:-30],
        "flipped.png": good[:30] + bytes([good[30] ^ 255]) + good[31:],
        "bomb.png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 10**5, 10**5, 8, 0, 0, 0, 0)),
    }
    for name, content in wrong.items():
        (folder / "dog" / name).write_bytes(content)
    (folder / "dog" / "gone.png").symlink_to(folder / "nothing.png")
    return sorted([*wrong, "gone.png"])


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_what_is_broken_is_named_and_may_be_left_out(folder):
    before = load_folder(folder)
    names = broken(folder)
    with pytest.raises(ValueError, match=r"cannot read the image .*dog/bomb.png: .*skip_bad=True \(--skip-bad\)"):
        load_folder(folder)
    for name in names:
        others = [path for path in (folder / "dog").iterdir() if path.name in names and path.name != name]
        content = {path: (path.is_symlink(), None if path.is_symlink() else path.read_bytes()) for path in others}
        for path in others:
            path.unlink()
        with pytest.raises(ValueError, match=rf"cannot read the image .*dog/{name}: ") as error:
            load_folder(folder)
        assert "\n" not in str(error.value)
        for path, (link, data) in content.items():
            path.symlink_to(folder / "nothing.png") if link else path.write_bytes(data)
    with pytest.warns(UserWarning, match=r"left out: dog/bomb.png, dog/cut.png, dog/empty.png and 3 more that cannot"):
        X, y = load_folder(folder, skip_bad=True)
    np.testing.assert_array_equal(X, before.X)
    np.testing.assert_array_equal(y, before.y)
    pictures = images.read_images(folder, skip_bad=True)
    assert [path.parent.name for path in pictures.paths] == y.tolist()
    assert not {path.name for path in pictures.paths} & set(names)


def test_where_all_are_broken(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"none of the 1 images under .* can be read"):
        load_folder(tmp_path, skip_bad=True)


def test_a_loose_image_has_no_label(folder):
    Image.new("L", (7, 5)).save(folder / "montage.png")
    with pytest.warns(UserWarning, match="without a label, as outside of the subfolders: montage.png"):
        X, y = load_folder(folder)
    assert len(X) == len(y) == 9
    assert np.isnan(y[-1])
    assert y[:-1].tolist() == ["cat"] * 4 + ["dog"] * 4
    model = isthmus.ConditionalVariationalAutoencoder(2, max_epochs=1, random_state=0).fit(X, y)
    assert model.classes_.tolist() == ["cat", "dog"]


def test_what_is_no_picture_of_the_persons(folder):
    before = load_folder(folder)
    for place in (".ipynb_checkpoints", "__MACOSX/cat", "cat/.thumbnails"):
        (folder / place).mkdir(parents=True)
        Image.new("L", (9, 9)).save(folder / place / "a.png")
    (folder / "cat" / "._0.png").write_bytes(b"what a Mac leaves")
    for name in ("paper.pdf", "table.h5", "drawing.eps", "film.mpg"):
        (folder / "cat" / name).write_bytes(b"no image")
    elsewhere = folder / "dog" / "round"
    elsewhere.symlink_to(folder)
    with pytest.warns(UserWarning, match="links to folders are left out: dog/round"):
        X, y = load_folder(folder)
    np.testing.assert_array_equal(X, before.X)
    np.testing.assert_array_equal(y, before.y)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="holds no images: give"):
        load_folder(tmp_path)
    (tmp_path / "a.heic").write_bytes(b"")
    (tmp_path / "b.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no images, but 2 .heic: give"):
        load_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="is no folder of images"):
        load_folder(tmp_path / "a.heic")


def test_more_than_memory_holds(tmp_path, monkeypatch):
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(images.os, "sysconf", lambda name: 10)
    with pytest.raises(ValueError, match=r"1 images of 20×20 pixels take 4e-07 GB of memory, more than the 2.5e-08 GB"):
        load_folder(tmp_path)


def test_what_was_understood(folder):
    for name, image in (("6", Image.new("RGBA", (30, 20))), ("7", Image.fromarray(np.zeros((9, 9), np.uint16)))):
        image.save(folder / "dog" / f"{name}.png")
    (folder / "dog" / "5.png").write_bytes(b"no image")
    first, second = images.read_images(folder, (8, 12), "pad", skip_bad=True).summary
    assert first == (
        "10 images, 7×5 to 30×20 brought to 12×8 pixels (with black beside them), colour, 2 labels: cat 4, dog 6"
    )
    assert second == (
        "left out: dog/5.png that cannot be read; what is transparent is laid on white: dog/6.png; more than 8 bits a "
        "pixel, so all are brought to [0, 1] (of 16 bits: /65535): dog/7.png"
    )
    assert images.read_images(folder / "cat").summary == ["4 images, 7×5 pixels, grey, no labels"]


def test_the_channels_of_a_model(folder):
    Image.new("RGB", (7, 5), (200, 0, 0)).save(folder / "cat" / "9.png")
    grey = images.read_images(folder, colors=False)
    assert grey.data.X.shape == (9, 5, 7)
    assert grey.warnings == ["colours are brought to grey"]
    assert images.read_images(folder / "dog", colors=True).data.X.shape == (4, 3, 5, 7)


def test_load_takes_paths(folder, tmp_path):
    np.testing.assert_array_equal(isthmus.datasets.load(folder).X, load_folder(folder).X)
    np.testing.assert_array_equal(isthmus.datasets.load(str(folder), size=4).X, load_folder(folder, 4).X)
    np.savez(tmp_path / "a.npz", X=np.eye(3), other=[1, 2, 3])
    assert isthmus.datasets.load(tmp_path / "a.npz", label="other").y.tolist() == [1, 2, 3]
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    assert isthmus.datasets.load(tmp_path / "t.csv").X.columns.tolist() == ["a", "b"]
    assert isthmus.datasets.load(tmp_path / "t.csv", label="b").y.tolist() == ["x", "y"]
    wrong = {
        "there is no file": {"name": tmp_path / "no.csv"},
        "unknown dataset 'nowhere'": {"name": "nowhere"},
        "has no parts": {"name": tmp_path / "t.csv", "split": "test"},
        "size and skip_bad are for folders": {"name": tmp_path / "t.csv", "size": 3},
        "are its subfolders; leave it out": {"name": folder, "label": "a"},
    }
    for message, given_ in wrong.items():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            isthmus.datasets.load(**given_)


def eps(path):
    """A program for Ghostscript, by the name of an image."""
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 7 5\n%%EndComments\nshowpage\n%%EOF\n")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tiff"])
@pytest.mark.parametrize("kind", ["EPS", "PCX", "TGA", "JPEG2000", "ICO", "SGI"])
def test_what_is_in_a_file_counts_and_not_its_name(tmp_path, monkeypatch, name, kind):
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *command, **_: started.append(command))
    monkeypatch.setattr("subprocess.check_call", lambda *command, **_: started.append(command))
    if kind == "EPS":
        eps(tmp_path / name)
    else:
        Image.new("RGB", (16, 16)).save(tmp_path / name, kind)
    with pytest.raises(ValueError, match=rf"cannot read the image .*{name}: cannot identify image file"):
        load_folder(tmp_path)
    assert started == []


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_a_name_that_says_something_else_is_no_matter(tmp_path, kind):
    Image.new("L", (7, 5), 200).save(tmp_path / "a.png", kind)
    X, _ = load_folder(tmp_path)
    assert X.shape[-2:] == (5, 7)
    assert abs(int(X.max()) - 200) < 3


def test_formats_that_are_not_read_are_named(folder):
    for name in ("a.jp2", "b.tga", "c.tga"):
        Image.new("RGB", (7, 5)).save(folder / "cat" / name)
    with pytest.warns(UserWarning, match=r"left out: 3 in formats that are not read \(.jp2, .tga\): cat/a.jp2"):
        assert len(load_folder(folder).X) == 8


def test_an_image_may_have_so_many_pixels(tmp_path):
    """An image of a few bytes may claim any size; nothing of it is unpacked."""
    Image.new("1", (8, 8)).save(tmp_path / "huge.png")
    content = bytearray((tmp_path / "huge.png").read_bytes())
    content[16:24] = struct.pack(">II", 200_000, 100_000)  # of its header, whose checksum goes with it
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "huge.png").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"huge.png: it has 200,000×100,000 pixels, more than the 100,000,000 that are"
    ):
        load_folder(tmp_path, 8)
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()
    (tmp_path / "huge.png").unlink()
    Image.new("L", (60, 50)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"max_pixels=3000 \(--max-pixels 3000\) allows them"):
        load_folder(tmp_path, 8, max_pixels=2999)
    assert load_folder(tmp_path, 8, max_pixels=3000).X.shape == (1, 8, 8)
    with pytest.raises(ValueError, match=r"1 images of 8×8 pixels take 6.4e-08 GB of memory, more than the 6.3e-08 GB"):
        load_folder(tmp_path, 8, max_gb=63e-9)
    assert isthmus.datasets.load(tmp_path, size=8, max_gb=64e-9, max_pixels=3000).X.shape == (1, 8, 8)
    assert load_folder(tmp_path).X.shape == (1, 50, 60), "and what was allowed once is not for ever"
    assert Image.MAX_IMAGE_PIXELS is not None, "Pillow's own bound is the program's"
    for wrong in (0, -1, np.nan, np.inf, "3", True):
        with pytest.raises(ValueError, match=r"max_pixels=.*: give a number above 0"):
            load_folder(tmp_path, max_pixels=wrong)


@pytest.mark.parametrize("link", [True, False])
def test_a_pipe_does_not_have_one_wait(folder, link):
    os.mkfifo(folder / "pipe")
    (folder / "cat" / "z.png").symlink_to(folder / "pipe") if link else os.mkfifo(folder / "cat" / "z.png")
    with pytest.raises(ValueError, match=r"z.png: it is no file, but a pipe, a device or a folder; skip_bad=True"):
        load_folder(folder)
    with pytest.warns(UserWarning, match=r"left out: cat/z.png that cannot be read"):
        assert len(load_folder(folder, skip_bad=True).X) == 8


@pytest.mark.parametrize("target", ["z.png", "nowhere.png", "/dev/zero", ".."])
def test_links_that_lead_nowhere(folder, target):
    (folder / "cat" / "z.png").symlink_to(target)
    if target == "..":
        with pytest.warns(UserWarning, match="links to folders are left out: cat/z.png"):
            assert len(load_folder(folder).X) == 8
        return
    with pytest.raises(ValueError, match=r"cannot read the image .*z.png: "):
        load_folder(folder)
    with pytest.warns(UserWarning, match=r"left out: cat/z.png that cannot be read"):
        assert len(load_folder(folder, skip_bad=True).X) == 8


def test_a_folder_that_cannot_be_read(folder, monkeypatch):
    """The tests may run as root, who reads everything."""
    scandir = os.scandir

    def refuse(place):
        if str(place).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"cannot read the folder .*dog: Permission denied; skip_bad=True"):
        load_folder(folder)
    with pytest.warns(UserWarning, match=r"left out: folders that cannot be read: dog"):
        X, y = load_folder(folder, skip_bad=True)
    assert len(X) == 4
    assert y is None
    with pytest.raises(ValueError, match=r"cannot read the folder .*dog: Permission denied$"):
        load_folder(folder / "dog", skip_bad=True)


def test_an_image_without_pixels(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 0 4 255\n")
    with pytest.raises(ValueError, match=r"cannot read the image .*a.pgm: "):
        load_folder(tmp_path)
    (tmp_path / "a.pgm").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot read the image .*a.pgm: "):
        load_folder(tmp_path)


def test_names_that_are_not_utf8(folder):
    """Such a name is text with a half of a pair, which nothing that is written can hold."""
    wrong = os.fsdecode(os.fsencode(folder) + b"/caf\xe9")
    (folder / "dog").rename(wrong)
    Path(wrong, "0.png").rename(Path(wrong, os.fsdecode(b"\xff.png")))
    source = files.read_source(folder)
    assert set(source.data.y) == {"cat", "caf\\xe9"}
    assert "caf\\xe9/\\xff.png" in source.names
    for text in (*source.names, *source.understood):
        text.encode()
