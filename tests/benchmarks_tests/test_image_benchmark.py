from pathlib import Path

import carry_over
import image_classification
import numpy as np
import pytest
from command_line import missing_runs
from datasets import DATASETS
from image_classification import COLUMNS, ROWS, TASKS
from image_plot import experts, panels, plot
from matplotlib.image import imread
from results_table import FLOAT, RESULTS, ResultsTable

TEXT = """# Results

Before.

| row | seed | file |
|---|---|---|
| ours-x-60 | 0 | 0.9 |

## After

| other | seed |
|---|---|
| ours-x-60 | 1 |
"""


def _line(row: str, seed: int, kilobytes: float | str, file: float | str) -> dict[str, str]:
    return {"row": row, "seed": str(seed), "kB": str(kilobytes), "file": str(file), "keras": "0.5"}


def test_a_run_is_added_to_its_own_table(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(TEXT)
    table = ResultsTable(path, ("row", "seed", "file"))
    assert table.finished() == {("ours-x-60", 0)}
    table.append("ours-x-60", 2, {"file": 0.91234567, "unknown": 1})
    table.append("expert-x", 0, {})
    assert table.lines() == [
        {"row": "ours-x-60", "seed": "0", "file": "0.9"},
        {"row": "ours-x-60", "seed": "2", "file": "0.9123"},
        {"row": "expert-x", "seed": "0", "file": "-"},
    ]
    added = "| ours-x-60 | 2 | 0.9123 |\n| expert-x | 0 | - |\n"
    assert path.read_text() == TEXT.replace("| 0 | 0.9 |\n", "| 0 | 0.9 |\n" + added)


def test_a_missing_table_is_made_between_its_markers(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(TEXT)
    table = ResultsTable(path, ("row", "seed", "commit"), before="<!-- begin -->\nWords.\n\n", after="<!-- end -->")
    assert table.finished() == set()
    table.append("a", 0, {})
    table.append("b", 1, {})
    assert table.finished() == {("a", 0), ("b", 1)}
    text = path.read_text()
    assert text.startswith(TEXT + "\n<!-- begin -->\nWords.\n\n| row | seed | commit |\n|---|---|---|\n| a | 0 | ")
    assert text.endswith(" |\n<!-- end -->\n")


def test_the_rows_that_were_published_are_still_found() -> None:
    finished = ResultsTable(RESULTS, COLUMNS).finished()
    assert {("expert-fashion_10k", 0), ("ours-fashion_10k-60", 2), ("no_search-digits-30", 1)} <= finished
    assert {row.removesuffix(FLOAT) for row, _ in finished} <= set(ROWS)
    assert TASKS["fashion_10k-300"] == (300, 120)
    assert TASKS["digits-30"] == (30, 65)


def test_names_of_rows_say_data_seconds_and_budget() -> None:
    for task, (seconds, kilobytes) in TASKS.items():
        dataset, named_seconds, *budget = task.split("-")
        assert dataset in DATASETS
        assert int(named_seconds) == seconds
        assert budget in ([], [f"{kilobytes}kB"])
    assert {f"{system}-fashion_10k-60-30kB" for system in ("ours", "planned", "no_search")} <= set(ROWS)
    assert len(set(ROWS)) == len(ROWS)
    assert {row.split("-")[1] for row in carry_over.ROWS} <= set(DATASETS)
    assert len(carry_over.ROWS) == 30


def test_missing_runs_are_filtered_and_come_seed_after_seed() -> None:
    rows = ["ours-a", "ours-b", "random-a"]
    assert missing_runs(rows, {("ours-b", 0)}, "ours-*", (0, 1)) == [("ours-a", 0), ("ours-a", 1), ("ours-b", 1)]
    assert missing_runs(rows, set(), "*", (2,)) == [("ours-a", 2), ("ours-b", 2), ("random-a", 2)]


def test_points_of_the_picture() -> None:
    lines = [
        _line("ours-fashion_10k-60", 0, 110, 0.9),
        _line("ours-fashion_10k-60", 1, 112, 0.92),
        _line("ours-fashion_10k-60-30kB", 0, 29, 0.88),
        _line("kt_random-fashion_10k-60" + FLOAT, 0, 400, 0.89),
        _line("expert-fashion_10k", 0, "-", "-"),
    ]
    assert panels(lines) == {
        "fashion_10k-60": {
            "ours": {"fashion_10k-60": [(110.0, 0.9), (112.0, 0.92)], "fashion_10k-60-30kB": [(29.0, 0.88)]},
            "kt_random" + FLOAT: {"fashion_10k-60": [(400.0, 0.89)]},
        }
    }
    assert experts(lines) == {"fashion_10k": 0.5}


def test_picture(tmp_path: Path) -> None:
    systems = {row.split("-")[0] for row in ROWS} - {"expert"}
    tasks = {"fashion_10k-60": 110, "fashion_10k-60-30kB": 29, "digits-30": 60, "photos-120": 115, "fashion_60k-600": 9}
    lines = [
        _line(f"{system}-{task}{kind}", seed, kilobytes + place, 0.8 + 0.01 * place + 0.001 * seed)
        for place, system in enumerate(sorted(systems))
        for task, kilobytes in tasks.items()
        for seed in range(2)
        for kind in ("", FLOAT)
    ]
    plot([*lines, _line("expert-fashion_10k", 0, "-", "-")], tmp_path / "picture.png")
    height, width = imread(tmp_path / "picture.png").shape[:2]
    assert width > height > 500  # four panels in two rows


def test_the_picture_is_drawn_from_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_classification, "PICTURE", tmp_path / "drawn.png")
    assert image_classification.draw() == tmp_path / "drawn.png"
    assert np.ptp(imread(tmp_path / "drawn.png")[..., :3]) > 0.5
