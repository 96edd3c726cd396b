import ast
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import automl_keras

ROOT = Path(__file__).resolve().parent.parent
OPTIONAL = {"pandas", "ray"}  # a `MissingDependencyError` says so where they are used
NEITHER_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "quickstart_output")


def run_python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that imports this checkout and none of this process's settings."""
    settings = ("KERAS_BACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL")
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    path = os.pathsep.join([*filter(None, [environment.pop("PYTHONPATH", "")]), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def build(command: str, source: Path, target: Path) -> Path:
    """Call a hook of setuptools, without an isolated environment and so without network."""
    code = f"import sys; from setuptools import build_meta; build_meta.{command}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=source, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build in, since a build leaves files behind."""
    copy = tmp_path_factory.mktemp("checkout") / "automl-keras"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=NEITHER_SOURCE)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_wheel", checkout, tmp_path_factory.mktemp("wheel"))


def names_in(wheel: Path) -> set[str]:
    """The names of the files in a wheel, but for those about the wheel itself."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    return {name for name in names if ".dist-info/" not in name}


def metadata_of(wheel: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = Parser().parsestr(archive.read(name).decode())
    return {key: message.get_all(key) for key in message}


def imported_names(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    package = [path.relative_to(ROOT) for path in (ROOT / "automl_keras").rglob("*.py")]
    tuners = [Path("automl_keras", path.relative_to(ROOT)) for path in (ROOT / "tuners").rglob("*.py")]
    sources = {path.as_posix() for path in [*package, *tuners]}
    page = {f"automl_keras/reporting/html/report.{kind}" for kind in ("css", "js")}
    assert names_in(wheel) == sources | page | {"automl_keras/py.typed"}


def test_wheel_from_the_source_distribution_is_the_same(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    for folder in ("sdist", "wheel", "unpacked"):
        (tmp_path / folder).mkdir()
    with tarfile.open(build("build_sdist", checkout, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert names_in(build("build_wheel", unpacked, tmp_path / "wheel")) == names_in(wheel)


def test_wheel_has_the_command_line(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert archive.read(name).decode().split() == [
            "[console_scripts]",
            "automl-keras",
            "=",
            "automl_keras.cli:main",
        ]
    assert callable(importlib.import_module("automl_keras.cli").main)


def test_wheel_says_version_and_pythons(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert metadata["Version"] == [automl_keras.__version__]
    assert set(metadata["Requires-Python"][0].split(",")) == {">=3.11", "<3.14"}


def test_constraints_pin_every_requirement_and_nothing_but_versions(wheel: Path) -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for text in metadata_of(wheel)["Requires-Dist"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), text


def test_every_import_of_the_package_is_a_requirement(wheel: Path) -> None:
    requirements = [Requirement(text) for text in metadata_of(wheel)["Requires-Dist"]]
    required = {canonicalize_name(item.name) for item in requirements if item.marker is None}
    distributions = importlib.metadata.packages_distributions()
    missing = set()
    for path in [*(ROOT / "automl_keras").rglob("*.py"), *(ROOT / "tuners").rglob("*.py")]:
        for name in imported_names(path) - set(sys.stdlib_module_names) - {"automl_keras"}:
            provided_by = {canonicalize_name(item) for item in distributions.get(name, [])}
            for_authors_of_tests = name == "pytest" and path.parent.name == "testing"
            if not required & provided_by and not for_authors_of_tests and name not in OPTIONAL:
                missing.add((path.relative_to(ROOT).as_posix(), name))
    assert missing == set()


def test_another_backend_in_the_environment_is_refused(tmp_path: Path) -> None:
    result = run_python("import automl_keras", tmp_path, KERAS_BACKEND="jax")
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        "automl_keras.errors.BackendError: automl_keras needs Keras to run on TensorFlow. Set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is first imported. "
        "Received: backend='jax' (from the environment variable KERAS_BACKEND)"
    )


def test_another_backend_in_the_settings_of_keras_is_refused(tmp_path: Path) -> None:
    settings = tmp_path / "keras.json"
    settings.write_text('{"backend": "torch"}')
    result = run_python("import automl_keras", tmp_path, KERAS_HOME=str(tmp_path))
    assert f"Received: backend='torch' (from {settings})" in result.stderr
    assert (
        run_python("import automl_keras", tmp_path, KERAS_HOME=str(tmp_path), KERAS_BACKEND="tensorflow").stderr == ""
    )
    settings.write_text("not JSON")
    assert run_python("import automl_keras", tmp_path, KERAS_HOME=str(tmp_path)).stderr == ""


def test_a_backend_chosen_after_the_import_is_refused(tmp_path: Path) -> None:
    code = "import automl_keras, os; os.environ['KERAS_BACKEND'] = 'jax'; automl_keras.ImageClassifier"
    assert "BackendError" in run_python(code, tmp_path).stderr


def test_the_backend_of_an_imported_keras_counts(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("class config:\n    backend = staticmethod(lambda: 'torch')\n")
    result = run_python("import keras, automl_keras", tmp_path, PYTHONPATH=str(tmp_path), KERAS_BACKEND="tensorflow")
    assert "Received: backend='torch' (from the imported Keras)" in result.stderr


def test_importing_the_package_loads_neither_tensorflow_nor_keras(tmp_path: Path) -> None:
    result = run_python("import automl_keras, sys; print({'keras', 'tensorflow'} & set(sys.modules))", tmp_path)
    assert result.stdout == "set()\n"


def test_tensorflow_starts_quietly(tmp_path: Path) -> None:
    result = run_python("import automl_keras, sys; import tensorflow; print(tensorflow.__name__)", tmp_path)
    assert (result.stdout, result.stderr) == ("tensorflow\n", "")


LOG = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1700000000.000001    7 port.cc:153] information",
    "W0000 00:00:1700000000.000002    7 port.cc:154] warning",
    "E0000 00:00:1700000000.000003    7 port.cc:155] error",
    "F0000 00:00:1700000000.000004    7 port.cc:156] fatal",
    "In other words",
)


@pytest.fixture
def fake_tensorflow(tmp_path: Path) -> Path:
    """A folder with a `tensorflow` that writes `LOG` past Python, as C++ code does."""
    text = "\n".join(LOG) + "\n"
    (tmp_path / "tensorflow.py").write_text(f"import os\nos.write(2, {text.encode()!r})\n")
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, LOG[4:]),
        ({"TF_CPP_MIN_LOG_LEVEL": "0"}, LOG),
        ({"TF_CPP_MIN_LOG_LEVEL": "no number"}, LOG),
        ({"TF_CPP_MIN_LOG_LEVEL": "1"}, LOG[2:]),
        ({"TF_CPP_MIN_LOG_LEVEL": "3"}, LOG[4:]),
    ],
)
def test_log_level_of_the_user_holds(
    fake_tensorflow: Path, environment: dict[str, str], shown: tuple[str, ...]
) -> None:
    code = "import automl_keras, tensorflow, os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    result = run_python(code, fake_tensorflow, **environment)
    assert tuple(result.stderr.splitlines()) == shown
    assert result.stdout.strip() == environment.get("TF_CPP_MIN_LOG_LEVEL", "3")


def test_only_the_first_import_of_tensorflow_is_filtered(fake_tensorflow: Path) -> None:
    code = "import automl_keras, os, sys, tensorflow; os.write(2, b'I0000 00:00:1 later\\n'); print(sys.meta_path)"
    result = run_python(code, fake_tensorflow)
    assert result.stderr.splitlines()[-1] == "I0000 00:00:1 later"
    assert "QuietTensorFlow" not in result.stdout


def test_a_failing_import_of_tensorflow_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'hint\\n')\nraise ImportError('no such library')\n"
    )
    result = run_python("import automl_keras, tensorflow", tmp_path)
    assert result.stderr.startswith("hint\nTraceback")
    assert result.stderr.endswith("ImportError: no such library\n")
