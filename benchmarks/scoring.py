"""Scoring against map-boxes, pycocotools and other evaluators: same boxes, one run.

Run: python -m benchmarks.scoring [--quick]
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.machine import machine_line
from data_tools.coco import CocoDataset, coco_from_dict, read_coco
from data_tools.predictions import Predictions, predictions_from_rows
from data_tools.submission_csv import read_submission_csv
from submit.bootstrap import bootstrap_coco, bootstrap_competition, image_samples
from submit.coco_metric import CocoMatcher, summarize
from submit.competition_metric import CompetitionMatcher

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BOX_COUNT = 139_000
RESCORINGS = 20
BOOTSTRAP_SAMPLES = 100


@click.command()
@click.option("--quick", is_flag=True, help="Three hundred images, for the tests.")
def main(quick: bool) -> None:
    """Print the time of each peer and of ours, and the difference of the answers."""
    truth, table, source = scene(quick)
    print(machine_line())
    print(f"{source}: {len(truth.images)} images, {len(truth.annotations)} truth boxes, "
          f"{len(table)} boxes")  # fmt: skip
    (compile_time, _), _ = timed(lambda: (competition(table, truth), coco(table, truth)))
    print(f"first call (compiles, or loads what it compiled before): {compile_time:.1f} s\n")
    repeats = 2 if quick else 7
    peer_table(truth, table, repeats)
    inner_loop(truth, table)


def peer_table(truth: CocoDataset, table: Predictions, repeats: int) -> None:
    """Print one line per peer: its time, ours, the ratios, the largest difference."""
    print(
        f"{'metric':<18} {'peer':<17} {'peer s':>7} {'ours s':>7} {'ratio':>6} {'CPU':>6}  differ"
    )
    ours = {
        "competition_map50": best_of(lambda: [competition(table, fresh(truth))], repeats),
        "COCO": best_of(lambda: coco(table, fresh(truth)), repeats),
    }
    peers = (
        ("competition_map50", "map-boxes", map_boxes),
        ("COCO", "pycocotools", pycocotools),
        ("COCO", "faster-coco-eval", faster_coco_eval),
        ("COCO", "hotcoco", hotcoco_values),
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
    (rescoring, _), _ = timed(
        lambda: [matcher.mean_average_precision(s, claim_by="score") for s in scores]
    )
    counts = image_samples(len(table.image_ids), BOOTSTRAP_SAMPLES, seed=0)
    (bootstrap, _), _ = timed(lambda: bootstrap_competition(matcher, counts))
    coco_matcher = CocoMatcher.from_predictions(table, truth)
    (bootstrap_of_coco, _), _ = timed(lambda: bootstrap_coco(coco_matcher, counts, "map"))
    print(f"\nrescoring with other scores: {rescoring / RESCORINGS * 1000:.1f} ms each")
    print(f"bootstrap sample of competition_map50: {bootstrap / BOOTSTRAP_SAMPLES * 1000:.2f} ms")
    print(f"bootstrap sample of COCO's mAP: {bootstrap_of_coco / BOOTSTRAP_SAMPLES * 1000:.1f} ms")


def scene(quick: bool) -> tuple[CocoDataset, Predictions, str]:
    """Return truth and boxes: the real ones where they are, else random ones of the same size."""
    if (REAL_DATA / "recycle_train.json.gz").is_file():
        truth, source = read_coco(REAL_DATA / "recycle_train.json.gz"), "real truth and submissions"
        rows = submission_rows(truth)
    else:
        truth, source = random_truth(4883, 23_144), "random truth (the real one is not here)"
        rows = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)))
    # pycocotools loses the box that finds annotation id 0; count from 1 as COCO does.
    numbered = ({**box, "id": place} for place, box in enumerate(truth.annotations, 1))
    truth = replace(truth, annotations=tuple(numbered))
    noise = noisy_rows(truth, BOX_COUNT - len(rows[0]))
    rows = tuple(np.concatenate(pair) for pair in zip(rows, noise, strict=True))
    table = predictions_from_rows(truth.image_ids, *rows)
    return (*first_images(truth, table, 300 if quick else len(truth.images)), source)


def first_images(
    truth: CocoDataset, table: Predictions, count: int
) -> tuple[CocoDataset, Predictions]:
    """Return the first images of both."""
    truth = truth.subset(truth.image_ids[:count])
    keep = np.isin(table.image_id_of_row, truth.image_ids)
    columns = (table.image_id_of_row, table.labels, table.scores, table.boxes_xyxy)
    kept = predictions_from_rows(truth.image_ids, *(column[keep] for column in columns))
    return truth, kept


def submission_rows(truth: CocoDataset) -> tuple[np.ndarray, ...]:
    """Return the boxes of the real submissions, test image i laid on train image i."""
    images = [
        {"id": int(image_id), "file_name": f"test/{place:04d}.jpg", "width": 1024, "height": 1024}
        for place, image_id in enumerate(truth.image_ids[:4871])
    ]
    test = coco_from_dict({"images": images})
    tables = [read_submission_csv(path, test)
              for path in sorted((REAL_DATA / "submissions").glob("*.csv.gz"))]  # fmt: skip
    columns = [(t.image_id_of_row, t.labels, t.scores, t.boxes_xyxy) for t in tables]
    return tuple(np.concatenate(parts) for parts in zip(*columns, strict=True))


def noisy_rows(truth: CocoDataset, count: int) -> tuple[np.ndarray, ...]:
    """Return `count` boxes near truth boxes, so that there is something to hit."""
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, len(truth.annotations), count)
    sides = truth.boxes_xywh[chosen][:, [2, 3, 2, 3]]
    boxes = truth.boxes_xyxy[chosen] + generator.normal(0, 0.08, (count, 4)) * sides
    boxes = np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    return truth.annotation_image_ids[chosen], truth.labels[chosen], generator.random(count), boxes


def random_truth(image_count: int, box_count: int) -> CocoDataset:
    """Return random boxes of ten classes on images of 1024 px."""
    generator = np.random.default_rng(0)
    sides = np.exp(generator.normal(5.2, 0.9, (box_count, 2))).clip(20, 900)
    corners = generator.random((box_count, 2)) * (1024 - sides)
    annotations = [
        {"id": place + 1, "image_id": int(image), "category_id": int(label), "bbox": bbox.tolist()}
        for place, (image, label, bbox) in enumerate(zip(
            generator.integers(0, image_count, box_count), generator.integers(0, 10, box_count),
            np.concatenate([corners, sides], axis=1), strict=True))
    ]  # fmt: skip
    return coco_from_dict({
        "images": [{"id": n, "file_name": f"train/{n:04d}.jpg", "width": 1024, "height": 1024}
                   for n in range(image_count)],
        "annotations": annotations,
        "categories": [{"id": n, "name": str(n)} for n in range(10)],
    })  # fmt: skip


def fresh(truth: CocoDataset) -> CocoDataset:
    """Return the dataset without the arrays that earlier calls left in it."""
    return replace(truth)


def competition(table: Predictions, truth: CocoDataset) -> float:
    """Return our competition_map50, matching included."""
    return CompetitionMatcher.from_predictions(table, truth).mean_average_precision()


def coco(table: Predictions, truth: CocoDataset) -> list[float]:
    """Return our six averages, matching included."""
    found = summarize(CocoMatcher.from_predictions(table, truth).average_precision())
    return [value if value is not None else -1.0 for value in found.values()]


Run = Callable[[], list[float]]


def map_boxes(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare map-boxes: arrays in, mAP50 out."""
    with contextlib.redirect_stdout(io.StringIO()):
        from map_boxes import mean_average_precision_for_boxes
    # Its tables: image, class, (score,) xmin, xmax, ymin, ymax.
    annotations = np.empty((len(truth.annotations), 6), dtype=object)
    annotations[:, 0], annotations[:, 1] = truth.annotation_image_ids, truth.labels
    annotations[:, 2:] = truth.boxes_xyxy[:, [0, 2, 1, 3]]
    detections = np.empty((len(table), 7), dtype=object)
    detections[:, 0], detections[:, 1] = table.image_id_of_row, table.labels
    detections[:, 2] = table.scores
    detections[:, 3:] = table.boxes_xyxy[:, [0, 2, 1, 3]]
    return lambda: [mean_average_precision_for_boxes(annotations, detections, verbose=False)[0]]


def coco_results(table: Predictions) -> list[dict[str, Any]]:
    """Return the boxes as COCO results."""
    boxes = table.boxes_xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    columns = (table.image_id_of_row.tolist(), table.labels.tolist(), boxes.tolist(),
               table.scores.tolist())  # fmt: skip
    return [{"image_id": image, "category_id": label, "bbox": bbox, "score": score}
            for image, label, bbox, score in zip(*columns, strict=True)]  # fmt: skip


def pycocotools(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare pycocotools, loading excluded: evaluate, accumulate, summarize."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _coco_api(COCO, COCOeval, truth, table)


def faster_coco_eval(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare faster-coco-eval, loading excluded."""
    from faster_coco_eval import COCO, COCOeval_faster

    return _coco_api(COCO, COCOeval_faster, truth, table)


def hotcoco_values(truth: CocoDataset, table: Predictions) -> Run:
    """Prepare hotcoco, loading excluded."""
    import hotcoco

    loaded = hotcoco.COCO(truth.as_dict())
    evaluation = hotcoco.COCOeval(loaded, loaded.load_res(coco_results(table)), "bbox")
    return lambda: _silently(evaluation)


def _coco_api(coco_class: Any, eval_class: Any, truth: CocoDataset, table: Predictions) -> Run:
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = coco_class()
        loaded.dataset = truth.as_dict()
        loaded.createIndex()
        evaluation = eval_class(loaded, loaded.loadRes(coco_results(table)), "bbox")
    return lambda: _silently(evaluation)


def _silently(evaluation: Any) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:6]]


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
