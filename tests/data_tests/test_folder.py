import numpy as np
import pytest
from PIL import Image

from automl_keras.data.folder import all_images, find_images, read_images, usual_shape
from automl_keras.errors import InvalidDataError


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    image.save(path, **options)
    return path


def grey(height=6, width=8, value=100):
    return np.full((height, width), value)


def test_classes_are_sub_folders(tmp_path):
    for name in ("b/2.png", "b/1.PNG", "a/x/deep.jpg", "a/photo.jpeg", "c/old.bmp", ".hidden/1.png", "a/.hidden.png"):
        save(tmp_path / name, grey(), format=None if not name.endswith("PNG") else "png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "list.csv").write_text("no image")
    files = find_images(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files.paths] == [
        "a/photo.jpeg",
        "a/x/deep.jpg",
        "b/1.PNG",
        "b/2.png",
        "c/old.bmp",
    ]
    assert files.labels.tolist() == ["a", "a", "b", "b", "c"]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(6, 8)] * 3, (6, 8, 1)),
        ([(6, 8), (10, 20), (6, 9)], (6, 9, 1)),
        ([(200, 400)] * 2, (48, 96, 1)),
        ([(1, 5000)], (1, 96, 1)),
    ],
)
def test_usual_shape_is_the_median_within_96_pixels(tmp_path, sizes, expected):
    paths = [save(tmp_path / f"{index}.png", grey(*size)) for index, size in enumerate(sizes)]
    assert usual_shape(tuple(paths)) == expected


def test_a_larger_usual_shape_can_be_asked_for(tmp_path):
    paths = (save(tmp_path / "1.png", grey(200, 400)),)
    assert usual_shape(paths, 224) == (112, 224, 1)
    assert usual_shape(paths, 32) == (16, 32, 1)


def test_one_colour_image_makes_three_channels(tmp_path):
    paths = (save(tmp_path / "1.png", grey()), save(tmp_path / "2.png", np.full((6, 8, 3), 7)))
    assert usual_shape(paths) == (6, 8, 3)
    images = read_images(paths, (6, 8, 3))
    assert images.dtype == np.uint8
    assert images[0, 0, 0].tolist() == [100, 100, 100]
    assert images[1, 0, 0].tolist() == [7, 7, 7]


def test_every_mode_is_decoded_to_its_meaning(tmp_path):
    red = np.tile(np.uint8([[[200, 0, 0]]]), (4, 4, 1))
    transparent = np.dstack([red, np.full((4, 4), 128, np.uint8)])
    cases = {
        "palette": Image.fromarray(red).convert("P", palette=Image.Palette.ADAPTIVE),
        "one_bit": Image.fromarray(np.full((4, 4), 255, np.uint8)).convert("1"),
        "sixteen_bit": Image.fromarray(np.full((4, 4), 257 * 50, np.uint16)),
        "alpha": Image.fromarray(transparent),
        "grey_alpha": Image.fromarray(np.dstack([np.full((4, 4), 80), np.full((4, 4), 255)]).astype(np.uint8)),
    }
    paths = tuple(save(tmp_path / f"{name}.png", image) for name, image in cases.items())
    images = read_images(paths, (4, 4, 3))
    expected = [[200, 0, 0], [255, 255, 255], [50, 50, 50], [100, 0, 0], [80, 80, 80]]
    np.testing.assert_allclose(images[:, 1, 1], expected, atol=1)


def test_other_sizes_are_scaled(tmp_path):
    left_half = np.zeros((40, 20))
    left_half[:, :10] = 200
    [image] = read_images((save(tmp_path / "1.png", left_half),), (4, 4, 1))
    assert image[:, 0, 0].min() > 180
    assert image[:, 3, 0].max() < 20


def test_orientation_tags_are_obeyed(tmp_path):
    top = np.zeros((8, 16))
    top[:2] = 255
    image = Image.fromarray(top.astype(np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise: the top comes to the right
    path = save(tmp_path / "1.jpg", image, exif=exif, quality=100)
    assert usual_shape((path,)) == (16, 8, 1)
    [turned] = read_images((path,), (16, 8, 1))
    assert turned[:, -1].min() > 200
    assert turned[:, 0].max() < 50


def test_many_files_keep_their_order(tmp_path):
    paths = tuple(save(tmp_path / f"{index}.png", grey(2, 2, index % 250)) for index in range(600))
    assert read_images(paths, (2, 2, 1))[:, 0, 0, 0].tolist() == [index % 250 for index in range(600)]


def test_refused_folders(tmp_path):
    with pytest.raises(InvalidDataError, match=r"`x` must be an existing folder\. Received: x='.*none'"):
        find_images(tmp_path / "none")
    (tmp_path / "a").mkdir()
    with pytest.raises(
        InvalidDataError, match=r"one sub-folder of PNG, JPEG or BMP files for each class.*1 sub-folders"
    ):
        find_images(tmp_path)
    save(tmp_path / "b" / "1.png", grey())
    with pytest.raises(InvalidDataError, match=r"must have images.*none in \['a'\]"):
        find_images(tmp_path)


@pytest.mark.parametrize("broken", ["not an image", "truncated", "empty"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_broken_images_are_named(tmp_path, broken, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (30, 30), dtype=np.uint8)
    whole = save(tmp_path / f"whole{suffix}", noise)
    path = tmp_path / f"broken{suffix}"
    path.write_bytes({"not an image": b"hello" * 100, "truncated": whole.read_bytes()[:600], "empty": b""}[broken])
    with pytest.raises(InvalidDataError, match=rf"whole PNG, JPEG or BMP file\. Received: '.*broken\{suffix}'"):
        read_images((whole, path), (30, 30, 1))


def test_all_images_of_a_path(tmp_path):
    paths = [save(tmp_path / name, grey()) for name in ("b.png", "a/c.png", "a/b.jpg")]
    assert [path.name for path in all_images(tmp_path)] == ["b.jpg", "c.png", "b.png"]
    assert all_images(str(paths[0])) == (paths[0],)
    for nothing in (tmp_path / "none", tmp_path / "a" / "c.txt"):
        with pytest.raises(InvalidDataError, match="a PNG, JPEG or BMP file or a folder with some"):
            all_images(nothing)
