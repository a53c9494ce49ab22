"""Deformable convolution, forward and backward: every method of the kit against torchvision's.

    python -m benchmarks.deform_conv [--quick] [--device cpu|cuda]

The methods take turns on the same tensors, at the shapes that TOOD X101-64x4d-DCN calls it with.
Times are the shortest of the rounds; on the CPU they are processor time of all threads, which other
work on the machine hardly moves (set OMP_WAIT_POLICY=passive and GOMP_SPINCOUNT=0, or threads that
wait for each other count too). "Kept" is what the graph holds until the backward pass, without the
tensors that are there anyway; on a GPU it is the peak of memory above what was there before.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.machine import machine_line
from models.ops.deform_conv import deform_conv2d
from models.ops.deform_conv_methods import METHODS, choose_method


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


def forward_backward(
    tensors: dict[str, Tensor], case: Case, method: str, precision: str
) -> Callable[[], tuple[float, float]]:
    """Return a function that runs one pass and returns seconds (forward, both)."""
    device = tensors["input"].device
    half = precision != "fp32"

    def wait() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def run() -> tuple[float, float]:
        for tensor in tensors.values():
            tensor.grad = None
        context = torch.autocast(device.type, torch.bfloat16) if half else contextlib.nullcontext()
        start = wait()
        with context:
            output = deform_conv2d(**tensors, padding=case.kernel // 2, method=method)
        middle = wait()
        output.backward(torch.ones_like(output))
        return middle - start, wait() - start

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


def best_times(runs: dict[str, Callable[[], tuple[float, float]]], rounds: int) -> dict:
    """Return each method's shortest (forward, both), the methods taking turns."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for number in range(rounds + 1):
        for name, run in runs.items():
            times = run()
            if number:  # The first round warms up.
                best[name] = tuple(map(min, best[name], times))
    return best


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
            report(case, device, precision, 1 if arguments.quick else arguments.rounds)


def report(case: Case, device: torch.device, precision: str, rounds: int) -> None:
    """Measure and print one case."""
    tensors = draw(case, device)
    methods = list(METHODS)
    runs = {name: forward_backward(tensors, case, name, precision) for name in methods}
    times = best_times(runs, rounds)
    chosen = choose_method(tensors["input"], tensors["offset"], tensors["weight"])
    print(
        f"\n{case.name}, {precision}: {case.batch} x {case.channels} x {case.size} x {case.size}, "
        f"groups {case.groups}, deform groups {case.deform_groups}, kernel {case.kernel}"
    )
    print(f"  {'method':<18}{'forward':>10}{'both':>10}{'ratio':>8}{'kept':>10}")
    peer = times["torchvision"][1]
    for name, (forward, both) in times.items():
        kept = kept_bytes(tensors, case, name) / 2**20
        mark = " <- used" if name == chosen else ""
        print(
            f"  {name:<18}{forward * 1e3:>7.1f} ms{both * 1e3:>7.1f} ms{peer / both:>7.1f}x"
            f"{kept:>7.1f} MB{mark}"
        )


if __name__ == "__main__":
    main()
