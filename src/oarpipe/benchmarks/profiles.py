"""Where the hot paths spend their time, by kind of operation, as torch.profiler saw one run of each."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

from oarpipe.benchmarks.machine import Machine
from oarpipe.benchmarks.sections import random_order, top_k
from oarpipe.benchmarks.subjects import subject, told
from oarpipe.benchmarks.training import Trainee
from oarpipe.benchmarks.walks import Walker
from oarpipe.config.benchmarks import BenchmarkConfig

# Kinds of operations by what their names hold, small letters; the first that fits counts.
KINDS = {
    "optimiser": "adam",
    "attention": "bmm|attention|(?<!log)_softmax|::softmax|flash|fmha",
    "losses and scores": "log_softmax|nll|cross_entropy|logsumexp|cumsum|search|sort|topk|sum|max|min|mean"
    "|reduce",
    "matrix products": "mm|linear|gemm|matmul|cutlass|nvjet",
    "norms": "norm",
    "random bits": "bitwise|__and__|__or__|__xor__|shift|random|bernoulli|dropout",
    "views": "view|strided|slice|select|transpose|::t$|squeeze|shape|narrow|expand|permute|flatten|split"
    "|chunk|unbind|broadcast|detach|alias|resize|empty",
    "moving": "copy|memcpy|cat|stack|index|gather|scatter|embedding|clone|fill|memset|zero|contiguous|::to$"
    "|arange|repeat|tile",
    "element by element": "mul|add|sub|div|silu|gated|turned|exp|rsqrt|sqrt|square|reciprocal|neg|pow|sigmoid"
    "|where|masked|remainder|log|::(lt|le|gt|ge|eq|ne|clamp|abs)_?$|elementwise",
}
OTHER = "other"


def profiles(config: BenchmarkConfig, machine: Machine) -> dict[str, Any]:
    """Extraction (32 steps), generation (88 steps) and a training step of the benchmark's model."""
    walker = Walker(subject(config.model, machine.device, config.precision), machine, config.precision)
    steps = config.model.side**2
    extraction = walker.extraction("", top_k(min(32, steps)), config.extracted)
    generation = walker.generation("", random_order(min(88, steps)), config.batches[-1])
    return {
        "model": told(config.model),
        "shares": {
            f"extraction, top-k, {min(32, steps)} steps": _shares(extraction.run, machine),
            f"generation, random, {min(88, steps)} steps": _shares(generation.run, machine),
            "training step": _shares(Trainee(config, machine, config.precision).step, machine),
        },
    }


def kind_of(operation: str) -> str:
    """The kind of an operation of torch's, such as `aten::addmm`."""
    name = operation.lower()
    return next((kind for kind, words in KINDS.items() if re.search(words, name)), OTHER)


def _shares(run: Callable[[], object], machine: Machine) -> dict[str, float]:
    """Shares of the device's time, largest first, once it is warm."""
    for _ in range(machine.warm_ups(0.0)):
        run()
    activities = [ProfilerActivity.CPU]
    on_gpu = machine.device.type == "cuda"
    if on_gpu:
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as seen:
        run()
        machine.wait()
    times: dict[str, float] = defaultdict(float)
    for event in seen.key_averages():
        if not on_gpu:
            times[kind_of(event.key)] += event.self_cpu_time_total
        elif event.device_type.name == "CUDA":  # the kernels themselves, not who started them
            times[kind_of(event.key)] += event.self_device_time_total
    total = sum(times.values()) or 1.0
    return {kind: round(time / total, 3) for kind, time in sorted(times.items(), key=lambda item: -item[1])}
