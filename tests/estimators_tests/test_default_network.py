import pytest

from automl_keras import Budget
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.default_network import check_budget, default_network, feasibility, neighbourhood
from automl_keras.evaluation import network_cost
from automl_keras.search_space import image_space

SPACE = image_space((28, 28, 1), 10)


@pytest.mark.parametrize("kilobytes", [8, 15, 30, 60, 120, 250, 900])
def test_default_network_uses_the_budget(kilobytes: float) -> None:
    architecture = default_network(SPACE, feasibility(SPACE, Budget(max_size_kb=kilobytes)))
    size = network_cost(SPACE.network_spec(architecture)).size_kb
    assert size is not None and 0.7 * kilobytes < size <= kilobytes


def test_time_limits_the_macs() -> None:
    feasible = feasibility(SPACE, Budget())
    architecture = default_network(SPACE, feasible, max_macs=1_000_000)
    macs = network_cost(SPACE.network_spec(architecture)).macs
    assert macs is not None and 300_000 < macs <= 1_000_000


@pytest.mark.parametrize(
    ("budget", "name"),
    [(Budget(max_size_kb=3), "size_kb"), (Budget(max_macs=1000), "macs"), (Budget(max_params=100), "params")],
)
def test_impossible_budget_names_what_can_be_reached(budget: Budget, name: str) -> None:
    smallest = getattr(network_cost(SPACE.network_spec(SPACE.extreme(largest=False))), name)
    with pytest.raises(InfeasibleBudgetError, match=f"{name}={smallest:g}") as caught:
        check_budget(SPACE, budget)
    assert f"Received: max_{name}=" in str(caught.value)


def test_limits_that_no_network_keeps_together_are_refused() -> None:
    costs = [
        network_cost(SPACE.network_spec(SPACE.extreme(largest=False, operation=o)))
        for o in SPACE["stage0_operation"].options
    ]
    fewest_params = min(cost.params for cost in costs if cost.params)
    fewest_macs = min(cost.macs for cost in costs if cost.macs)
    both = Budget(max_params=fewest_params, max_macs=fewest_macs)
    if any(both.allows(cost) for cost in costs):
        check_budget(SPACE, both)
    else:
        with pytest.raises(InfeasibleBudgetError, match="all limits at once"):
            check_budget(SPACE, both)


def test_neighbourhood_holds_its_centre_and_is_much_smaller() -> None:
    centre = default_network(SPACE, feasibility(SPACE, Budget(max_size_kb=120)))
    near = neighbourhood(SPACE, centre, operations=("residual",))
    assert near.canonical(centre) == centre
    assert 10 < near.size < SPACE.size / 1000
    assert {near[f"stage{s}_operation"].options for s in range(3)} == {("residual",)}
