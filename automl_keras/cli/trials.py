"""`automl-keras trials`: what a search has tried, also while it is running."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from automl_keras.cli.arguments import architecture_text
from automl_keras.cli.command import DONE, INTERRUPTED, Answer, Command

if TYPE_CHECKING:
    from automl_keras.evaluation import Evaluation
    from automl_keras.tuners import Project
    from automl_keras.tuners.project import TrialRecord

SECONDS_BETWEEN_LOOKS = 1.0
SHOWN = 10  # networks, best first


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("project", metavar="PROJECT", help="project folder of a fit, or of a tuner")
    parser.add_argument(
        "--live", action="store_true", help="follow a running search: a line for each trial, until a fit ends or Ctrl-C"
    )


def _run(options: Namespace) -> Answer:
    from automl_keras.tuners import Project

    code = DONE
    if options.live:
        try:
            for line in _followed(options.project):
                print(line, flush=True)
        except KeyboardInterrupt:
            code = INTERRUPTED
    project = Project(options.project)
    trials, best = project.trials, project.best
    facts = {
        "project": options.project,
        "finished": _is_finished(best),
        "trials": [{**asdict(record), "seconds": _seconds(record)} for record in trials],
        "best": None if best is None else best.to_dict(),
        "evaluations": [evaluation.to_dict() for evaluation in project.leaderboard()],
        "plan": project.plan,
    }
    return Answer(facts, _text(project, [] if options.live else trials, best), code)


def _followed(directory: str) -> Iterator[str]:
    """A line for each trial that begins or ends, those of the past first; until a fit is finished."""
    from automl_keras.tuners import Project

    project, told = Project(directory), dict[str, str]()
    while True:
        finished = _is_finished(project.best)  # before the look: what is told then is all there is
        if not told:
            project = Project(directory)  # the search of a fit may have begun meanwhile
        for record in project.trials:
            if told.get(record.trial_id) != record.status:
                told[record.trial_id] = record.status
                row = _row(record)
                yield "  ".join(f"{name} {value}" for name, value in row.items() if value is not None)
        if finished:
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _is_finished(best: Evaluation | None) -> bool:
    """Whether a fit has come to its end; the search of a tuner does not tell."""
    return best is not None and best.source == "file"


def _text(project: Project, trials: Any, best: Evaluation | None) -> str:
    from automl_keras.reporting import format_table

    evaluations = project.leaderboard()
    sections = [format_table([_row(record) for record in trials])] if trials else []
    sections.append(format_table([_measured(evaluation) for evaluation in evaluations[:SHOWN]]))
    if len(evaluations) > SHOWN:
        sections.append(f"and {len(evaluations) - SHOWN} more networks")
    sections.append("No trial has ended well yet." if best is None else f"Best: {architecture_text(best.architecture)}")
    return "\n\n".join(filter(None, sections))


def _measured(evaluation: Evaluation) -> dict[str, Any]:
    cost = evaluation.cost
    known = {**evaluation.metrics, "size_kb": cost.size_kb, "latency_ms": cost.latency_ms, "error": evaluation.error}
    return {"source": evaluation.source, **known}


def _row(record: TrialRecord) -> dict[str, Any]:
    from automl_keras.tuners.durable_oracle import reason
    from automl_keras.tuners.oracle import PHASE

    seconds = _seconds(record)
    return {
        "trial": record.trial_id,
        "status": record.status,
        "work": "training round" if record.values.get(PHASE) == "train" else "network",
        "score": None if record.score is None else round(record.score, 4),
        "seconds": None if seconds is None else round(seconds, 1),
        "worker": record.worker,
        "message": None if record.message is None else reason(record.message),
    }


def _seconds(record: TrialRecord) -> float | None:
    return None if record.ended is None else record.ended - record.started


COMMAND = Command(
    name="trials",
    summary="list what a search has tried, also while it is running",
    examples=(
        "automl-keras trials projects/photos",
        "automl-keras trials projects/photos --live",
        "automl-keras trials projects/photos --json",
    ),
    add_arguments=_add_arguments,
    run=_run,
)
