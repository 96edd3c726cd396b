"""Files of mixed precision: the bits of every layer, chosen for three byte budgets.

Run it with `python examples/07_mixed_precision.py`; it takes about a minute and a half.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from automl_keras import Budget, ImageClassifier
from automl_keras.export import TFLiteModel
from automl_keras.quantization import search_bits
from automl_keras.reporting import format_table


def main() -> None:
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    clf = ImageClassifier(budget=Budget(max_size_kb=30), quantization="mixed", time_limit=60, seed=0)
    clf.fit(x_train, y_train)
    print("\nBits of the fit's own file:", clf.report_.bits)

    rows = []
    for kilobytes in (28, 26):
        report = clf.quantize(Budget(max_size_kb=kilobytes), path=f"digits_{kilobytes}kB_mixed.tflite")
        right = TFLiteModel(report.path).predict(x_test[..., None]).argmax(axis=1) == y_test
        rows.append({"budget kB": kilobytes, "kB": report.size_kb, "test accuracy": float(right.mean())})
    print(format_table(rows))

    # The same for any Keras model; without a budget it is plain int8.
    images = (x_train[..., None], x_test[..., None])
    report = search_bits(clf.export_model(), calibration=images[0][:200], validation=(images[1], y_test), seed=0)
    print(f"\nPlain int8: {report.size_kb:.1f} kB, test accuracy {report.accuracy:.4f}")


if __name__ == "__main__":
    main()
