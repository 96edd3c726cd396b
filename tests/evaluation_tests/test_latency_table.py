import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import latency_table, network_cost
from automl_keras.evaluation.latency_cache import cache_path, cpu_name, user_cache_folder
from automl_keras.evaluation.latency_fit import FittedTimes
from automl_keras.evaluation.latency_operations import SmallNetworkSpec, export_untrained, network_operations
from automl_keras.evaluation.latency_profile import ProfiledFile
from automl_keras.evaluation.latency_table import LatencyTable
from automl_keras.export import runtime_name
from automl_keras.export.operations import OperationSpec, operation_specs
from automl_keras.search_space import image_space
from automl_keras.search_space.macro import macro_space

PROFILE = Path(__file__).with_name("benchmark_model_profile.csv")
SPACE = image_space((8, 8, 1), 3)
PROFILED = {"stage0_operation": "residual", "stage0_depth": 2, "stage1_operation": "mbconv", "stage1_depth": 1}
PROFILED |= {"stage2_operation": "fused_mbconv", "stage2_depth": 1, "stage0_width": 8, "stage1_width": 8}


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `benchmark_model_profile.csv` is of."""
    spec = SPACE.network_spec(SPACE.canonical(PROFILED))
    return export_untrained(spec, tmp_path_factory.mktemp("profiled") / "model.tflite")


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_untrained(SmallNetworkSpec((8, 8, 1), 2), tmp_path_factory.mktemp("small") / "model.tflite")


def seconds_of_work(spec: OperationSpec) -> float:
    """Made-up milliseconds: a law of the form that is fitted."""
    return 1e-3 + 2e-6 * spec.macs + 3e-6 * spec.activations + 5e-6 * spec.positions


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, small_file: Path) -> list[OperationSpec]:
    """Times follow the law, a whole file takes 0.25 ms more; returns what has been timed."""
    asked: list[OperationSpec] = []

    def time_operation(model, operator, spec: OperationSpec) -> float:
        asked.append(spec)
        return seconds_of_work(spec)

    monkeypatch.setattr(latency_table, "time_operation", time_operation)
    whole = sum(map(seconds_of_work, operation_specs(small_file.read_bytes())))
    monkeypatch.setattr(latency_table, "least_latency", lambda data, seconds: whole + 0.25)
    monkeypatch.setattr(
        latency_table,
        "export_untrained",
        lambda spec, path, input_dtype, quantization: Path(shutil.copy(small_file, path)),
    )
    return asked


def test_operations_of_a_network_are_those_of_its_file(profiled: Path, small_file: Path, tmp_path: Path):
    spec = SPACE.network_spec(SPACE.canonical(PROFILED))
    assert network_operations(spec) == operation_specs(profiled.read_bytes())
    assert network_operations(SmallNetworkSpec((8, 8, 1), 2)) == operation_specs(small_file.read_bytes())
    macro = macro_space((12, 12, 3), 3, num_layers=3, num_filters=4)
    spec = macro.network_spec({"layer0_operation": "max_pool_3x3", "layer2_skip0": True})
    file = export_untrained(spec, tmp_path / "macro.tflite", input_dtype="float32")
    # Where branches meet, the converter decides the order.
    assert Counter(network_operations(spec, "float32")) == Counter(operation_specs(file.read_bytes()))
    file = export_untrained(spec, tmp_path / "float.tflite", quantization="float32")
    assert Counter(network_operations(spec, quantization="float32")) == Counter(operation_specs(file.read_bytes()))


def test_macs_are_those_of_the_network():
    for space in (image_space((28, 28, 1), 10), macro_space((28, 28, 1), 10)):
        for seed in range(5):
            spec = space.network_spec(space.sample(np.random.default_rng(seed)))
            assert sum(operation.macs for operation in network_operations(spec)) == network_cost(spec).macs


def conv(side: int, inputs: int, outputs: int, kernel: int = 3) -> OperationSpec:
    return OperationSpec("CONV_2D", side, side, inputs, outputs, kernel=kernel)


def test_fit_finds_the_law_behind_the_times():
    specs = [conv(side, inputs, outputs) for side in (4, 9) for inputs in (3, 8) for outputs in (8, 24, 40)]
    fitted = FittedTimes({spec: seconds_of_work(spec) for spec in specs})
    for unseen in (conv(7, 5, 17), conv(28, 64, 96), conv(1, 1, 1)):
        assert fitted(unseen) == pytest.approx(seconds_of_work(unseen), rel=1e-6)


def test_fit_keeps_kernels_apart_and_never_turns_negative():
    specs = [conv(side, inputs, 8, kernel) for kernel in (1, 3) for side in (4, 9, 14) for inputs in (8, 24)]
    times = {spec: seconds_of_work(spec) * (1 if spec.kernel == 3 else 10) for spec in specs}
    fitted = FittedTimes(times)
    assert fitted(conv(7, 16, 8, 1)) == pytest.approx(10 * seconds_of_work(conv(7, 16, 8, 1)), rel=1e-6)
    assert fitted(conv(7, 16, 8)) == pytest.approx(seconds_of_work(conv(7, 16, 8)), rel=1e-6)
    falling = FittedTimes({conv(side, 8, 8): 1 / side for side in (2, 3, 4, 5, 6, 7, 8)})
    assert 0 < falling(conv(2, 8, 8)) <= falling(conv(100, 8, 8))


def test_small_groups_share_the_fit_of_their_kind():
    specs = [conv(side, inputs, 8) for side in (4, 9, 14) for inputs in (8, 24)]
    fitted = FittedTimes({spec: seconds_of_work(spec) for spec in (*specs, conv(4, 8, 8, 5))})
    assert fitted(conv(9, 8, 8, 5)) == pytest.approx(seconds_of_work(conv(9, 8, 8, 5)), rel=1e-6)
    with pytest.raises(InvalidArgumentError, match=r"\['CONV_2D INT8'\]. Received: kind='ADD'"):
        fitted(OperationSpec("ADD", 4, 4, 8, 8, inputs=2))


def test_prediction_is_the_sum_and_measured_times_win():
    spec = SPACE.network_spec(SPACE.default())
    found = network_operations(spec)
    table = LatencyTable(
        {operation: seconds_of_work(operation) for operation in found}, overhead_ms=0.5, runtime="r", device="d"
    )
    assert table.predict(spec) == pytest.approx(0.5 + sum(map(seconds_of_work, found)))
    stem = found[3]
    slow = LatencyTable({**table.entries, stem: 100.0}, overhead_ms=0.5, runtime="r", device="d")
    repeats = found.count(stem)
    assert slow.predict(spec) == pytest.approx(table.predict(spec) + repeats * (100 - seconds_of_work(stem)))


def test_measuring_times_the_operations_of_random_networks_once(timed: list[OperationSpec], tmp_path: Path):
    table = LatencyTable.measure(SPACE, folder=tmp_path, networks=4)
    assert len(timed) == len(set(timed)) == len(table.entries)
    assert table.overhead_ms == pytest.approx(0.25)
    assert (table.runtime, table.device) == (runtime_name(), cpu_name())
    timed.clear()
    again = LatencyTable.measure(SPACE, folder=tmp_path, networks=4)
    assert again.to_dict() == table.to_dict()
    assert timed == []
    larger = LatencyTable.measure(SPACE, folder=tmp_path, networks=6)
    assert table.entries.items() < larger.entries.items()
    assert set(larger.entries) - set(table.entries) <= set(timed)
    other = SPACE.network_spec(SPACE.sample(np.random.default_rng(99)))
    expected = 0.25 + sum(map(seconds_of_work, network_operations(other)))
    assert larger.predict(other) == pytest.approx(expected, rel=1e-6)  # fitted to the law


@pytest.mark.parametrize("spoil", ["no json", "[]", "device", "runtime", "format", "milliseconds", "overhead_ms"])
def test_a_cache_that_is_not_ours_is_replaced(timed: list[OperationSpec], tmp_path: Path, spoil: str):
    table = LatencyTable.measure(SPACE, folder=tmp_path, networks=1)
    path = cache_path(tmp_path, runtime_name(), cpu_name())
    data = json.loads(path.read_text())
    changes = {"device": "other", "runtime": "other", "format": 0, "overhead_ms": -1.0}
    if spoil == "milliseconds":
        data["entries"][0]["milliseconds"] = -1.0
    elif spoil in changes:
        data[spoil] = changes[spoil]
    path.write_text(json.dumps(data) if spoil in data or spoil == "milliseconds" else spoil)
    timed.clear()
    assert LatencyTable.measure(SPACE, folder=tmp_path, networks=1).to_dict() == table.to_dict()
    assert set(timed) == set(table.entries)
    assert LatencyTable.load(path).to_dict() == table.to_dict()
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_real_measurement(tmp_path: Path):
    space = SPACE.restrict({f"stage{stage}_depth": (1,) for stage in range(3)})
    table = LatencyTable.measure(space, folder=tmp_path, networks=1, input_dtype="float32")
    spec = space.network_spec(space.sample(np.random.default_rng((0, 0))))
    assert set(network_operations(spec, "float32")) <= set(table.entries)
    assert 0 < table.predict(spec, input_dtype="float32") < np.inf


def test_the_cache_directory_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "automl_keras"
    assert cache_path(None, "r", "d").parent == user_cache_folder()
    assert cache_path(None, "r", "d") != cache_path(None, "r", "e")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / ".cache" / "automl_keras"


def test_a_profile_gives_the_times_of_its_file(profiled: Path):
    table = LatencyTable.from_profile_csv([ProfiledFile(PROFILE, profiled, 0.15)], runtime="r", device="phone")
    spec = SPACE.network_spec(SPACE.canonical(PROFILED))
    assert table.predict(spec) == pytest.approx(0.15)
    assert table.overhead_ms == pytest.approx(0.15 - 0.1408, rel=1e-3)  # one row says 0, and counts as a nanosecond
    stem = next(operation for operation in table.entries if operation.kind == "CONV_2D")
    assert table.entries[stem] == 0.0142
    repeated = OperationSpec("CONV_2D", 8, 8, 8, 8, kernel=3, activation="RELU")
    assert table.entries[repeated] == pytest.approx((0.0305 + 0.0307 + 0.0309) / 3)
    depthwise = next(operation for operation in table.entries if operation.kind == "DEPTHWISE_CONV_2D")
    assert table.entries[depthwise] == 0.0064
    with pytest.raises(InvalidArgumentError, match="at least one time"):
        LatencyTable.from_profile_csv([], runtime="r", device="phone")


def test_releases_differ_in_columns_and_names(profiled: Path, tmp_path: Path):
    times = ProfiledFile(PROFILE, profiled).times()
    rows = [f"{spec.kind}, 0.1, 0.2, {value}, 5%, 50%, 0, 1, [a, b]:0" for spec, value in times]
    header = "node type, start, first, avg_ms, %, cdf%, mem KB, times called, name"
    title = "Operator-wise Profiling Info for Regular Benchmark Runs:"
    older = tmp_path / "older.csv"
    older.write_text("\n".join(["INFO: " + title, "=== Run Order ===", header, *rows, "", header, *rows[::-1]]))
    assert ProfiledFile(older, profiled).times() == times


def test_profiles_of_other_files_are_refused(profiled: Path, small_file: Path, tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match=r"the 12 operations of its file\. Received: 17 rows"):
        ProfiledFile(PROFILE, small_file).times()
    with pytest.raises(InvalidArgumentError, match="Received: 0 rows"):
        ProfiledFile(Path(__file__), profiled).times()
    text = PROFILE.read_text()
    changed = tmp_path / "changed.csv"
    changed.write_text(text.replace("Mean (ND) Mean, ", "Max Pooling (NHWC, S8), "))
    with pytest.raises(InvalidArgumentError, match=r"Row 13 .* its file, MEAN, called once. Received: 'Max Pool"):
        ProfiledFile(changed, profiled).times()
    changed.write_text(text.replace("0, 1, Delegate/Mean", "0, 2, Delegate/Mean"))
    with pytest.raises(InvalidArgumentError, match="called 2 times"):
        ProfiledFile(changed, profiled).times()


def test_bad_tables_are_refused(tmp_path: Path):
    operation = conv(4, 8, 8)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(InvalidArgumentError, match="positive and finite"):
            LatencyTable({operation: wrong}, runtime="r", device="d")
    with pytest.raises(InvalidArgumentError, match="overhead_ms=-1"):
        LatencyTable({operation: 1.0}, overhead_ms=-1, runtime="r", device="d")
    with pytest.raises(InvalidArgumentError, match="networks=0"):
        LatencyTable.measure(SPACE, folder=tmp_path, networks=0)
    table = LatencyTable({operation: 1.0, replace(operation, stride=2): 2.0}, runtime="r", device="d")
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json").to_dict() == table.to_dict()
    (tmp_path / "table.json").write_text('{"format": 1, "entries": [1]}')
    with pytest.raises(InvalidArgumentError, match=r"must be a latency table. Received: path=.*table\.json"):
        LatencyTable.load(tmp_path / "table.json")
