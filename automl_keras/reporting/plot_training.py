"""`plot_training`: the curves of one training."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from automl_keras.errors import InvalidArgumentError
from automl_keras.reporting.curves import finite_points
from automl_keras.reporting.figures import DARK, literal, new_figure, styled

if TYPE_CHECKING:
    from automl_keras.training import TrainingCurve


def plot_training(curve: TrainingCurve, path: str | os.PathLike[str]) -> None:
    """Draw loss and learning rate over the epochs of a training, one below the other, as a PNG of 900 x 700 pixels.

    ```python
    plot_training(clf.training_curves_[-1], "training.png")
    ```

    Args:
        curve: Points whose loss is no finite number are left out.
        path: The file to write; an existing one is replaced.

    Raises:
        InvalidArgumentError: If there is nothing to draw.
    """
    points = finite_points(curve)
    if not points:
        raise InvalidArgumentError(
            "`curve` must have a point with a finite loss. "
            f"Received: curve {curve.name!r} with {len(curve.points)} points"
        )
    figure = new_figure(900, 700)
    loss, rate = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    epochs = [point.epoch for point in points]
    for axes, values in ((loss, [point.loss for point in points]), (rate, [point.learning_rate for point in points])):
        axes.plot(epochs, values, color=DARK, linewidth=1.8)
    styled(loss, f"Training: {literal(curve.name)}", y_label="Loss")
    styled(rate, x_label="Epoch", y_label="Learning rate")
    figure.savefig(path, format="png")
