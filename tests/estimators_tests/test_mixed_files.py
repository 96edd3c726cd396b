"""Finishing a network whose bits are searched: what is kept when the search fails, is interrupted or killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.errors import ExportError, InvalidArgumentError, SearchError
from automl_keras.estimators import finishing
from automl_keras.estimators.mixed_files import MixedFile, divided, with_bits, without_bits
from automl_keras.search_space import Architecture
from automl_keras.training import Limit

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]


@pytest.fixture
def files(stand_ins: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the search of bits yields for the final network: bits of a file, or an error to raise."""
    yielded: list[Any] = []

    def mixed_files(model: Any, *args: Any, tuning: Any, **settings: Any) -> Iterator[MixedFile]:
        stand_ins.begin("bits" if tuning is not None else "bits of the first model")
        for bits in yielded if tuning is not None else [8]:
            if isinstance(bits, BaseException):
                raise bits
            yield MixedFile(Architecture({"dense": bits}), model, b"file", 64 * bits)

    def write_file(data: bytes, path: Path, *args: Any) -> Path:
        stand_ins.begin("export")
        path.write_bytes(data)
        return path

    monkeypatch.setattr(finishing, "mixed_files", mixed_files)
    monkeypatch.setattr(finishing, "write_file", write_file)
    return yielded


def fit(directory: Path | None = None) -> ImageClassifier:
    classifier = ImageClassifier(
        quantization="mixed", max_trials=1, seed=0, verbose=0, budget=Budget(max_size_kb=30), directory=directory
    )
    return classifier.fit(X, Y, epochs=20)


def bits_and_accuracies(classifier: ImageClassifier) -> list[tuple[Any, Any]]:
    return [(row["architecture"].get("bits:dense"), row["val_accuracy"]) for row in classifier.leaderboard()]


def test_of_several_files_the_most_accurate_one_is_kept(stand_ins: Any, files: list[Any]) -> None:
    files += [4, 8, 4]
    stand_ins.accuracies = [0.5, 0.85, 0.86, 0.84]  # that of the first model, then within two standard errors
    assert bits_and_accuracies(fit()) == [(8, 0.86), (4, 0.85), (4, 0.84), (8, 0.5)]


@pytest.mark.parametrize("error", [SearchError("no file ran"), ExportError("it cannot be converted")])
@pytest.mark.parametrize("made", [0, 1])
def test_an_error_of_the_search_costs_nothing_that_is_there(
    stand_ins: Any, files: list[Any], error: Exception, made: int
) -> None:
    files += [*[4] * made, error]
    classifier = fit()
    assert classifier.best_evaluation_.metrics == {"val_accuracy": [0.5, 0.6][made]}
    assert stand_ins.calls["final training"] == 1


def test_after_ctrl_c_in_the_tuning_nothing_is_searched_again(stand_ins: Any, files: list[Any]) -> None:
    files += [4, KeyboardInterrupt()]
    classifier = fit()
    assert bits_and_accuracies(classifier) == [(4, 0.6), (8, 0.5)]
    assert stand_ins.calls["bits"] == 1


def test_a_fit_killed_in_the_search_of_bits_does_not_train_again(
    stand_ins: Any, files: list[Any], tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    files += [Killed()]
    with pytest.raises(Killed):
        fit(tmp_path)
    files[:] = [4]
    classifier = fit(tmp_path)
    assert bits_and_accuracies(classifier)[0] == (4, 0.6)
    assert stand_ins.calls["final training"] == 1


def test_bits_of_layers_are_part_of_a_row_alone() -> None:
    architecture = Architecture({"stage0_width": 8, "stage0_bits": 4})
    row = with_bits(architecture, {"stem": 8, "logits": 4})
    assert dict(row) == {"stage0_width": 8, "bits:stem": 8, "bits:logits": 4}
    assert dict(without_bits(row)) == dict(without_bits(architecture)) == {"stage0_width": 8}


def test_the_time_is_divided(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert divided(Limit(steps=100)) == (Limit(steps=100), Limit(steps=15))
    monkeypatch.setattr("automl_keras.estimators.mixed_files.time.monotonic", lambda: 1000.0)
    training, tuning = divided(Limit(deadline=1100.0))
    assert (training.deadline, tuning.deadline) == (1085.0, 1100.0)
    training, tuning = divided(Limit(deadline=1010.0))
    assert (training.deadline, tuning.deadline) == (1006.0, 1010.0)


@pytest.mark.parametrize(("quantization", "text"), [("joint", "max_latency_ms=5")])
def test_latency_is_not_predicted_for_bits(quantization: str, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        ImageClassifier(quantization=quantization, budget=Budget(max_latency_ms=5.0)).fit(X, Y)
