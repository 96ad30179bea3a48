"""How much arithmetic the measuring networks ask for an image (a multiplication and an addition are two)."""

INCEPTION_FLOPS = 11_430_000_000  # at its own 299x299 pixels, whatever it is given; 5.7 G multiplications
INCEPTION_OUTPUTS = 2048 + 1008
INCEPTION_PARAMETERS = 23_900_000
_SMALLEST_SIDE, _POOLED = 6, 9


def classifier_layers(resolution: int, channels: int, dimensions: int, classes: int) -> list[tuple[int, int]]:
    """(weights, places they are applied at) of every layer of the pipeline's own classifier."""
    layers, inputs, width, side = [], 3, channels, resolution
    while side > _SMALLEST_SIDE:
        side = (side + 1) // 2
        layers.append((9 * inputs * width, side**2))
        inputs, width = width, min(2 * width, 4 * channels)
    layers.append((9 * inputs**2, side**2))
    return [*layers, (_POOLED * inputs * dimensions, 1), (dimensions * classes, 1)]


def classifier_flops(resolution: int, channels: int, dimensions: int, classes: int) -> int:
    """One forward of one image."""
    return sum(
        2 * weights * places
        for weights, places in classifier_layers(resolution, channels, dimensions, classes)
    )
