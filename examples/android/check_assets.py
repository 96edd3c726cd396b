"""Compares the assets of the app with its code: names, labels, size and type of the input.

    python examples/android/check_assets.py [ANDROID_PROJECT]

Exits with 1 and says what does not fit.
"""

import re
import sys
import zipfile
from pathlib import Path

from automl_keras.errors import ExportError
from automl_keras.export import TFLiteModel

SOURCES = Path("app", "src", "main")
CONSTANT = re.compile(r'^const val (\w+) = "?([^"\n]+?)"?$', re.MULTILINE)
NEEDED = ("MODEL_ASSET", "LABELS_ASSET", "DECODED_SIDE")
PIXELS = ("uint8", "float32")


def constants(project: Path) -> dict[str, str]:
    """The constants in the Kotlin code."""
    text = "\n".join(file.read_text("utf-8") for file in sorted((project / SOURCES).rglob("*.kt")))
    return dict(CONSTANT.findall(text))


def problems(project: Path) -> list[str]:
    """What does not fit, one sentence each."""
    known = constants(project)
    missing = [f"The Kotlin code has no constant {name}." for name in NEEDED if name not in known]
    if missing:
        return missing
    assets = project / SOURCES / "assets"
    names = (known["MODEL_ASSET"], known["LABELS_ASSET"])
    missing = [f"The code opens {name}, which is not in {assets}." for name in names if not (assets / name).is_file()]
    if missing:
        return missing
    found = _problems_of_file(assets / names[0], assets / names[1], int(known["DECODED_SIDE"]))
    suffix = Path(names[0]).suffix.removeprefix(".")
    if f'noCompress += "{suffix}"' not in (project / "app" / "build.gradle.kts").read_text("utf-8"):
        found.append(f'app/build.gradle.kts must keep {names[0]} uncompressed: noCompress += "{suffix}".')
    return found


def _problems_of_file(model: Path, labels: Path, decoded_side: int) -> list[str]:
    try:
        file = TFLiteModel(model)
        with zipfile.ZipFile(model) as archive:
            inside = archive.read("labels.txt").decode("utf-8").split("\n")
    except (ExportError, zipfile.BadZipFile, KeyError) as error:
        return [f"{model.name} is no file of this package with labels: {error}"]
    found = []
    shape, pixels = file.image_shape, file.input_details["dtype"].__name__
    if len(shape) != 3 or shape[2] != 3 or pixels not in PIXELS:
        found.append(f'{model.name} takes {pixels} of shape {shape}: export it with input="rgb_uint8".')
    elif max(shape[:2]) > decoded_side:
        found.append(f"{model.name} takes {shape[0]}x{shape[1]} pixels, the code decodes {decoded_side}: DECODED_SIDE.")
    if labels.read_text("utf-8").split("\n") != inside:
        found.append(f"{labels.name} has other labels than {model.name} inside.")
    scores = int(file.output_details["shape"][-1])
    if scores != len(inside):
        found.append(f"{model.name} has {scores} scores and {len(inside)} labels.")
    return found


def main(project: Path) -> int:
    """The exit code."""
    found = problems(project)
    print("\n".join(found) or f"The assets of {project} fit its code.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
