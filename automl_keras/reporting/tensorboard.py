"""`write_tensorboard`: the trials and the trainings of a project for TensorBoard."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_keras.errors import InvalidArgumentError

if TYPE_CHECKING:
    from automl_keras.training import TrainingCurve
    from automl_keras.tuners import Project, TrialRecord

TRAININGS = "trainings"


def write_tensorboard(project: Project, folder: str | Path) -> int:
    """Write every trial that ended as a run: its hyperparameters, its metrics, and their curves over the steps.

    Every training of a fit that ended is a run in the folder `trainings`: loss, learning rate, epoch and seconds over
    the optimizer steps.

    They are seen with `tensorboard --logdir folder`, in the dashboards HParams and Scalars. Runs of an earlier call
    are completed, not written again: call it as often as you like while a search is going on.

    ```python
    write_tensorboard(Project("projects/photos"), "runs")
    ```

    Args:
        project: The project.
        folder: Where the runs are written, one folder each, named after the trial or the training.

    Returns:
        How many runs were written.

    Raises:
        InvalidArgumentError: If `folder` is a file.
    """
    root = Path(folder)
    if root.is_file():
        raise InvalidArgumentError(f"`folder` must not be a file. Received: folder={str(folder)!r}")
    ended = [record for record in project.trials if record.ended is not None and record.status != "INVALID"]
    new = [record for record in ended if not (root / record.trial_id).exists()]
    for record in new:
        with _run(root / record.trial_id):
            _write_trial(record)
    trainings = {root / TRAININGS / re.sub(r"[^a-z0-9]+", "_", curve.name): curve for curve in project.curves}
    unwritten = [path for path in trainings if not path.exists()]
    for path in unwritten:
        with _run(path):
            _write_training(trainings[path])
    return len(new) + len(unwritten)


@contextmanager
def _run(folder: Path) -> Iterator[None]:
    """Everything summarised in the block is a run in `folder`, which appears there whole or not at all."""
    import tensorflow as tf

    unfinished = folder.with_name(f"unfinished_{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(unfinished))
    with writer.as_default():
        yield
    writer.close()
    unfinished.replace(folder)


def _write_trial(record: TrialRecord) -> None:
    from tensorboard.plugins.hparams import api as hparams

    hparams.hparams(_plain(record.values), trial_id=record.trial_id, start_time_secs=record.started)
    for name, values in _curves(record):
        for step, value in sorted(values.items()):
            _write_scalar(name, value, step)


def _write_training(curve: TrainingCurve) -> None:
    for point in curve.points:
        for name in ("loss", "learning_rate", "epoch", "seconds"):
            _write_scalar(name, getattr(point, name), point.step)


def _write_scalar(name: str, value: float, step: int) -> None:
    import tensorflow as tf

    if math.isfinite(value):
        tf.summary.scalar(name, value, step=step)


def _curves(record: TrialRecord) -> Iterable[tuple[str, Mapping[int, float]]]:
    """The metrics by step, and what is known of the whole trial."""
    yield from record.history.items()
    if record.score is not None:
        yield "score", {0: record.score}
    if record.ended is not None:
        yield "seconds", {0: record.ended - record.started}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the types that TensorBoard can show; others as text."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in values.items()
    }
