import json
from dataclasses import replace

import pytest

from automl_keras import Budget
from automl_keras.data import DatasetInfo
from automl_keras.estimators.default_network import feasibility
from automl_keras.estimators.plan import Means, Plan, is_worth_probing, make_plan
from automl_keras.evaluation import CostPredictor
from automl_keras.search_space import image_space
from automl_keras.training import recipe_space

SPACE = image_space((28, 28, 1), 10)
INFO = DatasetInfo((28, 28, 1), "uint8", (70.0,), (90.0,), (0.0, 255.0), tuple(range(10)), 800, 200)
PREDICT = CostPredictor(SPACE, INFO)
FEASIBLE = feasibility(PREDICT, Budget(max_size_kb=120))
MEANS = Means(
    seconds_left=55.0,
    work_per_second=44e9,
    num_train=10_000,
    num_validation=2_000,
    steps_per_epoch=78,
    max_trials=None,
    epochs=None,
    sampler="sandwich",
)


def plan_for(**changes: object) -> Plan:
    return make_plan(PREDICT, FEASIBLE, recipe_space().default(), (), replace(MEANS, **changes))  # type: ignore[arg-type]


def test_short_times_train_one_network() -> None:
    plan = plan_for()
    assert plan.space is None and plan.rounds == () and plan.recipe["cutout"] == 0.0
    assert plan.final_seconds is not None and 45 < plan.final_seconds < 55


def test_longer_times_search_with_a_supernet() -> None:
    plan = plan_for(seconds_left=1_800.0)
    assert plan.space is not None and plan.space.canonical(plan.default) == plan.default
    assert [planned.sampler for planned in plan.rounds] == ["largest", "sandwich"]
    parts = [plan.rounds[0].seconds, plan.rounds[1].seconds, plan.search_seconds, plan.final_seconds]
    assert sum(part or 0.0 for part in parts) == pytest.approx(1_796.0)
    assert not plan.recipe["distillation"] and plan.recipe["cutout"] > 0


def test_long_times_have_a_teacher_and_more_operations() -> None:
    plan = plan_for(seconds_left=20_000.0)
    assert plan.recipe["distillation"] and plan.space is not None
    assert set(plan.space["stage0_operation"].options) == {"residual", "fused_mbconv"}


def test_time_goes_into_resolution_before_more_epochs() -> None:
    short, long = plan_for().default, plan_for(seconds_left=290.0).default
    assert (short["full_resolution"], long["full_resolution"]) == (0, 2)


@pytest.mark.parametrize(
    ("kilobytes", "changes", "cutout"),
    [
        (120, {}, 0.0),
        (30, {"seconds_left": 290.0}, 0.18),
        (120, {"seconds_left": 290.0}, 0.3),
        (120, {"seconds_left": 290.0, "num_train": 60_000}, 0.0),
        (120, {"seconds_left": 290.0, "epochs": 10}, 0.0),
        (120, {"seconds_left": None, "epochs": 50}, 0.18),
    ],
)
def test_cutout_suits_network_and_time(kilobytes: int, changes: dict[str, object], cutout: float) -> None:
    feasible = feasibility(PREDICT, Budget(max_size_kb=kilobytes))
    means = replace(MEANS, **changes)  # type: ignore[arg-type]
    assert make_plan(PREDICT, feasible, recipe_space().default(), (), means).recipe["cutout"] == cutout


def test_slow_machines_get_a_smaller_network() -> None:
    macs = [PREDICT(plan_for(work_per_second=speed).default).macs for speed in (44e9, 6e9)]
    assert macs[1] < 0.6 * macs[0]


def test_one_trial_means_no_search() -> None:
    assert plan_for(seconds_left=3600.0, max_trials=1).space is None


def test_no_search_on_few_validation_images() -> None:
    assert plan_for(seconds_left=3600.0, num_validation=200).space is not None
    assert plan_for(seconds_left=3600.0, num_validation=199).space is None


def test_few_images_get_more_epochs() -> None:
    assert plan_for(seconds_left=None, steps_per_epoch=10).final_epochs == 30
    assert plan_for(seconds_left=None, steps_per_epoch=1).final_epochs == 300
    assert plan_for(seconds_left=None, steps_per_epoch=1, epochs=7).final_epochs == 7


@pytest.mark.parametrize(
    ("seconds", "epochs", "worth"),
    [(55.0, None, True), (30.0, None, False), (55.0, 5, False), (None, None, True), (None, 5, False)],
)
def test_probes_need_a_long_training(seconds: float | None, epochs: int | None, worth: bool) -> None:
    assert is_worth_probing(SPACE, replace(MEANS, seconds_left=seconds, epochs=epochs)) == worth


def test_counts_alone_plan_by_counts() -> None:
    plan = plan_for(seconds_left=None, max_trials=7, epochs=4)
    assert (plan.max_trials, plan.final_epochs, plan.search_seconds, plan.final_seconds) == (7, 4, None, None)
    assert [planned.epochs for planned in plan.rounds] == [4, 1]
    assert plan_for(seconds_left=None, max_trials=1).space is None


def test_plans_are_json() -> None:
    plan = plan_for(seconds_left=1_800.0)
    assert json.loads(json.dumps(plan.to_dict()))["default"] == plan.default.to_dict()
