"""Data of many classes: characters of fonts; the class is the character."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path("/usr/share/fonts/truetype")
# Package of Debian, files. Families for testing differ from those for training.
TRAIN_FONTS = {
    "fonts-noto-core": ("noto/NotoSans-*.ttf", "noto/NotoSerif-*.ttf", "noto/NotoSansMono-*.ttf"),
    "fonts-freefont-ttf": ("freefont/*.ttf",),
    "fonts-liberation": ("liberation/LiberationMono-*.ttf", "liberation/LiberationSerif-*.ttf"),
    "fonts-open-sans": ("open-sans/OpenSans-*.ttf",),
    "fonts-jetbrains-mono": ("jetbrains-mono/JetBrainsMono-*.ttf",),
}
TEST_FONTS = {
    "fonts-roboto-unhinted": ("roboto/unhinted/RobotoTTF/Roboto-*.ttf",),
    "fonts-sil-gentiumplus": ("gentiumplus/Gentium*.ttf",),
    "fonts-hack": ("hack/Hack-*.ttf",),
}
# Latin, Greek and Cyrillic, of characters that look the same in two scripts only one.
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&@#%?!ßæø"
GREEK = "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπσφχψω"
CYRILLIC = "БДЖЗИЙЛЦЧШЩЫЭЮЯбвджзийлцчшщыэюя"
CHARACTERS = LATIN + GREEK + CYRILLIC
SIDE = 28
MISSING = "\uffff"  # never a character: shows the sign that a font has for missing ones


def character_images() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each character in each font, turned, shifted and scaled a little, white on black with noise.

    Returns:
        Training images (n, 28, 28), their labels, indices into `CHARACTERS`, test images, their labels.

    Raises:
        FileNotFoundError: If a Debian package with fonts is missing.
    """
    return *_images(TRAIN_FONTS, seed=0), *_images(TEST_FONTS, seed=1)


def _images(fonts: Mapping[str, tuple[str, ...]], seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for path in _files(fonts):
        font = ImageFont.truetype(str(path), 20)
        missing = bytes(font.getmask(MISSING))
        for label, character in enumerate(CHARACTERS):
            if bytes(font.getmask(character)) != missing:
                images.append(_image(font, character, rng))
                labels.append(label)
    return np.stack(images), np.array(labels)


def _files(fonts: Mapping[str, tuple[str, ...]]) -> list[Path]:
    found = []
    for package, patterns in fonts.items():
        files = [path for pattern in patterns for path in sorted(FOLDER.glob(pattern))]
        if not files:
            raise FileNotFoundError(f"The fonts are in the Debian package {package}: apt-get install {package}")
        found += files
    return found


def _image(font: ImageFont.FreeTypeFont, character: str, rng: np.random.Generator) -> np.ndarray:
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).text((SIDE / 2, 20), character, fill=255, font=font, anchor="ms")  # all on one base line
    turn, scale = np.radians(rng.uniform(-12.0, 12.0)), rng.uniform(0.9, 1.2)
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    middle = SIDE / 2
    right, down = rng.uniform(-2.0, 2.0, 2)
    moved = image.transform(
        (SIDE, SIDE),
        Image.Transform.AFFINE,
        (
            cosine,
            -sine,
            middle - middle * cosine + middle * sine + right,
            sine,
            cosine,
            middle - middle * sine - middle * cosine + down,
        ),
        Image.Resampling.BILINEAR,
    )
    noisy = np.asarray(moved) * rng.uniform(0.5, 1.0) + rng.normal(0.0, 25.0, (SIDE, SIDE))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
