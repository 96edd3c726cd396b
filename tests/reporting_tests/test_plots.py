import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from matplotlib.image import imread

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.reporting import pareto_front, plot_evaluations
from automl_keras.search_space import Architecture


def evaluation(accuracy, size_kb, source="shared_weights", **more):
    architecture = Architecture({"accuracy": accuracy, "size_kb": str(size_kb)})
    return Evaluation(architecture, {"val_accuracy": accuracy}, Cost(size_kb=size_kb), source, **more)


BLUE = "#0072b2"  # of the front
UNUSABLE = [
    evaluation(0.99, 10.0, error="out of memory"),
    evaluation(float("nan"), 10.0),
    evaluation(0.99, None),
    evaluation(0.99, float("inf")),
    Evaluation(Architecture({}), {"loss": 0.1}, Cost(size_kb=1.0)),
]


def front(evaluations):
    return pareto_front(evaluations, "val_accuracy", "size_kb")


def drawn(path, evaluations, **more):
    """The picture as (height, width, 3), after a check that it is as large as promised."""
    plot_evaluations(evaluations, path, **more)
    assert path.read_bytes().startswith(b"\x89PNG")
    picture = imread(path, format="png")[..., :3]
    assert picture.shape == (600, 900, 3)
    return picture


def has_color(picture, color):
    """For each pixel, whether it has about this colour (edges are smoothed)."""
    wanted = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return (np.abs(picture - wanted) < 0.15).all(axis=-1)


def vertical_lines(picture):
    return int(((picture < 0.6).all(axis=-1).sum(axis=0) > 200).sum())


def test_the_front_grows_in_cost_and_metric():
    small, middle, large = evaluation(0.7, 10.0), evaluation(0.8, 20.0), evaluation(0.9, 40.0)
    beaten = [evaluation(0.6, 10.0), evaluation(0.8, 30.0), evaluation(0.75, 20.0), evaluation(0.9, 41.0)]
    assert front([large, *beaten, small, middle]) == [small, middle, large]


def test_no_member_of_the_front_is_beaten_and_every_other_one_is():
    rng = np.random.default_rng(3)
    everything = [evaluation(a / 10, float(s)) for a, s in rng.integers(1, 10, (60, 2)).tolist()]
    points = [(-e.metrics["val_accuracy"], e.cost.size_kb) for e in everything]
    expected = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    found = [(-e.metrics["val_accuracy"], e.cost.size_kb) for e in front(everything)]
    assert found == sorted(expected, key=lambda p: p[1])


def test_of_equals_the_first_is_kept():
    first, second = evaluation(0.8, 20.0, seconds=1.0), evaluation(0.8, 20.0, seconds=2.0)
    assert front([first, second]) == [first]
    assert front([second, first]) == [second]


def test_the_front_leaves_out_what_failed_or_has_no_cost():
    good = evaluation(0.5, 50.0)
    assert front([*UNUSABLE, good]) == [good]
    assert front(UNUSABLE) == []


def test_the_front_takes_any_metric_and_cost():
    fast = Evaluation(Architecture({}), {"auc": 0.8}, Cost(macs=1000))
    assert pareto_front([fast, evaluation(0.9, 1.0)], "auc", "macs") == [fast]


@pytest.mark.parametrize("cost", [field.name for field in fields(Cost)])
def test_every_cost_is_known(cost):
    only = Evaluation(Architecture({}), {"auc": 0.8}, Cost(**{cost: 3}))
    assert pareto_front([only], "auc", cost) == [only]


def test_a_cost_without_a_unit_can_be_drawn(tmp_path):
    one = Evaluation(Architecture({}), {"auc": 0.8}, Cost(macs=3_000_000))
    drawn(tmp_path / "plot", [one], metric="auc", cost="macs", highlight=one, limit=4e6)


@pytest.mark.parametrize("use", [lambda e, c: pareto_front(e, "auc", c), lambda e, c: plot_evaluations(e, "x", cost=c)])
def test_an_unknown_cost_is_refused(use):
    with pytest.raises(InvalidArgumentError, match=r"`cost` must be one of .*Received: cost='kilobytes'"):
        use([evaluation(0.5, 1.0)], "kilobytes")


@pytest.mark.parametrize("evaluations", [[], UNUSABLE])
def test_nothing_to_draw_is_refused_and_leaves_no_file(tmp_path, evaluations):
    with pytest.raises(InvalidArgumentError, match=rf"'val_accuracy' and the cost 'size_kb'.*{len(evaluations)} items"):
        plot_evaluations(evaluations, tmp_path / "plot.png")
    assert not (tmp_path / "plot.png").exists()


def test_the_exported_file_and_the_limit_are_marked(tmp_path):
    searched = [evaluation(0.7, 10.0), evaluation(0.8, 20.0)]
    files = [evaluation(0.85, 19.0, "file"), evaluation(0.75, 12.0, "file")]
    orange, green = "#d55e00", "#009e73"
    plain = drawn(tmp_path / "plot.png", [*searched, *UNUSABLE])
    assert not has_color(plain, orange).any()
    assert not has_color(plain, green).any()
    marked = drawn(tmp_path / "plot.png", searched + files, highlight=files[0], limit=25.0)
    assert has_color(marked, orange).any()
    assert has_color(marked, green).any()
    assert vertical_lines(marked) > vertical_lines(plain)


def test_what_failed_changes_nothing(tmp_path):
    good = [evaluation(0.7, 10.0), evaluation(0.8, 20.0)]
    first = drawn(tmp_path / "a.png", good)
    assert np.array_equal(first, drawn(tmp_path / "b.png", good + UNUSABLE, highlight=UNUSABLE[0]))


@pytest.mark.parametrize("source", ["predicted", "shared_weights", "standalone", "file"])
def test_one_source_is_enough_for_a_front(tmp_path, source):
    picture = drawn(tmp_path / "plot.png", [evaluation(0.7, 10.0, source), evaluation(0.8, 20.0, source)])
    assert has_color(picture, BLUE).any()


def test_files_do_not_hide_the_front_of_the_search(tmp_path):
    searched = [evaluation(0.70, 10.0), evaluation(0.72, 15.0), evaluation(0.75, 20.0)]
    picture = drawn(tmp_path / "plot.png", [*searched, evaluation(0.9, 5.0, "file")])
    columns = np.flatnonzero(has_color(picture[:510], BLUE).any(axis=0))  # above the legend
    assert columns.max() - columns.min() > 400  # the front of the one file would be a point


def test_pyplot_is_not_touched_and_tensorflow_not_loaded(tmp_path):
    code = (  # with a stand-in, since the module of Evaluation may load TensorFlow
        "import sys, automl_keras.reporting as reporting\n"
        "from types import SimpleNamespace as New\n"
        "assert 'matplotlib' not in sys.modules\n"
        "one = New(source='file', metrics={'val_accuracy': 0.5}, cost=New(size_kb=1.0), failed=lambda name: False)\n"
        f"reporting.plot_evaluations([one], {str(tmp_path / 'plot.png')!r})\n"
        "assert not {'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
