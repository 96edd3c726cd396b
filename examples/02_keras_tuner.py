"""Our oracle in Keras-Tuner code: regularized evolution over image networks, each trained on its own.

The tuner is Keras-Tuner's; so are its results. Run it with `python examples/02_keras_tuner.py`.
"""

import tempfile

import keras_tuner
from sklearn.datasets import load_digits

from automl_keras.data import prepare_data
from automl_keras.evaluation import Budget, CostPredictor
from automl_keras.search_space import image_space
from automl_keras.tuners import EvolutionOracle


def main() -> None:
    digits = load_digits()
    data = prepare_data(digits.images, digits.target, seed=0)
    space = image_space(data.info.image_shape, data.info.num_classes)
    budget, predict_cost = Budget(max_size_kb=30), CostPredictor(space, data.info)

    oracle = EvolutionOracle(
        objective="val_accuracy",
        max_trials=6,
        space=space,
        feasible=lambda architecture: budget.allows(predict_cost(architecture)),
        seed=0,
    )
    with tempfile.TemporaryDirectory() as directory:
        tuner = keras_tuner.Tuner(oracle, space.hypermodel(data.info), directory=directory, project_name="digits")
        tuner.search(
            data.train.images,
            data.train.codes,
            validation_data=(data.validation.images, data.validation.codes),
            epochs=3,
            batch_size=32,
            verbose=0,
        )
        tuner.results_summary(num_trials=2)
        best = space.canonical(tuner.get_best_hyperparameters()[0].values)
    print(f"\nBest: {predict_cost(best).size_kb:.1f} kB as an int8 file, {dict(best)}")


if __name__ == "__main__":
    main()
