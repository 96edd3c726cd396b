"""One training, many devices: files for five byte budgets out of one supernet.

Run it with `python examples/06_many_devices.py`; it takes about a minute and a half.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from automl_keras import Budget, ImageClassifier
from automl_keras.reporting import format_table

BUDGETS = (16, 20, 28, 40, 60)  # kB


def main() -> None:
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    clf = ImageClassifier(tuner="once_for_all", budget=Budget(max_size_kb=max(BUDGETS)), time_limit=60, seed=0)
    clf.fit(x_train, y_train)
    front = clf.pareto_front("size_kb")
    print(f"\n{len(front)} networks that none beats in accuracy and size, from {front[0].cost.size_kb:.0f} kB on.\n")

    rows = []
    for kilobytes in BUDGETS:
        special = clf.specialize(Budget(max_size_kb=kilobytes))  # cut out, calibrated, exported: nothing is trained
        report = special.export_tflite(f"digits_{kilobytes}kB.tflite")
        rows.append(
            {
                "budget kB": kilobytes,
                "kB": report.size_kb,
                "latency ms": report.latency_ms,
                "test accuracy": special.score(x_test, y_test),
            }
        )
    print(format_table(rows))
    tuned = clf.specialize(Budget(max_size_kb=BUDGETS[0]), fine_tune=5, x=x_train, y=y_train)
    print(f"\nThe smallest one after five seconds of training: {tuned.score(x_test, y_test):.4f}")


if __name__ == "__main__":
    main()
