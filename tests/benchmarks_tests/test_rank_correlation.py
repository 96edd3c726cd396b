from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rank_correlation
import shared_search
import specialize
import weight_sharing
from rank_correlation import agreement, alone_accuracies
from shared_search import PLAIN, SPACE, SYSTEMS, Comparison
from shared_supernets import (
    EVALUATIONS,
    SEARCH_SEEDS,
    planned_rounds,
    proposal_results,
    shared_results,
    supernet_results,
)
from shared_training import (
    Setting,
    alone_results,
    alone_tasks,
    full_setting,
    indices_of_others,
    quick_setting,
    train_alone,
    write_section,
)
from specialize_report import markdown

from automl_keras.search_space import OPERATIONS


def true_accuracy(network: str) -> float:
    """Made up: every operation has a value in every stage."""
    return 0.8 + 0.001 * sum((stage + 1) * int(digit) for stage, digit in enumerate(network)) + 1e-5 * int(network, 3)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Finished files of the 81 networks; shared weights say the truth, but those of `sandwich` the contrary."""
    folder = tmp_path_factory.mktemp("made_up")
    few = quick_setting(folder)
    setting = replace(full_setting(folder), load=few.load, epochs=500, supernet_seeds=few.supernet_seeds)
    networks = list(setting.networks(SPACE))
    alone_results(setting).append(
        {
            "space": SPACE,
            "network": network,
            "seed": seed,
            "validation": true_accuracy(network),
            "held_out": true_accuracy(network) + (0.01 if seed else -0.01),
            "seconds": 25.0,
        }
        for network in networks
        for seed in (0, 1)
    )
    for training in sorted({system.training for system in SYSTEMS.values()}):
        for seed in setting.supernet_seeds:
            key = {"space": SPACE, "training": training, "seed": seed}
            sign = -1 if training == "sandwich" else 1
            shared_results(setting).append(
                {
                    **key,
                    "network": network,
                    "recalibrated": sign * true_accuracy(network),
                    "moving_mean": int(network, 3),
                }
                for network in networks
            )
            supernet_results(setting).append(
                [{**key, "gradient_evaluations": 6000, "training_seconds": 200.0, "evaluation_seconds": 0.1}]
            )
            proposal_results(setting).append(
                {"training": training, "seed": seed, "search_seed": search_seed, "networks": " ".join(networks[40:])}
                for search_seed in SEARCH_SEEDS
            )
    return setting


@pytest.fixture(scope="module")
def compared(made_up: Setting) -> Iterator[Comparison]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_search, "SEARCH_SEEDS", range(3))
        yield Comparison(made_up)


def test_agreement_of_two_rankings() -> None:
    values = np.arange(12.0)
    assert agreement(values, values) == pytest.approx((1.0, 1.0))
    assert agreement(values, -values) == pytest.approx((-1.0, 0.0))
    moved = np.array([5.5, *values[1:]])  # the worst is said to be in the middle: 5 of 66 pairs
    assert agreement(moved, values) == pytest.approx((1 - 10 / 66, 1.0))
    moved = np.array([*values[:11], 5.5])  # the best is
    assert agreement(moved, values) == pytest.approx((1 - 10 / 66, 4 / 5))


def test_the_two_spaces() -> None:
    setting = full_setting()
    networks = setting.networks("operations")
    assert len(networks) == len(set(networks.values())) == setting.spaces["operations"].size == 81
    operations = [networks["0121"][f"stage{stage}_operation"] for stage in range(4)]
    assert operations == [OPERATIONS[0], OPERATIONS[1], OPERATIONS[2], OPERATIONS[1]]
    sizes = setting.networks("sizes")
    assert len(sizes) == len(set(sizes.values())) == 60
    for name in ("stage0_depth", "stage1_width", "stage2_operation"):
        assert len({architecture[name] for architecture in sizes.values()}) > 1
    assert list(sizes) == list(full_setting().networks("sizes"))


def test_images_to_judge_by_are_none_of_the_training() -> None:
    images = np.arange(8).reshape(4, 2) % 6  # the first and the last are equal
    assert indices_of_others(images, images[[3]]).tolist() == [1, 2]


def test_the_report_of_made_up_results(made_up: Setting) -> None:
    text = rank_correlation.report(made_up)
    lines = {line.split("|")[1].strip() + line.split("|")[2]: line for line in text.splitlines() if "|" in line}
    assert "| 1.000 | 1.00 | 1.00 | 1 |" in lines["uniform recalibrated "]
    assert "| -1.000 | -1.00 | 0.00 | 1 |" in lines["sandwich recalibrated "]
    assert "| 1.000 |" not in lines["uniform moving mean "]
    assert "between the seeds of a network 1.41" in text
    assert "6000\ngradients" in text
    means = {code: values.mean() for code, values in alone_accuracies(made_up, SPACE).items()}
    assert means == {code: pytest.approx(true_accuracy(code), abs=1e-5) for code in made_up.networks(SPACE)}


def test_what_is_there_is_not_trained_again(made_up: Setting) -> None:
    assert [name.split("-")[0] for name, _ in alone_tasks(made_up)] == ["sizes"] * 120


def test_searches_are_looked_up(compared: Comparison) -> None:
    found, best = compared, max(map(true_accuracy, compared.alone))
    assert found.affordable == 6  # of 6,000 gradients, 500 epochs of 2 steps each
    assert set(found.curves) == {*SYSTEMS, PLAIN}
    for name, curve in found.curves.items():
        evaluations = found.affordable if name == PLAIN else EVALUATIONS
        assert curve.shape == (1, 3, evaluations)
        if name != "evolution":  # whose weights say the contrary
            assert (np.diff(curve) >= 0).all()
            assert found.best_shared.get(name, best) == pytest.approx(best, abs=1e-5)
    # With scores that are true and additive, a predictor needs fewer evaluations than random search.
    assert found.curves["once_for_all"][..., 19].mean() > found.curves["random_ws"][..., 19].mean() + 0.001
    assert np.array_equal(found.curves["random_ws"], found.random["once_for_all"])
    assert found.curves["enas"][0, 0, -1] == pytest.approx(max(map(true_accuracy, list(found.alone)[40:80])), abs=1e-5)
    assert found.best_shared["evolution"] == pytest.approx(min(found.alone.values()))


def test_the_report_of_searches_and_its_picture(compared: Comparison, tmp_path: Path) -> None:
    text = weight_sharing.report(compared)
    assert "| random_ws | 200 | 0.100 | 25.0 | 250 |" in text
    [line] = [line for line in text.splitlines() if line.startswith("| once_for_all |") and line.endswith("| 202 |")]
    assert line.split(" | ")[2] == line.split(" | ")[3] and "±" in line  # its weights are those of random_ws
    weight_sharing.plot(compared, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_equal_gradients_in_all_trainings(made_up: Setting) -> None:
    for system in SYSTEMS.values():
        rounds = planned_rounds(system.training, made_up.spaces[SPACE], 6000)
        assert sum(planned.gradient_evaluations or 0 for planned in rounds) == 6000
        assert {planned.epochs for planned in rounds} == {None}
    assert [planned.sampler for planned in planned_rounds("mdenas", made_up.spaces[SPACE], 6000)] == [
        "uniform",
        "policy",
    ]


@pytest.mark.slow
def test_everything_runs_at_toy_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--quick", str(tmp_path)]
    for only in ("operations-01-0", "operations-fair-0"):
        rank_correlation.main([*arguments, "--missing", "--only", only])
    weight_sharing.main([*arguments, "--missing", "--only", "*-mdenas-0"])
    setting = quick_setting(tmp_path)
    [first] = alone_results(setting).lines()
    again = train_alone(setting, "operations", first["network"], 0)
    assert [float(first[name]) for name in ("validation", "held_out")] == pytest.approx(
        [again["validation"], again["held_out"]], abs=1e-5
    )
    assert [int(line["gradient_evaluations"]) for line in supernet_results(setting).lines()] == [12, 12]
    shared = [(line["training"], line["network"]) for line in shared_results(setting).lines()]
    assert shared == [(training, code) for training in ("fair", "mdenas") for code in ("00", "01", "10", "11")]
    proposals = proposal_results(setting).lines()
    assert [int(line["search_seed"]) for line in proposals] == list(SEARCH_SEEDS)
    assert {tuple(sorted(line["networks"].split())) for line in proposals} == {("00", "01", "10", "11")}
    capsys.readouterr()
    rank_correlation.main([*arguments, "--list"])
    missing = capsys.readouterr().out.split()
    assert "operations-10-0" in missing and not {"operations-01-0", "operations-fair-0"} & set(missing)


def test_a_section_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n")
    last = {"one": "second", "other": "kept"}
    for name, text in (("one", "first"), ("other", "kept"), ("one", "second")):
        write_section(path, name, text)
    sections = [f"<!-- {name}: begin -->\n{text}\n<!-- {name}: end -->\n" for name, text in last.items()]
    assert path.read_text() == "\n".join(["# Results\n", *sections])


def test_the_report_of_specialized_networks() -> None:
    special = [
        {"budget": "20", "kB": "19", "search": seconds, "export": "1", "accuracy": "0.9"}
        for seconds in ("9", "0.5", "0.7", "0.6")
    ]
    alone = {
        number: {"steps": "100", "passes": "1.6", "accuracy": accuracy}
        for number, accuracy in ((0, "0.91"), (2, "0.895"), (3, "0.9"))
    }
    text = markdown({"tuner": "once_for_all", "time_limit": 300}, special, alone)
    assert "median 0.60 s, longest 0.70 s, but for the first with 9.0 s" in text
    assert "median +0.00 points over 3 networks, from -1.00 to +0.50" in text
    assert "| 20.0 | 19.0 | 0.50 | 1.00 | 90.00 |  |  |" in text


@pytest.mark.slow
def test_specializing_runs_at_toy_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specialize.main(["--quick", str(tmp_path)])
    first = capsys.readouterr().out
    assert "## One training, 3 budgets: once_for_all" in first
    assert "over 1 networks" in first
    specialize.main(["--quick", str(tmp_path)])  # from what is there
    assert capsys.readouterr().out == first
