import re

import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.export.flatbuffer import WEIGHTED
from automl_keras.quantization.profiles import ACTIVATIONS, PROFILES, WIDTHS, get_profile, profile_of_litert


def test_default_widths_stay_on_the_fast_path():
    for name in ("litert>=2.1.6", "litert>=1.4"):
        profile = get_profile(name)
        assert profile.weight_bits("FULLY_CONNECTED") == (4, 8)
        assert profile.weight_bits("CONV_2D") == profile.weight_bits("DEPTHWISE_CONV_2D") == (8,)
    assert {get_profile("legacy").weight_bits(op) for op in WEIGHTED} == {(8,)}


def test_two_bits_are_for_new_runtimes_only():
    assert get_profile("litert>=2.1.6").allowed("FULLY_CONNECTED") == (2, 3, 4, 8, 16, 32)
    assert get_profile("litert>=2.1.6").allowed("CONV_2D") == (3, 4, 8, 16, 32)
    assert get_profile("litert>=1.4").allowed("FULLY_CONNECTED") == (3, 4, 8, 16, 32)
    assert get_profile("legacy").allowed("FULLY_CONNECTED") == (8, 16, 32)


def test_a_width_that_is_silently_wrong_is_no_option():
    assert get_profile("legacy").allowed("FULLY_CONNECTED", "dynamic") == (16, 32)
    assert get_profile("legacy").weight_bits("FULLY_CONNECTED", "dynamic") == ()
    assert 4 not in get_profile("litert>=2.1.6").allowed("DEPTHWISE_CONV_2D", "int16")


def test_every_profile_tells_of_every_cell():
    for profile in PROFILES.values():
        for op in WEIGHTED:
            for activations in ACTIVATIONS:
                cells = [profile.cell(op, bits, activations) for bits in WIDTHS]
                assert all(cell.evidence for cell in cells)
                assert {bits for bits, cell in zip(WIDTHS, cells, strict=True) if cell.outcome == "runs"} == set(
                    profile.allowed(op, activations)
                )


@pytest.mark.parametrize(
    ("name", "op", "bits", "activations", "evidence", "alternatives"),
    [
        (
            "litert>=2.1.6",
            "CONV_2D",
            2,
            "int8",
            "refused: ",
            "bits=32, activations='float'. ",
        ),
        ("litert>=2.1.6", "CONV_2D", 2, "dynamic", "crashes: SIGSEGV", "activations='float'"),
        ("litert>=2.1.6", "DEPTHWISE_CONV_2D", 4, "int16", "wrong: ", "activations='int8'"),
        ("litert>=1.4", "FULLY_CONNECTED", 2, "int8", "refused: ", "profile='litert>=2.1.6'"),
        ("legacy", "FULLY_CONNECTED", 4, "int8", "refused: ", "profile='litert>=2.1.6', profile='litert>=1.4'"),
    ],
)
def test_what_does_not_run_is_refused_with_what_does(name, op, bits, activations, evidence, alternatives):
    with pytest.raises(InvalidArgumentError) as caught:
        get_profile(name).check(op, bits, activations)
    message = str(caught.value)
    assert evidence in message
    assert alternatives in message
    assert message.endswith(f"Received: bits={bits}")


def test_what_runs_is_let_through():
    get_profile("litert>=2.1.6").check("FULLY_CONNECTED", 2)
    get_profile("litert>=1.4").check("DEPTHWISE_CONV_2D", 4)
    get_profile("legacy").check("CONV_2D", 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("CONV_2D", 5), "`bits` of weights must be one of (2, 3, 4, 8, 16, 32). Received: bits=5"),
        (("CONV_2D", True), "Received: bits=True"),
        (("ADD", 8), "`op` must be one of"),
        (("CONV_2D", 8, "uint8"), "Received: op='CONV_2D', activations='uint8'"),
    ],
)
def test_what_no_table_holds_is_refused(arguments, message):
    with pytest.raises(InvalidArgumentError, match=re.escape(message)):
        get_profile("litert>=1.4").check(*arguments)


def test_a_profile_is_found_by_name_and_by_runtime():
    profile = get_profile("litert>=1.4")
    assert get_profile(profile) is profile
    with pytest.raises(InvalidArgumentError, match="Received: profile='litert>=9'"):
        get_profile("litert>=9")
    names = {version: profile_of_litert(version).name for version in ("2.3.0", "2.1.6", "2.1.0", "1.4.0", "1.3.9")}
    assert list(names.values()) == ["litert>=2.1.6", "litert>=2.1.6", "litert>=1.4", "litert>=1.4", "legacy"]
