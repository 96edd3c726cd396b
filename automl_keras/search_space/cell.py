"""The cell search space of PNAS: blocks that each add two transformed inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space.architecture import Architecture
from automl_keras.search_space.decision import Decision, Option
from automl_keras.search_space.space import SearchSpace

CELL_OPERATIONS = (
    "separable_conv_3x3",
    "separable_conv_5x5",
    "separable_conv_7x7",
    "conv_1x7_7x1",
    "identity",
    "average_pool_3x3",
    "max_pool_3x3",
    "dilated_conv_3x3",
)
PREVIOUS_CELLS = (-2, -1)
FIELDS = ("input1", "operation1", "input2", "operation2")

# The options of one block, in the order of `FIELDS`.
Block = tuple[Any, Any, Any, Any]


class CellSpace(SearchSpace):
    """Cells of one or more blocks (Liu et al., "Progressive Neural Architecture Search", ECCV 2018, section 3.1).

    Block `i` has the decisions `block{i}_input1`, `block{i}_operation1`, `block{i}_input2` and
    `block{i}_operation2`. It applies each operation to its input and adds the two results. Inputs are
    the outputs of the two previous cells, -2 and -1, and of earlier blocks, 0 to `i - 1`. The
    decision `num_blocks` says how many blocks there are; the outputs of blocks that no other block uses are
    concatenated to the output of the cell.

    Cells that differ only in the order of the two halves of a block, or of blocks that do not
    depend on each other, are the same graph. `canonical` gives them the same architecture: among
    all ways to write the graph down, the one that comes first in lexicographic order, compared block by block.
    `size` counts the ways and not the graphs: 256 one-block cells with 8 operations stand
    for 136.

    Args:
        decisions: The decisions, named as above. `cell_space` makes the full set.
    """

    def canonical(self, values: Mapping[str, Any]) -> Architecture:
        """The architecture that stands for the graph of `values`, defaults filled in.

        In a restricted space `values` must have the options that are left as they are written.

        Raises:
            InvalidArchitectureError: If a name is unknown or a value is no option.
        """
        chosen = dict(super().canonical(values))
        names = [
            tuple(f"block{index}_{field}" for field in FIELDS) for index in range(int(chosen.get("num_blocks", 0)))
        ]
        blocks = [_block(chosen, block_names) for block_names in names]
        ordered = self._first_order(blocks, names, {})
        for block_names, block in zip(names, ordered or blocks, strict=True):
            chosen.update(zip(block_names, block, strict=True))
        return Architecture(chosen)

    def _first_order(
        self, blocks: Sequence[Block], names: Sequence[tuple[str, ...]], placed: Mapping[int, int]
    ) -> list[Block] | None:
        """The first way to write down the blocks not yet placed; `None` if the space has none.

        Args:
            blocks: All blocks, with the inputs as they are numbered now.
            names: The names of the decisions of each place.
            placed: The new number of every block that has its place.
        """
        position = len(placed)
        if position == len(blocks):
            return []
        writings: dict[Block, list[int]] = {}
        for index, (input1, operation1, input2, operation2) in enumerate(blocks):
            if index in placed or any(source >= 0 and source not in placed for source in (input1, input2)):
                continue
            one, other = (placed.get(input1, input1), operation1), (placed.get(input2, input2), operation2)
            for writing in {one + other, other + one}:
                # Only a restricted space refuses one.
                if all(o in self[name].options for o, name in zip(writing, names[position], strict=True)):
                    writings.setdefault(writing, []).append(index)
        for writing in sorted(writings):
            # Twins look alike, but what uses them may not.
            tails = [self._first_order(blocks, names, {**placed, index: position}) for index in writings[writing]]
            possible = [tail for tail in tails if tail is not None]
            if possible:
                return [writing, *min(possible)]
        return None


def cell_space(num_blocks: int = 5, operations: Sequence[Option] = CELL_OPERATIONS) -> CellSpace:
    """All cells of 1 to `num_blocks` blocks. The defaults are the paper's.

    Raises:
        InvalidArgumentError: If `num_blocks` is below 1, or operations are missing or repeated.
    """
    if num_blocks < 1:
        raise InvalidArgumentError(f"`num_blocks` must be at least 1. Received: num_blocks={num_blocks}")
    decisions = [Decision("num_blocks", tuple(range(1, num_blocks + 1)))]
    for index in range(num_blocks):
        parent = ("num_blocks", tuple(range(index + 1, num_blocks + 1))) if index else None
        inputs = (*PREVIOUS_CELLS, *range(index))
        anchors = (None, None, *(f"block{source}_{FIELDS[-1]}" for source in range(index)))
        for field in FIELDS:
            name = f"block{index}_{field}"
            if field.startswith("input"):
                decisions.append(Decision(name, inputs, parent=parent, anchors=anchors))
            else:
                decisions.append(Decision(name, tuple(operations), parent=parent))
    return CellSpace(decisions)


def _block(chosen: Mapping[str, Option], names: tuple[str, ...]) -> Block:
    input1, operation1, input2, operation2 = (chosen[name] for name in names)
    return input1, operation1, input2, operation2
