import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from automl_keras import Budget
from automl_keras.data import DatasetInfo
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.default_network import Feasible, feasibility
from automl_keras.estimators.plan import Means, Plan, is_worth_probing, make_plan
from automl_keras.estimators.spaces import check_macro_budget
from automl_keras.evaluation import CostPredictor
from automl_keras.search_space import ImageSearchSpace, MacroSearchSpace, NetworkSpace, image_space, macro_space
from automl_keras.training import recipe_space
from automl_keras.tuners import SYSTEMS

SPACE = image_space((28, 28, 1), 10)
INFO = DatasetInfo((28, 28, 1), "uint8", (70.0,), (90.0,), (0.0, 255.0), tuple(range(10)), 800, 200)
PREDICT = CostPredictor(SPACE, INFO)
MEANS = Means(
    seconds_left=55.0,
    work_per_second=44e9,
    setup_per_layer=0.0,
    num_train=10_000,
    num_validation=2_000,
    steps_per_epoch=78,
    max_trials=None,
    epochs=None,
    system=SYSTEMS["evolution"],
)


def feasible_in(space: NetworkSpace, kilobytes: float = 120) -> Feasible:
    return feasibility(CostPredictor(space, INFO), Budget(max_size_kb=kilobytes))


def plan_for(kilobytes: float = 120, **changes: object) -> Plan:
    means = replace(MEANS, **changes)  # type: ignore[arg-type]
    return make_plan(PREDICT, partial(feasible_in, kilobytes=kilobytes), recipe_space().default(), (), means)


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
    short, long = plan_for().default, plan_for(seconds_left=600.0).default
    assert (short["full_resolution"], long["full_resolution"]) == (0, 2)


@pytest.mark.parametrize(
    ("kilobytes", "changes", "cutout"),
    [
        (120, {}, 0.0),
        (30, {"seconds_left": 290.0}, 0.18),
        (120, {"seconds_left": 290.0}, 0.3),
        (120, {"seconds_left": 290.0, "num_train": 60_000}, 0.0),
        (120, {"seconds_left": 290.0, "num_train": 900}, 0.0),
        (120, {"seconds_left": 290.0, "epochs": 10}, 0.0),
        (120, {"seconds_left": None, "epochs": 50}, 0.18),
    ],
)
def test_cutout_suits_network_and_time(kilobytes: int, changes: dict[str, object], cutout: float) -> None:
    assert plan_for(kilobytes, **changes).recipe["cutout"] == cutout


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
    assert [planned.epochs for planned in plan.rounds] == pytest.approx([4, 1])
    assert plan_for(seconds_left=None, max_trials=1).space is None


@pytest.mark.parametrize("name", ["evolution", "enas", "once_for_all"])
def test_plans_are_json(name: str) -> None:
    plan = plan_for(seconds_left=1_800.0, system=SYSTEMS[name])
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("name", "samplers"),
    [
        ("random_ws", ["uniform"]),
        ("fairnas", ["fair"]),
        ("enas", ["policy"]),
        ("mdenas", ["uniform", "policy"]),
        ("once_for_all", ["uniform"] * 5),
    ],
)
def test_a_system_that_is_named_is_run_even_if_time_is_short(name: str, samplers: list[str]) -> None:
    plan = plan_for(system=SYSTEMS[name])
    assert [planned.sampler for planned in plan.rounds] == samplers
    parts = [*(planned.seconds for planned in plan.rounds), plan.search_seconds, plan.final_seconds]
    assert sum(part or 0.0 for part in parts) == pytest.approx(51.0)
    assert plan_for(system=SYSTEMS[name], seconds_left=10.0).space is None


def test_setting_up_a_supernet_takes_time_too() -> None:
    """A supernet of many layers is no use if tracing it takes what there is."""
    slow = {"system": SYSTEMS["enas"], "setup_per_layer": 0.2}
    plan = plan_for(seconds_left=600.0, **slow)
    free = plan_for(seconds_left=600.0, system=SYSTEMS["enas"])
    assert plan.space is not None and plan.rounds[0].seconds > free.rounds[0].seconds + 5  # type: ignore[operator]
    parts = [*(planned.seconds for planned in plan.rounds), plan.search_seconds, plan.final_seconds]
    assert sum(part or 0.0 for part in parts) == pytest.approx(596.0)
    short = plan_for(**{**slow, "setup_per_layer": 0.9})
    assert short.space is None and "no supernet could be set up" in short.reason


def test_a_supernet_holds_what_its_system_varies() -> None:
    fair, shrinking = (plan_for(system=SYSTEMS[name]).space for name in ("fairnas", "once_for_all"))
    assert isinstance(fair, ImageSearchSpace) and isinstance(shrinking, ImageSearchSpace)
    assert fair["stage0_operation"].options == ("residual", "fused_mbconv", "mbconv")
    assert shrinking["stage0_operation"].options == ("fused_mbconv",)
    assert shrinking["stage1_kernel"].options == (3, 5) and fair["stage1_kernel"].options == (3,)


def test_a_macro_space_has_the_filters_that_the_budget_allows() -> None:
    filters = {}
    for kilobytes in (30, 120):
        space = plan_for(kilobytes, system=SYSTEMS["enas"], seconds_left=300.0).space
        assert isinstance(space, MacroSearchSpace)
        filters[kilobytes] = space.num_filters
        feasible = feasible_in(space, kilobytes)
        drawn = [space.sample(np.random.default_rng(seed)) for seed in range(100)]
        assert sum(map(feasible, drawn)) > 30
    assert filters[30] < filters[120]
    given = macro_space((28, 28, 1), 10, num_layers=4, num_filters=10)
    assert plan_for(system=SYSTEMS["enas"], macro=given).space == given
    check_macro_budget(CostPredictor(given, INFO), Budget(max_size_kb=120))
    with pytest.raises(InfeasibleBudgetError, match=r"40 networks drawn.*max_size_kb': 8"):
        check_macro_budget(CostPredictor(given, INFO), Budget(max_size_kb=8))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"setup_per_layer": 5.0}, "no supernet of the given macro space could be set up"),
        ({"num_validation": 150}, "150 validation images are too few"),
        ({"max_trials": 1}, "one architecture was asked for"),
    ],
)
def test_a_plan_says_why_the_users_space_is_not_searched(changes: dict[str, Any], reason: str) -> None:
    given = macro_space((28, 28, 1), 10, num_layers=4, num_filters=10)
    plan = plan_for(**{"system": SYSTEMS["enas"], "macro": given, **changes})
    assert plan.space is None and plan.reason.startswith(reason)


def test_a_round_begun_again_takes_its_time_from_all_that_follows() -> None:
    plan = plan_for(seconds_left=1_800.0)
    assert plan.within(1_800.0, rounds_done=0) == plan
    late = plan.within(904.0, rounds_done=1)
    parts = [late.rounds[1].seconds, late.search_seconds, late.final_seconds]
    assert sum(part or 0.0 for part in parts) == pytest.approx(900.0)
    before = [plan.rounds[1].seconds, plan.search_seconds, plan.final_seconds]
    assert np.ptp([part / whole for part, whole in zip(parts, before, strict=True)]) < 1e-9  # type: ignore[operator]
    counted = plan_for(seconds_left=None)
    assert counted.within(None, rounds_done=1) == counted
