"""Digits with labels that HTML, Markdown and matplotlib could take for something else."""

import numpy as np
from sklearn.datasets import load_digits

LABELS = np.array(["<script>alert(1)</script>", "a & b", "$x_1|*", '"quoted"', *"456789"])
DIGITS = load_digits()
X, Y = DIGITS.images[:200], LABELS[DIGITS.target[:200]]
X_NEW, Y_NEW = DIGITS.images[200:320], LABELS[DIGITS.target[200:320]]
