import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting.diagnostics import (
    calibration,
    class_scores,
    confusion_matrix,
    sample_places,
    worst_mistakes,
)
from automl_keras.reporting.file_layers import FileLayer
from automl_keras.reporting.skips import skip_lanes


def sure(confidences: list[float], rights: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Codes and probabilities of two classes: the answer is always class 0, with these confidences."""
    return np.where(rights, 0, 1), np.stack([np.array(confidences), 1 - np.array(confidences)], axis=1)


def test_confusion_counts_rows_by_class_and_columns_by_answer() -> None:
    found = confusion_matrix(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 0]), 3)
    assert found.tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("codes", [[], [0, 1], [0, 1, 3], [0, 1, -1]])
def test_confusion_refuses_what_does_not_fit(codes: list[int]) -> None:
    with pytest.raises(InvalidArgumentError, match="Received"):
        confusion_matrix(np.array(codes), np.array([0, 1, 2]), 3)


def test_class_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    codes, answers = rng.integers(0, 5, 60), rng.integers(0, 6, 60)  # class 5 has no images, class 6 nothing at all
    found = class_scores(confusion_matrix(codes, answers, 7))
    expected = precision_recall_fscore_support(codes, answers, labels=range(7), zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert np.allclose([getattr(scores, name) for scores in found], values, equal_nan=True), name


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    # Bin (0.5, 0.6]: 2 images, half right, confidence 0.55. Bin (0.9, 1]: 3 images, all right, confidence 0.95.
    found = calibration(*sure([0.55, 0.55, 0.95, 0.95, 0.95], [True, False, True, True, True]), num_bins=10)
    assert found.counts == (0, 0, 0, 0, 0, 2, 0, 0, 0, 3)
    assert found.error == pytest.approx(2 / 5 * 0.05 + 3 / 5 * 0.05)
    assert found.accuracies[5] == 0.5 and found.confidences[9] == pytest.approx(0.95)
    assert np.isnan(found.accuracies[0])


def test_a_bin_holds_its_upper_edge() -> None:
    found = calibration(*sure([0.5, 0.75, 1.0], [True] * 3), num_bins=4)
    assert found.counts == (0, 1, 1, 1)


def test_honest_probabilities_are_calibrated_and_bold_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0.5, 1.0, 40_000)
    codes, probabilities = sure(confidences.tolist(), (rng.uniform(size=40_000) < confidences).tolist())
    assert calibration(codes, probabilities).error < 0.02
    bold = np.tile([1.0, 0.0], (40_000, 1))
    assert calibration(codes, bold).error == pytest.approx(np.mean(codes == 1))


@pytest.mark.parametrize(("count", "num_bins"), [(0, 15), (3, 0)])
def test_calibration_refuses_nothing(count: int, num_bins: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"num_bins={num_bins}, {count} images"):
        calibration(*sure([0.9] * count, [True] * count), num_bins=num_bins)


def test_the_worst_mistakes_are_the_surest_ones() -> None:
    codes, probabilities = sure([0.6, 0.9, 0.99, 0.9, 0.7], [False, False, True, False, False])
    assert worst_mistakes(codes, probabilities, 3).tolist() == [1, 3, 4]
    assert worst_mistakes(codes, probabilities, 10).tolist() == [1, 3, 4, 0]
    assert worst_mistakes(codes[2:3], probabilities[2:3], 3).tolist() == []


def test_samples_are_of_all_classes() -> None:
    codes = np.array([2, 2, 2, 0, 1, 0, 2])
    assert sample_places(codes, 3).tolist() == [3, 4, 0]
    assert sample_places(codes, 5).tolist() == [3, 5, 4, 0, 1]
    assert sorted(sample_places(codes, 100).tolist()) == list(range(7))


def test_skip_connections_never_share_a_lane() -> None:
    rng = np.random.default_rng(0)
    layers = []
    for place in range(30):
        inputs = {place - 1, *rng.integers(-1, place, rng.integers(0, 3)).tolist()} if place else {-1}
        layers.append(FileLayer("", "Add", "", tuple(sorted(inputs)), (1,), 0, None))
    lanes = skip_lanes(layers)
    expected = [(source, place) for place, layer in enumerate(layers) for source in layer.inputs if source < place - 1]
    assert [(source, target) for source, target, _ in lanes] == sorted(expected)
    for first in lanes:
        for second in lanes:
            if first < second and first[2] == second[2]:
                assert first[1] <= second[0] or second[1] <= first[0]


def test_skip_connections_behind_each_other_share_a_lane() -> None:
    chain = [
        FileLayer("", "Add", "", (place - 1, place - 3) if place % 3 == 2 else (place - 1,), (1,), 0, None)
        for place in range(9)
    ]
    assert skip_lanes(chain) == [(-1, 2, 0), (2, 5, 0), (5, 8, 0)]
