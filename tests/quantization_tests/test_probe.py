import json

import numpy as np
import pytest

from automl_keras.errors import ExportError
from automl_keras.export import TFLiteModel
from automl_keras.export.flatbuffer import constant, read, serialize, set_constant, weighted_operations
from automl_keras.quantization import probe
from automl_keras.quantization.one_operation import NETWORKS, OneOperation, convert, draw
from automl_keras.quantization.profiles import Cell, get_profile

NEWEST = get_profile("litert>=2.1.6")


@pytest.fixture(scope="module")
def converted() -> dict[str, bytes]:
    return {network: convert(network) for network in NETWORKS}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_float_file_computes_what_numpy_computes(converted, network):
    drawn = draw(converted[network], 32, seed=0)
    assert drawn.op == NETWORKS[network]
    powers = np.exp(drawn.logits())
    expected = powers / powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(TFLiteModel(drawn.float_model).predict(drawn.images), expected, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize(
    ("network", "bits", "activations", "outcome", "evidence"),
    [
        ("conv 3x3", 4, "int8", "runs", "rounding explains"),
        ("conv 3x3", 2, "int8", "refused", "LiteRT could not load the file"),
        ("conv 3x3", 2, "dynamic", "crashes", "SIGSEGV"),
        ("depthwise 3x3", 3, "int8", "runs", "rounding explains"),
        ("depthwise 3x3", 4, "int16", "wrong", "rounding explains"),
        ("depthwise 3x3", 4, "dynamic", "refused", "Type FLOAT32 with filter type INT4"),
        ("dense", 2, "int8", "runs", "rounding explains"),
        ("conv 1x1", 2, "dynamic", "runs", "rounding explains"),
        ("conv 1x1", 16, "int8", "runs", "rounding explains"),
    ],
)
def test_cells_are_what_the_profile_says(converted, network, bits, activations, outcome, evidence):
    cell = probe.measure(draw(converted[network], bits, seed=1), bits, activations)
    assert cell.outcome == outcome == NEWEST.cell(NETWORKS[network], bits, activations).outcome
    assert evidence in cell.evidence


def test_one_wrong_code_is_seen(converted, monkeypatch):
    """The smallest fault there is in 4-bit weights, planted into one of them."""
    drawn = draw(converted["depthwise 3x3"], 4, seed=0)
    model = read(drawn.file(4, "int8"))
    weights = next(weighted_operations(model)).weights
    codes = constant(model, weights)
    codes[0, 1, 1, 5] += 1 if codes[0, 1, 1, 5] < 7 else -1
    set_constant(model, weights, codes)
    monkeypatch.setattr(OneOperation, "file", lambda self, bits, activations: serialize(model))
    assert probe.measure(drawn, 4, "int8").outcome == "wrong"


def test_weights_that_silently_stay_float_are_refused(converted, monkeypatch):
    drawn = draw(converted["dense"], 8, seed=0)
    monkeypatch.setattr("automl_keras.quantization.one_operation.quantize", lambda model, *_: model)
    with pytest.raises(ExportError, match="stored weights of 8 bits as FLOAT32"):
        drawn.file(8, "float")
    assert probe.measure(drawn, 8, "float").outcome == "refused"


def test_a_failure_of_what_the_profile_allows_is_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(probe, "convert", lambda network: b"")
    monkeypatch.setattr(probe, "draw", lambda converted, bits, seed: None)
    outcomes = {2: "runs", 3: "refused", 4: "crashes"}
    monkeypatch.setattr(probe, "measure", lambda network, bits, kind: Cell(outcomes.get(bits, "runs"), "planted"))
    legacy = get_profile("legacy")
    assert [finding.contradicts for finding in probe.probe(legacy, networks=["dense"], activations=["int8"])] == [
        False
    ] * 6
    assert probe.main(["--profile", "legacy", "--network", "dense"]) == 0
    assert "dense, int8, 2 bits: runs, profile: refused" in capsys.readouterr().out
    assert probe.main(["--network", "dense"]) == 1
    assert "dense, int8, 4 bits: crashes, profile: runs. planted" in capsys.readouterr().out
    assert probe.main(["--network", "conv 3x3", "--profile", "litert>=1.4", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert len(findings) == 24
    assert findings[0]["network"] == "conv 3x3"


@pytest.mark.slow
def test_the_installed_runtime_is_as_its_profile_says():
    findings = probe.probe(NEWEST)
    assert len(findings) == 96
    assert [finding for finding in findings if finding.outcome != finding.expected] == []
