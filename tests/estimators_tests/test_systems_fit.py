"""A fit with each of the systems that are made for shared weights, in spaces so small that tracing is quick."""

from pathlib import Path

import pytest
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier
from automl_keras.export import TFLiteModel
from automl_keras.search_space import ImageSearchSpace, MacroSearchSpace, image_space, macro_space

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]
OPERATIONS = ("residual", "fused_mbconv")


def tiny_image_space() -> ImageSearchSpace:
    """Two operations in the first stage; two widths and one block in each."""
    options: dict[str, tuple] = {}
    for stage in range(3):
        options |= {f"stage{stage}_width": (8, 16), f"stage{stage}_depth": (1,), f"stage{stage}_kernel": (3,)}
        options |= {f"stage{stage}_operation": OPERATIONS if stage == 0 else OPERATIONS[1:]}
        options |= {f"stage{stage}_expansion": (2,)}
    return image_space((8, 8, 1), 10).restrict(options)


def tiny_macro_space() -> MacroSearchSpace:
    space = macro_space((8, 8, 1), 10, num_layers=3, num_filters=4)
    names = [name for name in space.names if name.endswith("_operation")]
    return space.restrict({name: space[name].options[:2] for name in names})


def fitted(tuner: str, directory: Path) -> ImageClassifier:
    space = tiny_macro_space() if tuner == "enas" else tiny_image_space()
    classifier = ImageClassifier(
        tuner=tuner, search_space=space, max_trials=3, seed=0, verbose=0, directory=directory, overwrite=True
    )
    return classifier.fit(X, Y, epochs=2, batch_size=16)


@pytest.mark.parametrize(
    ("tuner", "samplers"),
    [
        ("fairnas", ["fair"]),
        pytest.param("mdenas", ["uniform", "policy"], marks=pytest.mark.slow),
        pytest.param("random_ws", ["uniform"], marks=pytest.mark.slow),
        pytest.param("enas", ["policy"], marks=pytest.mark.slow),
        pytest.param("once_for_all", ["uniform"] * 2, marks=pytest.mark.slow),
    ],
)
def test_a_fit_by_counts(tuner: str, samplers: list[str], tmp_path: Path) -> None:
    classifier = fitted(tuner, tmp_path)
    assert [planned["sampler"] for planned in classifier.plan_["rounds"]] == samplers
    shared = [e for e in classifier.evaluations_ if e.source == "shared_weights"]
    assert len({e.architecture for e in shared}) == 3
    assert {e.generation for e in shared} == {len(samplers)}
    assert classifier.best_evaluation_.source == "file"
    answers = TFLiteModel(classifier.tflite_path_).predict(X[..., None]).argmax(axis=1)
    assert (answers == classifier.predict(X)).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["mdenas", "once_for_all"])
def test_the_same_seed_finds_the_same(tuner: str, tmp_path: Path) -> None:
    one, other = (fitted(tuner, tmp_path / folder) for folder in ("one", "other"))
    assert one.best_architecture_ == other.best_architecture_
    assert [(e.architecture, e.metrics) for e in one.evaluations_] == [
        (e.architecture, e.metrics) for e in other.evaluations_
    ]
