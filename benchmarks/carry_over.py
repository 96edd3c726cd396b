"""Does it carry over? Data sets of different kinds, beside the expert's network with AdamW and with Muon.

    python benchmarks/carry_over.py ours-photos 0       one row, one seed
    python benchmarks/carry_over.py --missing           every row and seed that RESULTS.md lacks
    python benchmarks/carry_over.py --missing --rows 'expert_*' --seeds 0 1
    python benchmarks/carry_over.py --list              the names of the rows

Debian's packages dataset-fashion-mnist, mate-backgrounds, fonts-noto-core, fonts-freefont-ttf, fonts-liberation,
fonts-open-sans, fonts-jetbrains-mono, fonts-roboto-unhinted, fonts-sil-gentiumplus and fonts-hack are needed.
"""

from command_line import Lines, main
from results_table import RESULTS, ResultsTable

SECONDS, KILOBYTES = 120, 120
KINDS = ("fashion_10k", "photos", "few_images", "characters", "near_duplicates", "label_noise")
EXPERTS = {"expert_adamw": "adamw", "expert_muon": "muon"}
SYSTEMS = ("ours", "refit", "no_search", *EXPERTS)
ROWS = [f"{system}-{kind}" for kind in KINDS for system in SYSTEMS]
COLUMNS = ("row", "seed", "file", "keras", "kB", "networks", "seconds", "peak GB", "date", "commit")
BEGIN, END = "<!-- carry_over: begin -->", "<!-- carry_over: end -->"
INTRODUCTION = f"""\
{BEGIN}
## Data sets of different kinds

`python benchmarks/carry_over.py --missing`, {SECONDS} s and {KILOBYTES} kB, one process after the other. `file`:
accuracy of the int8 file on the test set; `keras`: of the Keras model.

- `fashion_10k`: grey; 10,000 training and 10,000 test images of 28x28x1, 10 classes.
- `photos`: colour; patches of 13 photographs, the class is the photograph, other parts of it for testing: 6,864 and
  4,992 images of 32x32x3.
- `few_images`: 300 training images of Fashion-MNIST, 10,000 for testing.
- `characters`: many classes; 129 Latin, Greek and Cyrillic characters in 57 fonts for training, 24 of other families
  for testing, turned, shifted and noisy: 7,353 and 3,096 images of 28x28x1.
- `near_duplicates`: 1,300 of the photo patches for training, each in five versions, slightly moved, lit and JPEG-coded
  anew; the test set is that of `photos`.
- `label_noise`: `fashion_10k` with one in five training labels drawn anew.

`ours` and `no_search` as above, `refit` is ours with `refit=True`. `expert_adamw`, `expert_muon`: the expert's residual
network, float, trained for the same seconds, one cycle of the learning rate over them, with random crops, and with
flips where a mirrored image is of the same class.
"""
TABLE = ResultsTable(RESULTS, COLUMNS, before=INTRODUCTION + "\n", after=END)


def run(row: str, seed: int) -> Lines:
    """Run one row in this process."""
    import automl_keras  # noqa: F401, I001 - first, so that TensorFlow starts quietly for every row
    from datasets import DATASETS
    from expert_rows import run_expert_by_the_clock
    from image_rows import SYSTEMS as TRAINED_BY_US

    system, kind = row.split("-")
    data = DATASETS[kind]()
    if system in EXPERTS:
        return {row: run_expert_by_the_clock(data, SECONDS, EXPERTS[system], seed)}
    return {row: TRAINED_BY_US[system](data, SECONDS, KILOBYTES, seed)}


if __name__ == "__main__":
    main(__file__, __doc__, ROWS, run, TABLE)
