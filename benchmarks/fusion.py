"""Weighted Boxes Fusion: this kit against ensemble-boxes, on the same boxes, in one run.

    python -m benchmarks.fusion [--quick] [--submissions FOLDER]

Members are the real submissions of the folder, then perturbed copies of them; without the folder,
drawn boxes of the same number and shape.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.fusion_members import (
    IMAGES,
    SIDE,
    SUBMISSIONS,
    load_originals,
    make_dataset,
    make_members,
    tiled,
)
from benchmarks.machine import machine_line
from data_tools.coco.dataset import CocoDataset
from data_tools.ground.cores import usable_cores
from data_tools.predictions.formats.catalogue import find_format, with_classes
from data_tools.predictions.table import Predictions
from ensemble.engine import FusedTable, fuse_table
from ensemble.fuse import fuse_members
from ensemble.member_table import build_table
from ensemble.members import read_members
from ensemble.settings import FusionSettings
from submit.printing import write_in_format

IOU = 0.6
# ensemble-boxes takes minutes on the largest tables: then it is timed on every n-th image.
MOST_REFERENCE_BOXES = 700_000

Seconds = np.ndarray  # (2,) wall, processor


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small tables, for the tests")
    parser.add_argument("--submissions", type=Path, default=SUBMISSIONS)
    arguments = parser.parse_args()
    images = 150 if arguments.quick else IMAGES
    dataset = make_dataset(images)
    originals = load_originals(arguments.submissions, dataset, images)
    print(machine_line())
    print(f"WBF, IoU {IOU}, avg; ensemble-boxes in a loop over images; {usable_cores()} threads")
    print_compile_time()
    counts = (1, 3) if arguments.quick else (1, 3, 10, 30)
    print_members_table(originals, dataset, counts)
    print_csv_to_csv(originals, dataset)
    print_image_table(
        originals, dataset, (300, 1500) if arguments.quick else (4871, 50_000, 500_000)
    )


def reference_fusion(members: Sequence[Predictions], every: int = 1) -> tuple[Seconds, list]:
    """Return seconds (wall, processor) and results of ensemble-boxes on every n-th image."""
    import ensemble_boxes

    found = []
    start = clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index in range(0, len(members[0].image_ids), every):
            rows = [slice(m.offsets[index], m.offsets[index + 1]) for m in members]
            fused = ensemble_boxes.weighted_boxes_fusion(
                [m.boxes_xyxy[r] / SIDE for m, r in zip(members, rows, strict=True)],
                [m.scores[r] for m, r in zip(members, rows, strict=True)],
                [m.labels[r] for m, r in zip(members, rows, strict=True)],
                iou_thr=IOU,
            )
            found.append((fused[0] * SIDE, *fused[1:]))
    return clock() - start, found


def our_fusion(members: Sequence[Predictions], dataset: CocoDataset) -> FusedTable:
    """Fuse, from the members' arrays to the fused arrays."""
    return fuse_table(build_table(members, dataset), FusionSettings(iou=IOU))


def clock() -> Seconds:
    """Return wall and processor time; the second depends far less on who else uses the machine."""
    return np.array([time.perf_counter(), time.process_time()])


def best_time(function: Callable[[], object], repeats: int) -> Seconds:
    """Return the shortest wall and processor time of some runs."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return np.min(times, axis=0)


def peak_bytes(function: Callable[[], object]) -> int:
    """Return the most memory that NumPy and Python held at once for a call."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def input_bytes(members: Sequence[Predictions]) -> int:
    """Return the size of the members' arrays."""
    names = ("image_ids", "offsets", "labels", "scores", "boxes_xyxy", "views")
    return sum(getattr(member, name).nbytes for member in members for name in names)


def print_compile_time() -> None:
    """Time the first fusion of a process, with an empty and with a filled cache."""
    code = (
        "import time; from benchmarks import fusion, fusion_members as f; d = f.make_dataset(3); "
        "m = [f.drawn_member(d, 0)]; start = time.perf_counter(); fusion.our_fusion(m, d); "
        "print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory(prefix="fusion cache ") as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        seconds = [
            float(
                subprocess.run(
                    [sys.executable, "-c", code],
                    env=environment,
                    cwd=Path(__file__).resolve().parents[1],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for _ in range(2)
        ]
    print(
        f"first call ever (compiles) {seconds[0]:.2f} s, first call of a process {seconds[1]:.2f} s"
    )


def print_members_table(
    originals: Sequence[Predictions], dataset: CocoDataset, counts: Sequence[int]
) -> None:
    """Print times for numbers of members, arrays in and arrays out."""
    print(f"\narrays to arrays, {len(dataset.images)} images")
    print("| members | boxes in | boxes out | ensemble-boxes s | ours s | ratio |", end="")
    print(" ratio of processor time | peak / input |")
    print("|---|---|---|---|---|---|---|---|")
    for count in counts:
        members = make_members(originals, count)
        boxes = sum(len(member) for member in members)
        every = max(1, -(-boxes // MOST_REFERENCE_BOXES))
        fused = our_fusion(members, dataset)
        reference, results = reference_fusion(members, every)
        ours = best_time(lambda members=members: our_fusion(members, dataset), 7)
        check_same(fused, results, every)
        memory = peak_bytes(lambda members=members: our_fusion(members, dataset))
        reference *= every
        wall, processor = reference / ours
        part = "" if every == 1 else f" (1/{every} of the images x {every})"
        print(
            f"| {count} | {boxes} | {len(fused.scores)} | {reference[0]:.2f}{part} | "
            f"{ours[0]:.3f} | {wall:.0f}x | {processor:.0f}x | "
            f"{memory / input_bytes(members):.1f}x |"
        )


def check_same(fused: FusedTable, results: list, every: int) -> None:
    """Stop unless both give the same boxes and scores (order aside where scores tie)."""
    for position, (boxes, scores, labels) in enumerate(results):
        rows = slice(fused.offsets[position * every], fused.offsets[position * every + 1])
        ours = np.column_stack([fused.labels[rows], fused.scores[rows], fused.boxes_xyxy[rows]])
        theirs = np.column_stack([labels, scores, boxes])
        ours, theirs = (part[np.lexsort(np.round(part, 4).T)] for part in (ours, theirs))
        if ours.shape != theirs.shape or np.abs(ours - theirs).max(initial=0) > 1e-3:
            raise SystemExit(f"image {position * every}: ours and ensemble-boxes differ")


def print_csv_to_csv(originals: Sequence[Predictions], dataset: CocoDataset) -> None:
    """Print the time from three submission files to one."""
    aistages = find_format("aistages")
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, member in enumerate(make_members(originals, 3)):
            paths.append(str(Path(folder) / f"member{number}.csv"))
            write_in_format(paths[-1], member, with_classes(dataset, member.labels), aistages)
        out = str(Path(folder) / "fused.csv")

        def ours() -> None:
            members = read_members(paths, dataset)
            fusion = fuse_members(members, dataset, FusionSettings(iou=IOU))
            written = with_classes(dataset, fusion.predictions.labels)
            write_in_format(out, fusion.predictions, written, aistages)

        ours()
        our_seconds = best_time(ours, 5)
        reference = best_time(lambda: reference_csv_to_csv(paths, out), 1)
    wall, processor = reference / our_seconds
    print(
        f"\nCSV to CSV, 3 members: pandas and ensemble-boxes {reference[0]:.2f} s, "
        f"ours {our_seconds[0]:.3f} s, ratio {wall:.0f}x, of processor time {processor:.0f}x"
    )


def reference_csv_to_csv(paths: Sequence[str], out: str) -> None:
    """Fuse submissions as a notebook does: pandas, one image at a time."""
    import ensemble_boxes
    import pandas

    frames = [pandas.read_csv(path).set_index("image_id")["PredictionString"] for path in paths]
    strings = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in frames[0].index:
            tables = [
                np.array(str(frame[name]).replace("nan", "").split(), float).reshape(-1, 6)
                for frame in frames
            ]
            boxes, scores, labels = ensemble_boxes.weighted_boxes_fusion(
                [table[:, 2:] / SIDE for table in tables],
                [table[:, 1] for table in tables],
                [table[:, 0] for table in tables],
                iou_thr=IOU,
            )
            strings.append(
                "".join(
                    f"{int(label)} {score} {x1} {y1} {x2} {y2} "
                    for label, score, (x1, y1, x2, y2) in zip(
                        labels, scores, boxes * SIDE, strict=True
                    )
                )
            )
    table = pandas.DataFrame({"PredictionString": strings, "image_id": frames[0].index})
    table.to_csv(out, index=False)


def print_image_table(
    originals: Sequence[Predictions], dataset: CocoDataset, sizes: Sequence[int]
) -> None:
    """Print the cost per box for numbers of images."""
    print("\n3 members, more images")
    print("| images | boxes in | ours s | ns per box | processor ns per box | peak / input |")
    print("|---|---|---|---|---|---|")
    members = make_members(originals, 3)
    for images in sizes:
        large, several = make_dataset(images), [tiled(member, images) for member in members]
        boxes = sum(len(member) for member in several)
        seconds = best_time(lambda: our_fusion(several, large), 3 if boxes > 5e6 else 7)  # noqa: B023
        memory = peak_bytes(lambda: our_fusion(several, large)) / input_bytes(several)  # noqa: B023
        per_box = seconds / boxes * 1e9
        print(
            f"| {images} | {boxes} | {seconds[0]:.3f} | {per_box[0]:.0f} | {per_box[1]:.0f} | "
            f"{memory:.1f}x |"
        )


if __name__ == "__main__":
    main()
