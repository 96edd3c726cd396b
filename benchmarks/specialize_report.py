"""What `specialize.py` writes into RESULTS.md."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from automl_keras import Budget

MUST_SECONDS, AIM_SECONDS, MUST_POINTS = 5, 1, 1.0
Line = Mapping[str, str]
TEXT = """\
## One training, {count} budgets: {tuner}

`python benchmarks/specialize.py {tuner}`: one `ImageClassifier({arguments})`, then
`specialize` for each budget. Search: evaluations with shared weights and calibration, without the export of the file
and its measurement on validation images. Accuracies: of int8 files on the test images. Alone: the same network from
scratch, in the {steps} steps that the supernet had, {passes} passes over the training images.

- Search: median {median:.2f} s, longest {longest:.2f} s, but for the first with {first:.1f} s, which builds the
  supernet and makes the first evaluations. Must: {must_seconds} s; aim: {aim_seconds} s. Export: median {export:.2f} s.
- Specialised less alone: {difference}. Must: median of -{must_points} points; aim: 0.

| budget kB | file kB | search s | export s | accuracy % | alone % | difference |
|---|---|---|---|---|---|---|
{table}"""


def markdown(settings: Mapping[str, Any], special: Sequence[Line], alone: Mapping[int, Line]) -> str:
    """The section.

    Args:
        settings: Arguments of the classifier.
        special: A line for each budget, in order.
        alone: Lines of networks trained alone, by the number of the budget.
    """
    search, export = (np.array([float(line[column]) for line in special]) for column in ("search", "export"))
    differences = [points(special[number]) - points(line) for number, line in sorted(alone.items())]
    any_alone = next(iter(alone.values()), {"steps": "-", "passes": "nan"})
    return TEXT.format(
        count=len(special),
        tuner=settings["tuner"],
        arguments=", ".join(f"{name}={_shown(value)}" for name, value in settings.items()),
        steps=any_alone["steps"],
        passes=f"{float(any_alone['passes']):.1f}",
        median=np.median(search[1:]),
        longest=np.max(search[1:]),
        first=search[0],
        export=np.median(export),
        must_seconds=MUST_SECONDS,
        aim_seconds=AIM_SECONDS,
        must_points=MUST_POINTS,
        difference=_summary(differences),
        table="\n".join(_row(line, alone.get(number)) for number, line in enumerate(special)),
    )


def _shown(value: Any) -> str:
    if isinstance(value, Budget):
        return f"Budget({', '.join(f'{name}={limit:g}' for name, limit in value.limits().items())})"
    return repr(value)


def points(line: Line) -> float:
    """Accuracy in per cent."""
    return 100 * float(line["accuracy"])


def _summary(differences: Sequence[float]) -> str:
    if not differences:
        return "not measured"
    return (
        f"median {np.median(differences):+.2f} points over {len(differences)} networks, "
        f"from {min(differences):+.2f} to {max(differences):+.2f}"
    )


def _row(line: Line, alone: Line | None) -> str:
    cells = [f"{float(line[column]):.1f}" for column in ("budget", "kB")]
    cells += [f"{float(line[column]):.2f}" for column in ("search", "export")]
    cells.append(f"{points(line):.2f}")
    cells += ["", ""] if alone is None else [f"{points(alone):.2f}", f"{points(line) - points(alone):+.2f}"]
    return f"| {' | '.join(cells)} |"
