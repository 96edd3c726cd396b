"""What the code of the pages finds, and how much less it does than for a reader."""

import re
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier
from automl_keras.data import DatasetInfo
from automl_keras.search_space import image_space, macro_space

# Searches, trainings and images become small; each pattern stands for all pages.
SHORTER = {
    r"\b(fine_tune|seconds|epochs)=\d+": r"\1=1",
    r"\bmax_trials=\d+": "max_trials=1",
    r"range\((?:20|50)\)": "range(2)",
    r"\((?:28, 28|32, 32), [13]\)": "(8, 8, 1)",
    r"LatencyTable\.measure\(space\)": "LatencyTable.measure(space, networks=1)",
    r"Budget\(max_size_kb=\d+\)": "Budget(max_size_kb=70)",
    r"Budget\(max_latency_ms=[\d.]+\)": "Budget(max_latency_ms=50.0)",
    r"/shared/search": "shared",
    r'weights="imagenet"': "weights=None",  # nothing is downloaded
}
NUM_IMAGES, NUM_TEST = 300, 60


def shortened(code: str) -> str:
    """The code with small numbers in place of large ones."""
    for pattern, replacement in SHORTER.items():
        code = re.sub(pattern, replacement, code)
    return code


def names() -> dict[str, Any]:
    """The names that pages may use without making them: handwritten digits, a model and what builds one."""
    digits = load_digits()
    images, labels = digits.images[..., None].astype(np.float32), digits.target
    x, x_test = images[:NUM_IMAGES], images[NUM_IMAGES : NUM_IMAGES + NUM_TEST]
    y, y_test = labels[:NUM_IMAGES], labels[NUM_IMAGES : NUM_IMAGES + NUM_TEST]
    info = DatasetInfo(
        image_shape=(8, 8, 1),
        input_dtype="float32",
        pixel_mean=(4.9,),
        pixel_std=(6.0,),
        pixel_range=(0.0, 16.0),
        classes=tuple(range(10)),
        num_train=NUM_IMAGES,
        num_validation=NUM_TEST,
    )
    return {
        "np": np,
        "keras": keras,
        "x": x,
        "y": y,
        "x_test": x_test,
        "y_test": y_test,
        "x_val": x_test,
        "y_val": y_test,
        "codes_val": y_test.astype(np.int32),
        "info": info,
        "build_model": build_model,
        "train_and_score": lambda architecture: sum(map(float, architecture.values())) / 100,
    }


def build_model(hp: Any) -> keras.Model:
    """A dense network of one or two layers, as a reader with Keras-Tuner code has it."""
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Rescaling(1 / 16)])
    for index in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Choice(f"units_{index}", [8, 16]), activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def convolutional_model() -> keras.Model:
    """A small network to quantize, untrained."""
    image = keras.Input((8, 8, 1))
    hidden = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(image)
    hidden = keras.layers.Conv2D(16, 1, activation="relu", name="pointwise")(hidden)
    logits = keras.layers.Dense(10, name="logits")(keras.layers.GlobalAveragePooling2D()(hidden))
    return keras.Model(image, keras.layers.Softmax()(logits))


class ShortClassifier(ImageClassifier):
    """Stands for `ImageClassifier` on the pages: an epoch and few kinds of networks instead of minutes.

    Only a page that names a tuner gets a second trial, and so a supernet.
    """

    def fit(self, x: Any, y: Any = None, **arguments: Any) -> "ShortClassifier":
        """As `ImageClassifier.fit`, but short."""
        self.set_params(time_limit=None, max_trials=1 if self.tuner == "auto" else 2, verbose=0)
        if self.search_space == "auto" and self.quantization != "joint" and not (self.backbone or self.multi_label):
            classes = 10 if y is None else len(np.unique(y))
            self.search_space = small_macro_space() if self.tuner == "enas" else small_image_space(classes)
        return super().fit(x, y, **{**arguments, "epochs": 1, "batch_size": 16})


def small_image_space(num_classes: int) -> Any:
    """One operation; two widths in each stage."""
    stages: dict[str, tuple] = {}
    for stage in range(3):
        stages |= {f"stage{stage}_width": (8, 16), f"stage{stage}_depth": (1,), f"stage{stage}_kernel": (3,)}
        stages |= {f"stage{stage}_operation": ("fused_mbconv",), f"stage{stage}_expansion": (2,)}
    return image_space((8, 8, 1), num_classes).restrict(stages)


def small_macro_space() -> Any:
    """Three layers with two operations each."""
    space = macro_space((8, 8, 1), 10, num_layers=3, num_filters=4)
    chosen = [name for name in space.names if name.endswith("_operation")]
    return space.restrict({name: space[name].options[:2] for name in chosen})
