from dataclasses import replace

import pytest

from automl_keras import Budget
from automl_keras.data import DatasetInfo
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.default_network import check_budget, default_network, feasibility, neighbourhood
from automl_keras.evaluation import CostPredictor
from automl_keras.search_space import image_space
from automl_keras.training import training_work

SPACE = image_space((28, 28, 1), 10)
INFO = DatasetInfo((28, 28, 1), "uint8", (70.0,), (90.0,), (0.0, 255.0), tuple(range(10)), 800, 200)
PREDICT = CostPredictor(SPACE, INFO)


@pytest.mark.parametrize("kilobytes", [8, 15, 30, 60, 120, 250, 480])
def test_default_network_uses_the_budget(kilobytes: float) -> None:
    architecture = default_network(PREDICT, feasibility(PREDICT, Budget(max_size_kb=kilobytes)))
    size = PREDICT(architecture).size_kb
    assert size is not None and 0.7 * kilobytes < size <= kilobytes


def test_time_limits_the_work() -> None:
    architecture = default_network(PREDICT, feasibility(PREDICT, Budget()), max_work=6e6)
    assert 5e6 < training_work(SPACE.network_spec(architecture)) <= 6e6


def test_time_that_a_small_budget_leaves_goes_into_resolution() -> None:
    feasible = feasibility(PREDICT, Budget(max_size_kb=30))
    networks = [default_network(PREDICT, feasible, 12e6, full_work) for full_work in (0.0, 6.5e6, 12e6)]
    assert [network["full_resolution"] for network in networks] == [0, 0, 2]
    sizes = [PREDICT(network).size_kb for network in networks]
    assert max(sizes) < 1.2 * min(sizes)


@pytest.mark.parametrize(
    ("budget", "name"),
    [(Budget(max_size_kb=3), "size_kb"), (Budget(max_macs=1000), "macs"), (Budget(max_params=100), "params")],
)
def test_impossible_budget_names_what_can_be_reached(budget: Budget, name: str) -> None:
    smallest = min(
        getattr(PREDICT(SPACE.extreme(largest=False, operation=operation)), name)
        for operation in ("residual", "fused_mbconv", "mbconv")
    )
    with pytest.raises(InfeasibleBudgetError, match=f"{name}={smallest:g}") as caught:
        check_budget(PREDICT, budget)
    assert f"Received: max_{name}=" in str(caught.value)


def test_limits_that_no_smallest_network_keeps_together_are_refused() -> None:
    residual, inverted = (PREDICT(SPACE.extreme(largest=False, operation=o)) for o in ("residual", "mbconv"))
    assert residual.size_kb < inverted.size_kb and residual.macs > inverted.macs
    with pytest.raises(InfeasibleBudgetError, match="all limits at once"):
        check_budget(PREDICT, Budget(max_size_kb=1.02 * residual.size_kb, max_macs=inverted.macs))


def test_long_labels_count() -> None:
    long = CostPredictor(SPACE, replace(INFO, classes=tuple(f"a label of many letters, {i}" for i in range(10))))
    size = PREDICT(SPACE.default()).size_kb
    assert not feasibility(long, Budget(max_size_kb=1.0101 * size))(SPACE.default())
    assert feasibility(PREDICT, Budget(max_size_kb=1.0101 * size))(SPACE.default())


@pytest.mark.parametrize("budget", [Budget(max_size_kb=120), Budget(max_macs=150_000)])
def test_neighbourhood_holds_its_centre_and_is_much_smaller(budget: Budget) -> None:
    centre = default_network(PREDICT, feasibility(PREDICT, budget))
    near = neighbourhood(SPACE, centre, operations=("residual",))
    assert near.canonical(centre) == centre
    assert near.size < SPACE.size / 1000
