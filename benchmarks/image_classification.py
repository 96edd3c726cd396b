"""Accuracy and size of the exported file at equal wall-clock: ours, parts of ours, and others.

    python benchmarks/image_classification.py ours-fashion_10k-60 0     one row, one seed
    python benchmarks/image_classification.py --missing                 every row and seed that RESULTS.md lacks
    python benchmarks/image_classification.py --missing --rows 'ours-*' --seeds 0
    python benchmarks/image_classification.py --list                    the names of the rows
    python benchmarks/image_classification.py --plot                    docs/image_classification.png

`ours` is `ImageClassifier`, `planned` its plan without a search (`max_trials=1`), `no_search` the search space's
default network scaled to the budget, `random` a random architecture, `mixed` and `joint` are `ImageClassifier` with
`quantization` of that name. Rows are named system-dataset-seconds, with the
budget at the end where it is not the usual one of the data set: 120 kB, for digits 65 kB. Every run has a process of
its own. A finished run is added to RESULTS.md, with date and commit; Keras-Tuner and AutoKeras, who know no budget,
have a second line for the float32 file of the same network. Debian's packages dataset-fashion-mnist and
mate-backgrounds are needed. The environment of AutoKeras is made at its first run.
"""

from pathlib import Path

from command_line import Lines, main
from image_plot import plot
from results_table import RESULTS, ResultsTable

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "image_classification.png"
COLUMNS = ("row", "seed", "file", "keras", "kB", "latency ms", "networks", "seconds", "peak GB", "date", "commit")
TABLE = ResultsTable(RESULTS, COLUMNS)
TASKS = {  # seconds, kB
    "fashion_10k-60": (60, 120),
    "fashion_10k-300": (300, 120),
    "digits-30": (30, 65),
    "photos-120": (120, 120),
    **{
        f"fashion_10k-{seconds}-{kilobytes}kB": (seconds, kilobytes)
        for seconds in (60, 300)
        for kilobytes in (30, 60, 250)
    },
    "fashion_60k-600-250kB": (600, 250),
}
OURS = ("ours", "planned", "no_search", "random")
BITS = ("mixed", "joint")
BITS_TASKS = tuple(task for task in TASKS if task.endswith(("-30kB", "-60kB")))
KERAS_TUNER = {"kt_random": "random", "kt_hyperband": "hyperband"}
KERAS_TUNER_TASKS = ("fashion_10k-60", "fashion_10k-300", "digits-30", "photos-120")
# Epochs of AutoKeras so that its own time is close to that of the task; with `None`, its default, it stops
# when ten epochs have not helped, which takes minutes on Fashion-10k.
AUTOKERAS_EPOCHS = {"fashion_10k-60": 10, "fashion_10k-300": None, "digits-30": 30, "photos-120": 20}
ROWS = [
    "expert-fashion_10k",
    *(f"{system}-{task}" for task in TASKS for system in OURS),
    *(f"{system}-{task}" for task in BITS_TASKS for system in BITS),
    *(f"{system}-{task}" for task in KERAS_TUNER_TASKS for system in KERAS_TUNER),
    *(f"autokeras-{task}" for task in AUTOKERAS_EPOCHS),
]


def run(row: str, seed: int) -> Lines:
    """Run one row in this process."""
    import automl_keras  # noqa: F401, I001 - first, so that TensorFlow starts quietly for every row
    from datasets import DATASETS

    system, _, task = row.partition("-")
    data = DATASETS[task.split("-")[0]]()
    if system == "expert":
        from expert_rows import run_expert

        return {row: run_expert(data, seed)}
    if system == "autokeras":
        from autokeras_row import run_autokeras

        return {row + file: result for file, result in run_autokeras(data, AUTOKERAS_EPOCHS[task], seed).items()}
    seconds, kilobytes = TASKS[task]
    if system in KERAS_TUNER:
        from keras_tuner_rows import run_keras_tuner

        results = run_keras_tuner(data, seconds, seed, KERAS_TUNER[system])
        return {row + file: result for file, result in results.items()}
    from image_rows import SYSTEMS

    return {row: SYSTEMS[system](data, seconds, kilobytes, seed)}


def draw() -> Path:
    """The picture, from RESULTS.md."""
    plot(TABLE.lines(), PICTURE)
    return PICTURE


if __name__ == "__main__":
    main(__file__, __doc__, ROWS, run, TABLE, draw)
