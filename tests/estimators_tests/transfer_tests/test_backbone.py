import keras
import pytest

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.estimators.transfer.backbone import Backbone, as_backbone


def network(*layers, shape=(8, 6, 3)):
    return keras.Sequential([keras.Input(shape), *layers])


def features(shape=(8, 6, 3)):
    return network(keras.layers.Conv2D(4, 3), shape=shape)


def test_what_can_be_chosen():
    space = Backbone(features(), unfrozen=(1.0, 0.5)).space()
    assert space["unfrozen"].options == (0.0, 0.5, 1.0)
    assert space.default()["unfrozen"] == 1.0
    assert space.size == 2 * 3 * (1 + 2 * 3)  # a learning rate where something is fine-tuned
    frozen = Backbone(features(), unfrozen=()).space()
    assert "learning_rate" not in frozen.names
    assert frozen.size == 2 * 3


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((8, 6, 3), None, (8, 6)),
        ((None, None, 3), None, (20, 10)),
        ((8, 6, 3), (12, 12), (12, 12)),
        ((None, None, 3), (12, 12), (12, 12)),
    ],
)
def test_the_size_is_that_asked_for_or_the_models_own_or_that_of_the_images(shape, size, expected):
    assert Backbone(features(shape), size=size).input_size((20, 10, 3)) == expected


def test_a_keras_model_alone_is_a_backbone():
    model = features()
    backbone = as_backbone(model)
    assert backbone.model is model
    assert as_backbone(backbone) is backbone


def test_the_identity_is_that_of_weights_and_layers():
    keras.utils.set_random_seed(1)
    first, second = features(), features()
    assert Backbone(first).identity() != Backbone(second).identity()
    second.set_weights(first.get_weights())
    assert Backbone(first).identity() == Backbone(second).identity()
    assert Backbone(first).identity() != Backbone(first, unfrozen=(1.0,)).identity()


def test_the_identity_is_that_of_configurations_and_of_the_input():
    def made(side: int, scale: float) -> Backbone:
        inputs = keras.Input((side, side, 1))
        return Backbone(
            keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(scale)(inputs)))
        )

    assert made(8, 0.5).identity() == made(8, 0.5).identity()
    assert made(8, 0.5).identity() != made(8, 0.25).identity()
    assert made(8, 0.5).identity() != made(12, 0.5).identity()


def subclassed():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    return Own()


def two_inputs():
    first, second = keras.Input((4, 4, 3)), keras.Input((4, 4, 3))
    return keras.Model([first, second], first + second)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (subclassed, "functional or built Sequential"),
        (two_inputs, "2 inputs"),
        (lambda: network(keras.layers.Dense(3), shape=(7,)), "input_shape=\\(None, 7\\)"),
        (lambda: features((8, 8, 4)), "1 or 3"),
        (lambda: network(keras.layers.Reshape((8, 18))), "output_shape=\\(None, 8, 18\\)"),
        (lambda: network(keras.layers.Flatten(), keras.layers.Dense(3, "softmax")), "include_top=False"),
        (lambda: network(network(keras.layers.Flatten(), keras.layers.Softmax())), "include_top=False"),
        (lambda: network(keras.layers.Lambda(keras.ops.abs)), "`Lambda`"),
    ],
)
def test_a_model_that_cannot_be_a_backbone_is_refused(model, named):
    with pytest.raises(InvalidArgumentError, match=named):
        Backbone(model())


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"pixel_range": (1, 0)}, InvalidArgumentError),
        ({"pixel_range": (0, 1, 2)}, InvalidArgumentError),
        ({"pixel_range": (0, float("nan"))}, InvalidArgumentError),
        ({"pixel_range": "0..1"}, InvalidTypeError),
        ({"size": (0, 8)}, InvalidArgumentError),
        ({"size": (8.5, 8)}, InvalidArgumentError),
        ({"size": 8}, InvalidTypeError),
        ({"unfrozen": (0.0, 1.0)}, InvalidArgumentError),
        ({"unfrozen": (0.5, 1.5)}, InvalidArgumentError),
        ({"unfrozen": (0.5, 0.5)}, InvalidArgumentError),
        ({"unfrozen": None}, InvalidTypeError),
        ({"unfrozen": (True,)}, InvalidTypeError),
    ],
)
def test_attributes_out_of_range_are_refused(settings, error):
    [name] = settings
    with pytest.raises(error, match=f"`{name}`.*{name}="):
        Backbone(features(), **settings)


@pytest.mark.parametrize("wrong", ["MobileNetV2", 3, keras.layers.Conv2D(3, 3)])
def test_what_is_no_model_is_refused(wrong):
    with pytest.raises(InvalidTypeError, match="`backbone`"):
        as_backbone(wrong)
