"""What GPUs are made for, by their makers' data sheets: dense rates without sparsity, and memory."""

from typing import NamedTuple


class GPU(NamedTuple):
    """`bfloat16` and `float32` in TFLOP/s (float32 without tensor cores, as torch computes it); GB."""

    bfloat16: float
    float32: float
    memory: float


GPUS = {
    "a100": GPU(312.0, 19.5, 80.0),
    "a100-40": GPU(312.0, 19.5, 40.0),
    "b200": GPU(2250.0, 75.0, 180.0),
    "gh200": GPU(989.0, 67.0, 96.0),
    "h100": GPU(989.0, 67.0, 80.0),
    "h200": GPU(989.0, 67.0, 141.0),
    "l40s": GPU(362.0, 91.6, 48.0),
    "a6000": GPU(155.0, 38.7, 48.0),
    "rtx4090": GPU(165.0, 82.6, 24.0),
}
