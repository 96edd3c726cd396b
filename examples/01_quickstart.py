"""From handwritten digits to a measured `.tflite` file, in about a minute.

Run it with `make quickstart`, or `python examples/01_quickstart.py`.
"""

import argparse
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from automl_keras import Budget, ImageClassifier
from automl_keras.export import TFLiteModel
from automl_keras.reporting import format_table, plot_evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=60, help="seconds for the whole fit (default 60)")
    parser.add_argument("--max-size-kb", type=float, default=65, help="limit of the file in kB (default 65)")
    parser.add_argument("--output", type=Path, default=Path("quickstart_output"), help="folder for the results")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    digits = load_digits()  # 1,797 images of 8x8 pixels with values from 0 to 16
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )

    clf = ImageClassifier(budget=Budget(max_size_kb=options.max_size_kb), time_limit=options.time_limit, seed=0)
    clf.fit(x_train, y_train)
    report = clf.export_tflite(options.output / "model.tflite")

    # The file alone, as an app would run it, on images nobody has seen.
    file = TFLiteModel(options.output / "model.tflite")
    answers = clf.classes_[file.predict(x_test[..., None]).argmax(axis=1)]
    rows = [
        {
            "network": "Keras, float32",
            "test accuracy": clf.score(x_test, y_test),
            "kB": clf.export_model().count_params() * 4 / 1000,
            "latency ms": None,
        },
        {
            "network": f"{report.runtime}, int8",
            "test accuracy": float((answers == y_test).mean()),
            "kB": report.size_kb,
            "latency ms": report.latency_ms,
        },
    ]
    print()
    print(format_table(rows))
    print(f"\n{len(clf.leaderboard())} networks evaluated; the best five:\n")
    print(format_table(clf.leaderboard()[:5], columns=["rank", "val_accuracy", "source", "size_kb", "macs"]))
    plot_evaluations(
        clf.evaluations_,
        options.output / "accuracy_against_size.png",
        highlight=clf.best_evaluation_,
        limit=options.max_size_kb,
    )
    print(f"\nWritten to {options.output}: model.tflite, accuracy_against_size.png")


if __name__ == "__main__":
    main()
