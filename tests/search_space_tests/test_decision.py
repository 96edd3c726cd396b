import json

import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Decision, SearchSpace


def test_anchors_survive_json_and_restriction() -> None:
    space = SearchSpace(
        [
            Decision("a", ("conv", "pool")),
            Decision("b", (3, 5), parent=("a", ("conv",))),
            Decision("input", ("image", "a", "b"), anchors=(None, "a", "b")),
            Decision("skip", (False, True), anchors=("b",)),
        ]
    )
    assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    restricted = space.restrict({"input": ("b", "a"), "skip": (True,)})
    assert restricted["input"].anchors == ("a", "b")  # in the order of the options kept
    assert restricted["skip"].anchors == ("b",)
    without_b = space.restrict({"a": ("pool",)})
    assert without_b["input"].anchors == (None, "a", None)
    assert without_b["skip"].anchors == (None,)


def test_dictionaries_without_anchors_stay_as_they_were() -> None:
    data = {"name": "a", "options": [1, 2], "default": 1, "parent": None}
    assert Decision.from_dict(data).to_dict() == data


@pytest.mark.parametrize(("options", "anchors"), [((1, 2), (None,)), ((False, True), (None, None)), ((1,), ())])
def test_number_of_anchors_is_checked(options: tuple, anchors: tuple) -> None:
    with pytest.raises(InvalidArgumentError, match="Received: anchors="):
        Decision("a", options, anchors=anchors)
