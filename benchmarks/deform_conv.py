"""Deformable convolution, forward and backward: every method of the kit against torchvision's.

    python -m benchmarks.deform_conv [--quick] [--device cpu|cuda]

The methods take turns on the same tensors, at the shapes that TOOD X101-64x4d-DCN calls it with.
Times are medians of rounds of at least half a second; on the CPU they are processor time of all
threads, which other work on the machine moves little (set OMP_WAIT_POLICY=passive and
GOMP_SPINCOUNT=0, or threads that wait for each other count too), and wall time beside it. Freed
memory stays with the process for all methods, as in training. "Kept" is what the graph holds until
the backward pass, without the tensors that are there anyway; on a GPU it is the peak of memory
above what was there before.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.machine import machine_line
from models.engine.ops.deform_conv import deform_conv2d
from models.engine.ops.deform_conv_methods import METHODS, choose_method
from models.engine.ops.freed_memory import freed_memory_kept


@dataclass(frozen=True)
class Case:
    """One call: square maps, as many outputs as inputs."""

    name: str
    batch: int
    channels: int
    size: int
    groups: int
    deform_groups: int
    kernel: int


CASES = (
    Case("C4 of 320 px", 2, 1024, 20, 64, 1, 3),
    Case("C5 of 320 px", 2, 2048, 10, 64, 1, 3),
    Case("head P3 of 320 px", 2, 256, 40, 1, 4, 3),
    Case("class maps of 320 px", 2, 10, 40, 10, 10, 1),
    Case("box maps of 320 px", 2, 4, 40, 4, 4, 1),
    Case("C4 of 1024 px", 1, 1024, 64, 64, 1, 3),
    Case("C5 of 1024 px", 1, 2048, 32, 64, 1, 3),
    Case("head P3 of 1024 px", 1, 256, 128, 1, 4, 3),
    Case("class maps of 1024 px", 1, 10, 128, 10, 10, 1),
    Case("box maps of 1024 px", 1, 4, 128, 4, 4, 1),
)
QUICK_CASES = (Case("quick, rows", 1, 32, 8, 1, 1, 3), Case("quick, planes", 1, 4, 8, 4, 4, 1))


def draw(case: Case, device: torch.device) -> dict[str, Tensor]:
    """Draw the arguments of a case; offsets of a pixel or two, as after some training."""
    generator = torch.Generator().manual_seed(0)
    taps = case.kernel**2
    maps = (case.size, case.size)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    group_channels = case.channels // case.groups
    tensors = {
        "input": normal(case.batch, case.channels, *maps),
        "offset": normal(case.batch, 2 * case.deform_groups * taps, *maps) * 1.5,
        "weight": normal(case.channels, group_channels, case.kernel, case.kernel) * 0.05,
    }
    if case.kernel > 1:
        tensors["mask"] = normal(case.batch, case.deform_groups * taps, *maps).sigmoid()
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


@dataclass(frozen=True)
class Times:
    """Seconds of one pass: processor time on the CPU, wall time on a GPU.

    Attributes:
        forward: of the forward pass.
        both: of forward and backward pass.
        wall: of both, by the clock.
    """

    forward: float
    both: float
    wall: float


def forward_backward(
    tensors: dict[str, Tensor], case: Case, method: str, precision: str
) -> Callable[[], Times]:
    """Return a function that runs one pass and times it."""
    device = tensors["input"].device
    half = precision != "fp32"

    def now() -> tuple[float, float]:
        if device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter(), time.perf_counter()
        return time.process_time(), time.perf_counter()

    def run() -> Times:
        for tensor in tensors.values():
            tensor.grad = None
        context = torch.autocast(device.type, torch.bfloat16) if half else contextlib.nullcontext()
        start, wall_start = now()
        with context:
            output = deform_conv2d(**tensors, padding=case.kernel // 2, method=method)
        middle, _ = now()
        output.backward(torch.ones_like(output))
        end, wall_end = now()
        return Times(middle - start, end - start, wall_end - wall_start)

    return run


def kept_bytes(tensors: dict[str, Tensor], case: Case, method: str) -> int:
    """Return the memory that one call adds until its backward pass."""
    if tensors["input"].is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        forward_backward(tensors, case, method, "fp32")()
        return torch.cuda.max_memory_allocated() - before
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = deform_conv2d(**tensors, padding=case.kernel // 2, method=method)
    own = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
    del output
    return sum(size for address, size in kept.items() if address not in own)


def mean_times(run: Callable[[], Times], least_seconds: float) -> Times:
    """Return the means over passes that take `least_seconds` together, at least one pass.

    One pass is too short for the clock: some systems count the processor time of threads other
    than the caller in steps of 10 ms.
    """
    passes: list[Times] = []
    start = time.perf_counter()
    while not passes or time.perf_counter() - start < least_seconds:
        passes.append(run())
    return _combined(passes, statistics.fmean)


def median_times(
    runs: dict[str, Callable[[], Times]], rounds: int, least_seconds: float
) -> dict[str, Times]:
    """Return the medians over rounds of each method's means, the methods taking turns."""
    times: dict[str, list[Times]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # warms up
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(mean_times(run, least_seconds))
    return {name: _combined(each, statistics.median) for name, each in times.items()}


def _combined(times: list[Times], combine: Callable[[list[float]], float]) -> Times:
    return Times(*(combine([getattr(each, name) for each in times])
                   for name in ("forward", "both", "wall")))  # fmt: skip


def main() -> None:
    """Print one table per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny shapes, to try the script")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    print(f"{machine_line()}\ntorch {torch.__version__}, {name}, {torch.get_num_threads()} threads")
    precisions = ("fp32", "bf16") if device.type == "cuda" else ("fp32",)
    for case in QUICK_CASES if arguments.quick else CASES:
        for precision in precisions:
            with freed_memory_kept(device.type == "cpu"):
                report(case, device, precision, 1 if arguments.quick else arguments.rounds)


def report(case: Case, device: torch.device, precision: str, rounds: int) -> None:
    """Measure and print one case."""
    tensors = draw(case, device)
    methods = list(METHODS)
    runs = {name: forward_backward(tensors, case, name, precision) for name in methods}
    times = median_times(runs, rounds, least_seconds=0.5 if rounds > 1 else 0)
    chosen = choose_method(tensors["input"], tensors["offset"], tensors["weight"])
    print(
        f"\n{case.name}, {precision}: {case.batch} x {case.channels} x {case.size} x {case.size}, "
        f"groups {case.groups}, deform groups {case.deform_groups}, kernel {case.kernel}"
    )
    print(f"  {'method':<18}{'forward':>10}{'both':>10}{'ratio':>8}{'wall':>10}{'kept':>10}")
    peer = times["torchvision"].both
    for name, each in times.items():
        kept = kept_bytes(tensors, case, name) / 2**20
        mark = " <- used" if name == chosen else ""
        print(
            f"  {name:<18}{each.forward * 1e3:>7.1f} ms{each.both * 1e3:>7.1f} ms"
            f"{peer / each.both:>7.1f}x{each.wall * 1e3:>7.1f} ms{kept:>7.1f} MB{mark}"
        )


if __name__ == "__main__":
    main()
