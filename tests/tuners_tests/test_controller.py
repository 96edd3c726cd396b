from collections import Counter
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Architecture, Decision, Option, SearchSpace
from automl_keras.testing import conditional_space
from automl_keras.tuners.controller import Controller

YES_NO = (False, True)


def attention_space() -> SearchSpace:
    """Three layers: choices, an input among three, skip connections, some of them conditional; 240 architectures."""
    return SearchSpace(
        [
            Decision("op0", ("conv", "pool")),
            Decision("input1", ("image", "previous", "op0"), anchors=(None, None, "op0")),
            Decision("op1", ("conv", "pool")),
            Decision("kernel1", (3, 5), parent=("op1", ("conv",))),
            Decision("skip2_0", YES_NO, anchors=("op0",)),
            Decision("skip2_1", (True, False), anchors=("kernel1",), parent=("op1", ("conv",))),
            Decision("op2", ("conv", "pool")),
            Decision("skip3_2", YES_NO, anchors=("skip2_1",)),
        ]
    )


def enas_macro_space(num_layers: int) -> SearchSpace:
    decisions: list[Decision] = []
    last: list[str] = []
    for layer in range(num_layers):
        skips = [Decision(f"skip{layer}_{j}", YES_NO, anchors=(last[j],)) for j in range(layer)]
        decisions += [Decision(f"op{layer}", ("conv", "sep", "pool")), *skips]
        last.append(decisions[-1].name)
    return SearchSpace(decisions)


def every_architecture(space: SearchSpace) -> list[Architecture]:
    values = product(*(decision.options for decision in space.decisions))
    return list(dict.fromkeys(space.canonical(dict(zip(space.names, v, strict=True))) for v in values))


def random_controller(space: SearchSpace, **settings: Any) -> Controller:
    """With weights large enough for probabilities far from uniform."""
    controller = Controller(space, hidden_size=5, **settings)
    rng = np.random.default_rng(1)
    for weight in controller.weights.values():
        weight[...] = rng.normal(scale=0.7, size=weight.shape)
    return controller


def assert_is_gradient(gradient: Mapping[str, np.ndarray], controller: Controller, value: Callable[[], float]) -> None:
    """By central differences along two random directions in each array of weights."""
    assert gradient.keys() == controller.weights.keys()
    rng = np.random.default_rng(2)
    for name, weight in controller.weights.items():
        assert gradient[name].shape == weight.shape
        for direction in rng.normal(size=(2, *weight.shape)):
            start, values = weight.copy(), []
            for step in (1e-5, -1e-5):
                weight[...] = start + step * direction
                values.append(value())
            weight[...] = start
            expected = (values[0] - values[1]) / 2e-5
            assert np.sum(gradient[name] * direction) == pytest.approx(expected, rel=1e-5, abs=1e-7), name


@pytest.fixture(params=[(1.0, None), (2.0, 1.5)], ids=["free logits", "bounded logits"])
def controller(request: pytest.FixtureRequest) -> Controller:
    temperature, tanh_constant = request.param
    return random_controller(attention_space(), temperature=temperature, tanh_constant=tanh_constant)


def test_probabilities_of_a_space_sum_to_one(controller: Controller) -> None:
    probabilities = np.exp(controller.log_prob(every_architecture(controller.space)))
    assert len(probabilities) == controller.space.size == 240
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities.max() > 10 * probabilities.min()


def test_samples_have_their_probabilities(controller: Controller) -> None:
    architectures = every_architecture(controller.space)
    counts = Counter(controller.sample(np.random.default_rng(0), 5_000))
    probabilities = np.exp(controller.log_prob(architectures))
    deviations = np.array([counts[a] for a in architectures]) - 5_000 * probabilities
    assert np.all(np.abs(deviations) < 5 * np.sqrt(5_000 * probabilities) + 1)


def test_flatness_of_each_sample(controller: Controller) -> None:
    rng = np.random.default_rng(0)
    log_p = controller.log_prob(controller.sample(rng, 4_000, flatness=np.tile([1.0, 1e9], 2_000)))
    architectures = every_architecture(controller.space)
    minus_entropy = np.exp(controller.log_prob(architectures)) @ controller.log_prob(architectures)
    uniform = controller.log_prob([controller.space.sample(rng) for _ in range(2_000)]).mean()
    assert uniform < minus_entropy - 0.15
    assert log_p[::2].mean() == pytest.approx(minus_entropy, abs=0.07)
    assert log_p[1::2].mean() == pytest.approx(uniform, abs=0.07)


def test_policy_gradient_is_the_gradient_of_the_expected_reward(controller: Controller) -> None:
    """Summed over all architectures: the exact expectation, whatever the baseline."""
    architectures = every_architecture(controller.space)
    rewards = np.random.default_rng(0).normal(size=len(architectures))
    probabilities = np.exp(controller.log_prob(architectures))
    gradient = controller.gradient(architectures, probabilities * (rewards - 0.3))
    assert_is_gradient(gradient, controller, lambda: np.exp(controller.log_prob(architectures)) @ rewards)


def test_gradient_of_weighted_entropy_and_divergence(controller: Controller) -> None:
    architectures = every_architecture(controller.space)[::3]
    first, second = np.random.default_rng(0).normal(size=(2, len(architectures)))

    def value() -> float:
        return float(controller.entropy(architectures) @ first + controller.skip_divergence(architectures) @ second)

    gradient = controller.gradient(architectures, entropy=first, skip_divergence=second)
    assert_is_gradient(gradient, controller, value)


def test_expected_path_entropy_is_the_entropy(controller: Controller) -> None:
    architectures = every_architecture(controller.space)
    log_p = controller.log_prob(architectures)
    assert np.exp(log_p) @ controller.entropy(architectures) == pytest.approx(-np.exp(log_p) @ log_p)


@pytest.mark.parametrize(("temperature", "tanh_constant"), [(1.0, None), (5.0, 2.5), (1.0, 1.5)])
def test_macro_space_as_in_enas(temperature: float, tanh_constant: float | None) -> None:
    """Against the released sampler's equations, one architecture after the other."""
    controller = random_controller(enas_macro_space(3), temperature=temperature, tanh_constant=tanh_constant)
    architectures = every_architecture(controller.space)
    expected = [_enas_macro(controller.weights, a, temperature, tanh_constant) for a in architectures]
    np.testing.assert_allclose(controller.log_prob(architectures), [log_p for log_p, _ in expected])
    np.testing.assert_allclose(controller.skip_divergence(architectures), [kl for _, kl in expected])


def _enas_macro(
    weights: Mapping[str, np.ndarray], architecture: Mapping[str, Option], temperature: float, limit: float | None
) -> tuple[float, float]:
    """The log-probability and the mean of the layers' skip divergences, target 0.4."""

    def lstm(x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i, f, o, g = np.split(np.concatenate([x, h]) @ weights["lstm"], 4)
        c = expit(i) * np.tanh(g) + expit(f) * c
        return expit(o) * np.tanh(c), c

    def log_probabilities(logits: np.ndarray) -> np.ndarray:
        logits = logits / temperature
        return log_softmax(logits if limit is None else limit * np.tanh(logits))

    x = weights["start"]
    h = c = np.zeros_like(x)
    log_p, divergences = 0.0, []
    anchors: list[np.ndarray] = []
    for layer in range(3):
        h, c = lstm(x, h, c)
        operation = ("conv", "sep", "pool").index(architecture[f"op{layer}"])
        log_p += log_probabilities(weights[f"softmax/op{layer}"] @ h)[operation]
        h, c = lstm(weights[f"embedding/op{layer}"][operation], h, c)
        x, chosen, divergence = weights["start"], [], 0.0
        for j, anchor in enumerate(anchors):
            hidden = np.tanh(anchor @ weights["attention/previous"] + h @ weights["attention/current"])
            query = hidden @ weights["attention/vector"]
            log_probs = log_probabilities(np.array([-query, query]))
            divergence += np.exp(log_probs) @ (log_probs - np.log([0.6, 0.4]))
            log_p += log_probs[int(architecture[f"skip{layer}_{j}"])]
            chosen += [anchor] if architecture[f"skip{layer}_{j}"] else []
        if anchors:
            x = np.sum(chosen, axis=0) / (1 + len(chosen)) if chosen else np.zeros_like(h)
            divergences.append(divergence)
        anchors.append(h)
    return log_p, float(np.mean(divergences))


def test_skip_divergence_of_released_target() -> None:
    """It is least where every skip connection has the target probability."""
    controller = random_controller(enas_macro_space(2), tanh_constant=None, skip_target=0.25)
    architectures = every_architecture(controller.space)
    for _ in range(300):
        gradient = controller.gradient(architectures, skip_divergence=1.0)
        for name, weight in controller.weights.items():
            weight -= 0.1 * gradient[name]
    probabilities = np.exp(controller.log_prob(architectures))
    assert probabilities[[bool(a["skip1_0"]) for a in architectures]].sum() == pytest.approx(0.25, abs=0.01)


def test_bounded_logits_bound_the_odds() -> None:
    controller = random_controller(SearchSpace([Decision("op", ("a", "b"))]), tanh_constant=1.5)
    controller.weights["softmax/op"][0] = 1e6 * controller.weights["softmax/op"][1]
    log_p = controller.log_prob([Architecture({"op": option}) for option in "ab"])
    assert abs(log_p[0] - log_p[1]) <= 3.0


def test_inactive_decisions_carry_no_probability() -> None:
    controller = random_controller(conditional_space())
    skip = controller.space.canonical({"operation": "skip"})
    gradient = controller.gradient([skip], 1.0)
    for name in ("expansion", "squeeze", "kernel"):
        assert not gradient[f"softmax/{name}"].any()
        assert not gradient[f"embedding/{name}"].any()
    probabilities = np.exp(controller.log_prob(every_architecture(controller.space)))
    assert len(probabilities) == 36
    assert probabilities.sum() == pytest.approx(1.0)


def test_own_inputs_can_be_told_apart() -> None:
    """Both have zeros as their state."""
    space = SearchSpace([Decision("input", ("before last", "last"), anchors=(None, None))])
    controller = Controller(space, hidden_size=8, tanh_constant=None)
    last = space.canonical({"input": "last"})
    for _ in range(200):
        gradient = controller.gradient([last], 1.0)
        for name, weight in controller.weights.items():
            weight += 0.5 * gradient[name]
    assert np.exp(controller.log_prob([last])) > 0.9


def test_grown_space_keeps_what_old_decisions_said() -> None:
    old = attention_space()
    grown = SearchSpace([Decision("stem", (3, 5)), *old.decisions, Decision("head", (64, 128))])
    before, after = Controller(old, seed=3), Controller(grown, seed=3)
    for name, weight in before.weights.items():
        np.testing.assert_array_equal(weight, after.weights[name])
    architectures = every_architecture(old)
    np.testing.assert_array_equal(after.log_prob(architectures), before.log_prob(architectures))


def test_yes_no_decision_with_one_option_left() -> None:
    controller = random_controller(attention_space().restrict({"skip2_0": (True,), "input1": ("op0",)}))
    probabilities = np.exp(controller.log_prob(every_architecture(controller.space)))
    assert probabilities.sum() == pytest.approx(1.0)


def test_space_without_decisions() -> None:
    """As an oracle that follows a hypermodel begins."""
    controller = Controller(SearchSpace([]))
    assert controller.sample(np.random.default_rng(0), 2) == [Architecture({})] * 2
    assert controller.log_prob([Architecture({})]) == [0.0]
    assert not controller.gradient([Architecture({})], 1.0)["lstm"].any()


@pytest.mark.parametrize("anchor", ["op9", "input1", "op1"])
def test_anchor_must_be_an_earlier_decision(anchor: str) -> None:
    space = SearchSpace(
        [Decision("op0", (1, 2)), Decision("input1", ("a", "b"), anchors=("op0", anchor)), Decision("op1", (1, 2))]
    )
    with pytest.raises(InvalidArgumentError, match=f"'input1' must be None or .* Received: anchor='{anchor}'"):
        Controller(space)


@pytest.mark.parametrize(
    "setting", [{"hidden_size": 0}, {"temperature": 0.0}, {"tanh_constant": -1.0}, {"skip_target": 1.0}]
)
def test_settings_are_checked(setting: dict) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(InvalidArgumentError, match=f"`{name}` must .* Received: {name}={value}"):
        Controller(attention_space(), **setting)
