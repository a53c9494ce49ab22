"""Scoring against map-boxes, pycocotools and other evaluators: same boxes, one run.

Run: python -m benchmarks.scoring [--quick]

Loading is left out on both sides: peers and ours start from arrays or loaded objects. CPU seconds
(of all threads) are printed as a ratio of their own: a busy machine distorts them least.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.machine import machine_line
from benchmarks.scoring_peers import faster_coco_eval, hotcoco, map_boxes, pycocotools
from benchmarks.scoring_scenes import scenes
from data_tools.coco.dataset import CocoDataset
from data_tools.predictions.table import Predictions
from scoring.metrics.coco import CocoMatcher, summarize
from scoring.metrics.competition import CompetitionMatcher
from scoring.uncertainty.bootstrap import image_samples

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RESCORINGS = 20
BOOTSTRAP_SAMPLES = 100


@click.command()
@click.option("--quick", is_flag=True, help="Three hundred images, for the tests.")
def main(quick: bool) -> None:
    """Print the time of each peer and of ours, and the difference of the answers."""
    print(machine_line())
    is_first = True
    for name, truth, table in scenes(REAL_DATA, quick=quick):
        if is_first:
            (seconds, _), _ = timed(lambda t=truth, p=table: (competition(p, t), coco(p, t)))
            print(f"first call (compiles, or loads what it compiled before): {seconds:.1f} s")
        print(
            f"\n{name}: {len(truth.images)} images, {len(truth.annotations)} truth boxes, "
            f"{len(table)} boxes"
        )
        peer_table(truth, table, repeats=3 if quick else 15)
        if is_first:
            inner_loop(truth, table)
        is_first = False


def peer_table(truth: CocoDataset, table: Predictions, repeats: int) -> None:
    """Print one line per peer: its time, ours, the ratios, the largest difference."""
    print(
        f"{'metric':<18} {'peer':<17} {'peer s':>7} {'ours s':>7} {'ratio':>6} {'CPU':>6}  differ"
    )
    ours = {
        "competition_map50": best_of(lambda: [competition(table, truth)], repeats),
        "COCO": best_of(lambda: coco(table, truth), repeats),
    }
    peers = (
        ("competition_map50", "map-boxes", map_boxes),
        ("COCO", "pycocotools", pycocotools),
        ("COCO", "faster-coco-eval", faster_coco_eval),
        ("COCO", "hotcoco", hotcoco),
    )
    for metric, name, peer in peers:
        (seconds, cpu_seconds), values = ours[metric]
        (peer_seconds, peer_cpu), answer = timed(peer(truth, table))
        difference = max(abs(a - b) for a, b in zip(answer, values, strict=True))
        print(
            f"{metric:<18} {name:<17} {peer_seconds:>7.3f} {seconds:>7.4f} "
            f"{peer_seconds / seconds:>5.0f}x {peer_cpu / cpu_seconds:>5.0f}x  {difference:.0e}"
        )


def inner_loop(truth: CocoDataset, table: Predictions) -> None:
    """Print what a tuner and a bootstrap pay for each variant once the boxes are matched."""
    matcher = CompetitionMatcher.from_predictions(table, truth)
    generator = np.random.default_rng(0)
    scores = generator.random((RESCORINGS, len(matcher.rows))).astype(np.float32)
    (_, rescoring), _ = timed(
        lambda: [matcher.mean_average_precision(s, claim_by="score") for s in scores]
    )
    counts = image_samples(len(table.image_ids), BOOTSTRAP_SAMPLES, seed=0)
    (_, bootstrap), _ = timed(lambda: matcher.average_precision_on(counts))
    coco_matcher = CocoMatcher.from_predictions(table, truth).all_sizes_only()
    (_, bootstrap_of_coco), _ = timed(lambda: coco_matcher.average_precision_on(counts))
    print(
        f"CPU per variant, once matched: other scores {rescoring / RESCORINGS * 1000:.1f} ms, "
        f"bootstrap sample of competition_map50 {bootstrap / BOOTSTRAP_SAMPLES * 1000:.1f} ms, "
        f"of COCO's mAP {bootstrap_of_coco / BOOTSTRAP_SAMPLES * 1000:.1f} ms"
    )


def competition(table: Predictions, truth: CocoDataset) -> float:
    """Return our competition_map50, matching included."""
    return CompetitionMatcher.from_predictions(table, truth).mean_average_precision()


def coco(table: Predictions, truth: CocoDataset) -> list[float]:
    """Return our six averages, matching included."""
    found = summarize(CocoMatcher.from_predictions(table, truth).average_precision())
    return [value if value is not None else -1.0 for value in found.values()]


def timed(run: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Return the seconds and the CPU seconds that a call took, and what it returned.

    CPU seconds (of all threads) are what a busy machine does not distort.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    result = run()
    return (time.perf_counter() - start, time.process_time() - cpu_start), result


def best_of(run: Callable[[], Any], repeats: int) -> tuple[tuple[float, float], Any]:
    """Return the least seconds and CPU seconds of several calls, and what the last returned."""
    results = [timed(run) for _ in range(repeats)]
    seconds, cpu_seconds = np.min([times for times, _ in results], axis=0).tolist()
    return (seconds, cpu_seconds), results[-1][1]


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.scoring")
