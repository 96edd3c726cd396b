"""`write_tensorboard`: the trials of a project for TensorBoard."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_keras.errors import InvalidArgumentError

if TYPE_CHECKING:
    from automl_keras.tuners import Project, TrialRecord


def write_tensorboard(project: Project, folder: str | Path) -> int:
    """Write every trial that ended as a run: its hyperparameters, its metrics, and their curves over the steps.

    They are seen with `tensorboard --logdir folder`, in the dashboards HParams and Scalars. Runs of an earlier call
    are completed, not written again: call it as often as you like while a search is going on.

    Args:
        project: The project.
        folder: Where the runs are written, one folder each, named after the trial.

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
        _write_run(record, root / record.trial_id)
    return len(new)


def _write_run(record: TrialRecord, folder: Path) -> None:
    import tensorflow as tf
    from tensorboard.plugins.hparams import api as hparams

    unfinished = folder.with_name(f"unfinished_{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(unfinished))
    with writer.as_default():
        hparams.hparams(_plain(record.values), trial_id=record.trial_id, start_time_secs=record.started)
        for name, values in _curves(record):
            for step, value in sorted(values.items()):
                if math.isfinite(value):
                    tf.summary.scalar(name, value, step=step)
    writer.close()
    unfinished.replace(folder)


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
