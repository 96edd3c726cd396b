"""What the installed LiteRT executes, measured: `python -m automl_keras.quantization.probe`.

A file of one operation is made for every operation, width and kind of activations, run in a child process, and its
outputs are compared with numpy's. So what loads and is silently wrong is found too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np

from automl_keras.errors import ExportError
from automl_keras.export import runtime_name
from automl_keras.export.child import ChildRuntime, CrashError
from automl_keras.export.runtime import RUNTIME_PACKAGE
from automl_keras.quantization.one_operation import NETWORKS, OneOperation, convert, draw
from automl_keras.quantization.profiles import (
    ACTIVATIONS,
    PROFILES,
    WIDTHS,
    Cell,
    Outcome,
    RuntimeProfile,
    profile_of_litert,
)


@dataclass(frozen=True)
class Finding:
    """What one cell of the table is on this runtime.

    Attributes:
        network: A key of `NETWORKS`.
        bits: Of the weights.
        activations: One of `ACTIVATIONS`.
        outcome: See `Cell`.
        evidence: The largest error and its bound, or why it does not run.
        expected: The outcome that the profile states.
    """

    network: str
    bits: int
    activations: str
    outcome: Outcome
    evidence: str
    expected: Outcome

    @property
    def contradicts(self) -> bool:
        """Whether the profile allows what does not run."""
        return self.expected == "runs" and self.outcome != "runs"


def probe(
    profile: RuntimeProfile,
    *,
    networks: Sequence[str] = tuple(NETWORKS),
    activations: Sequence[str] = ACTIVATIONS,
    widths: Sequence[int] = WIDTHS,
    seed: int = 0,
) -> list[Finding]:
    """Measure cells of the table, each in a child process of its own.

    Args:
        profile: What is expected.
        networks: Keys of `NETWORKS`.
        activations: Of `ACTIVATIONS`.
        widths: Of `WIDTHS`.
        seed: Seeds weights and images.
    """
    findings = []
    for network in networks:
        converted = convert(network)
        for kind in activations:
            for bits in widths:
                cell = measure(draw(converted, bits, seed), bits, kind)
                expected = profile.cell(NETWORKS[network], bits, kind).outcome
                findings.append(Finding(network, bits, kind, cell.outcome, cell.evidence, expected))
    return findings


def measure(network: OneOperation, bits: int, activations: str) -> Cell:
    """What becomes of an operation on the installed runtime.

    Args:
        network: From `draw` for this width.
        bits: Of the weights.
        activations: One of `ACTIVATIONS`.
    """
    try:
        data = network.file(bits, activations)
        with ChildRuntime(network.images) as child:
            probabilities = child.predict(data)
    except CrashError as error:
        return Cell("crashes", " ".join(str(error).split()))
    except ExportError as error:
        return Cell("refused", " ".join(str(error).split()))
    with np.errstate(divide="ignore", invalid="ignore"):  # probabilities of 0 are just wrong
        # A softmax forgets a constant, which is taken off on both sides.
        difference = _centred(np.log(probabilities.astype(np.float64))) - _centred(network.logits())
    largest, bound = np.abs(difference).max(), 2 * network.rounding_error(bits, activations)
    return Cell("runs" if largest <= bound else "wrong", f"largest error {largest:.2g}, rounding explains {bound:.2g}")


def _centred(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=-1, keepdims=True)


def format_table(findings: Sequence[Finding], profile: RuntimeProfile) -> str:
    """One row for a network and activations, one column for a width; "!" where the profile says something else."""
    cells = {(finding.network, finding.activations, finding.bits): finding for finding in findings}
    widths = sorted({finding.bits for finding in findings})
    lines = [f"{runtime_name()} against the profile {profile.name}; ! = the profile says something else", ""]
    lines.append(f"{'':27}" + "".join(f"{f'{bits} bits':>10}" for bits in widths))
    for network, activations in dict.fromkeys((finding.network, finding.activations) for finding in findings):
        row = [cells[network, activations, bits] for bits in widths]
        marked = [finding.outcome + ("" if finding.outcome == finding.expected else "!") for finding in row]
        lines.append(f"{network:18}{activations:9}" + "".join(f"{text:>10}" for text in marked))
    lines.append("")
    for finding in findings:
        if finding.outcome != "runs" or finding.outcome != finding.expected:
            where = f"{finding.network}, {finding.activations}, {finding.bits} bits"
            lines.append(f"{where}: {finding.outcome}, profile: {finding.expected}. {finding.evidence}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. The exit code is 1 if something fails that the profile allows."""
    parser = argparse.ArgumentParser(prog="python -m automl_keras.quantization.probe", description=__doc__)
    parser.add_argument(
        "--profile", choices=tuple(PROFILES), help="what to compare with; that of the installed runtime unless given"
    )
    parser.add_argument(
        "--network", action="append", choices=tuple(NETWORKS), help="this network only; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options = parser.parse_args(arguments)
    installed = profile_of_litert(version(RUNTIME_PACKAGE))
    profile = installed if options.profile is None else PROFILES[options.profile]
    findings = probe(profile, networks=options.network or tuple(NETWORKS))
    print(json.dumps([asdict(finding) for finding in findings]) if options.json else format_table(findings, profile))
    return int(any(finding.contradicts for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
