"""`skip_lanes`: where to draw the connections that pass over layers."""

from __future__ import annotations

from collections.abc import Sequence

from automl_keras.reporting.file_layers import FileLayer


def skip_lanes(layers: Sequence[FileLayer]) -> list[tuple[int, int, int]]:
    """The inputs of layers that are not the layer right before, each in a lane where no other one is in its way.

    Short connections come first, so they lie inside.

    Args:
        layers: In the order they run.

    Returns:
        Place of the layer that is read (-1 for the image), place of the reader, and number of the lane.
    """
    skips = [(source, place) for place, layer in enumerate(layers) for source in layer.inputs if source != place - 1]
    lanes: list[list[tuple[int, int]]] = []
    placed = []
    for source, target in sorted(skips, key=lambda skip: (skip[1] - skip[0], skip)):
        free = (
            number
            for number, lane in enumerate(lanes)
            if all(target <= other_source or other_target <= source for other_source, other_target in lane)
        )
        number = next(free, len(lanes))
        if number == len(lanes):
            lanes.append([])
        lanes[number].append((source, target))
        placed.append((source, target, number))
    return sorted(placed)
