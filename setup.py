import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "automl_keras" / "__init__.py").read_text("utf-8"), re.MULTILINE)
README = ROOT / "README.md"

setup(
    name="automl-keras",
    version=VERSION[1],
    description="Finds an image classifier that fits your phone and exports it as a measured .tflite file.",
    long_description=README.read_text("utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    keywords=["automl", "keras", "tensorflow", "neural-architecture-search", "quantization", "tflite", "litert"],
    python_requires=">=3.11,<3.14",
    # `tuners/` lies beside the package, but its one import name is `automl_keras.tuners`.
    packages=[
        *find_packages(include=["automl_keras", "automl_keras.*"], exclude=["automl_keras.tuners*"]),
        "automl_keras.tuners",
    ],
    package_dir={"automl_keras": "automl_keras", "automl_keras.tuners": "tuners"},
    package_data={"automl_keras": ["py.typed", "reporting/html/report.css", "reporting/html/report.js"]},
    entry_points={"console_scripts": ["automl-keras = automl_keras.cli:main"]},
    zip_safe=False,
    install_requires=[
        "ai-edge-litert>=2.3",
        "ai-edge-quantizer>=0.10",
        "flatbuffers",
        "grpcio",
        "keras>=3.13,<3.16",  # overrides an internal of its optimizers
        "keras-tuner>=1.4.8,<1.5",  # overrides internals of its Oracle
        "matplotlib",
        "numpy",
        "pillow",
        "rich",
        "scikit-learn>=1.6",
        "scipy",
        "tensorboard",  # imported, but not required, by keras-tuner
        "tensorflow>=2.20",
        "tensorflow-model-optimization",
        "tf_keras",
    ],
    extras_require={
        "ray": ["ray>=2.60"],  # trials on several processes and machines
        "dev": [
            "mypy",
            "optuna>=5",  # a row of a benchmark, and its tests
            "pandas",  # tables of trials as data frames
            "ray>=2.60",
            "pytest>=8",
            "pytest-xdist",
            "ruff>=0.9",
            "setuptools>=77",  # the tests build a wheel without network
        ],
    },
)
