"""Random truth and predictions, and the peers' answers to them, for the tests of scoring."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from hypothesis import strategies as st

from data_tools.coco.dataset import CocoDataset, coco_from_dict
from data_tools.predictions.table import Predictions, predictions_from_rows


def dataset(
    image_count: int = 1,
    boxes: list[tuple[int, int, list[float]]] | None = None,
    *,
    category_ids: tuple[int, ...] = (1, 2),
    size_wh: tuple[int, int] = (100, 100),
    crowds: tuple[int, ...] = (),
    first_annotation_id: int = 1,
) -> CocoDataset:
    """Build a dataset from (image id, category id, bbox xywh); image ids count from 1."""
    annotations = [
        {
            "id": place + first_annotation_id,
            "image_id": image_id,
            "category_id": category_id,
            "bbox": bbox,
            "iscrowd": int(place in crowds),
        }
        for place, (image_id, category_id, bbox) in enumerate(boxes or [])
    ]
    images = [
        {"id": image, "file_name": f"test/{image:04d}.jpg", "width": size_wh[0],
         "height": size_wh[1]}
        for image in range(1, image_count + 1)
    ]  # fmt: skip
    categories = [{"id": number, "name": f"class_{number}"} for number in category_ids]
    return coco_from_dict({"images": images, "annotations": annotations, "categories": categories})


def predictions(
    truth: CocoDataset,
    rows: list[tuple[int, int, float, list[float]]] | None = None,
    *,
    row_order: str = "file",
) -> Predictions:
    """Build predictions from (image id, label, score, box xyxy) in file order."""
    rows = rows or []
    return predictions_from_rows(
        truth.image_ids,
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float32),
        np.array([row[3] for row in rows], dtype=np.float32).reshape(-1, 4),
        row_order=row_order,
    )


@st.composite
def scoring_cases(draw: st.DrawFn, *, crowds: bool = True) -> tuple[CocoDataset, Predictions]:
    """Draw truth and predictions with ties, duplicates, absent classes and images without truth."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image_count = draw(st.integers(1, 6))
    category_ids = draw(st.sampled_from([(1,), (1, 2), (7, 3, 12)]))
    truth_count = draw(st.integers(1, 25))
    box_count = draw(st.integers(0, 90))
    score_steps = draw(st.sampled_from([1, 3, 10, 10_000]))
    grid = draw(st.sampled_from([1, 8]))
    truth_rows = [
        (int(generator.integers(1, image_count + 1)), int(generator.choice(category_ids)),
         _random_xywh(generator, grid))
        for _ in range(truth_count)
    ]  # fmt: skip
    chosen = np.flatnonzero(generator.random(truth_count) < 0.15).tolist() if crowds else []
    truth = dataset(
        image_count, truth_rows, category_ids=category_ids, size_wh=(200, 200),
        crowds=tuple(chosen),
    )  # fmt: skip
    return truth, predictions(
        truth, _random_rows(generator, truth_rows, box_count, image_count, category_ids,
                            score_steps, grid)
    )  # fmt: skip


def _random_xywh(generator: np.random.Generator, grid: int) -> list[float]:
    sides = generator.choice([6.0, 24.0, 40.0, 120.0], size=2) * generator.uniform(0.8, 1.2, 2)
    corner = generator.uniform(0, 60, 2)
    return [float(max(round(value / grid) * grid, grid)) for value in (*corner, *sides)]


def _random_rows(
    generator: np.random.Generator,
    truth_rows: list[tuple[int, int, list[float]]],
    box_count: int,
    image_count: int,
    category_ids: tuple[int, ...],
    score_steps: int,
    grid: int,
) -> list[tuple[int, int, float, list[float]]]:
    rows = []
    for _ in range(box_count):
        image_id, label, bbox = truth_rows[int(generator.integers(len(truth_rows)))]
        if generator.random() < 0.2:
            image_id = int(generator.integers(1, image_count + 1))
        if generator.random() < 0.2:
            label = int(generator.choice(category_ids))
        shift = np.round(generator.normal(0, 4, 4) * generator.integers(0, 2) / grid) * grid
        x, y, width, height = np.array(bbox) + shift
        box = [x, y, x + max(width, 1), y + max(height, 1)]
        score = round(float(generator.random()) * score_steps) / score_steps
        rows.append((image_id, label, score, [float(value) for value in box]))
        if generator.random() < 0.1:
            rows.append(rows[-1])
    return rows


def map_boxes_answer(truth: CocoDataset, table: Predictions) -> tuple[float, dict[str, tuple]]:
    """Return `map_boxes`' mAP50 and its dict of (AP, truth count) by category id as text."""
    with contextlib.redirect_stdout(io.StringIO()):
        from map_boxes import mean_average_precision_for_boxes
    corners = truth.boxes_xyxy
    annotations = np.column_stack(
        [truth.annotation_image_ids.astype(object), truth.labels.astype(object),
         corners[:, 0], corners[:, 2], corners[:, 1], corners[:, 3]]
    )  # fmt: skip
    boxes = table.boxes_xyxy
    detections = np.column_stack(
        [table.image_id_of_row.astype(object), table.labels.astype(object), table.scores,
         boxes[:, 0], boxes[:, 2], boxes[:, 1], boxes[:, 3]]
    )  # fmt: skip
    return mean_average_precision_for_boxes(annotations, detections, verbose=False)


def pycocotools_answer(
    truth: CocoDataset, table: Predictions, *, max_detections: int = 100
) -> tuple[list[float], np.ndarray]:
    """Return pycocotools' first six stats and its (T, R, K, A) precision."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth.as_dict()
        coco.createIndex()
        found = COCO()
        found.dataset = {**truth.as_dict(), "annotations": coco_results(table)}
        found.createIndex()
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.params.maxDets = [1, min(10, max_detections), max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, :, -1]
    parts = [precision[..., 0], precision[0, ..., 0], precision[5, ..., 0],
             *(precision[..., area] for area in (1, 2, 3))]  # fmt: skip
    return [_mean_of_known(part) for part in parts], precision


def _mean_of_known(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else -1.0


def coco_results(table: Predictions) -> list[dict]:
    """Return the boxes as pycocotools' `loadRes` would number and measure them."""
    boxes = table.boxes_xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return [
        {"id": place + 1, "image_id": image_id, "category_id": label, "bbox": bbox,
         "area": bbox[2] * bbox[3], "score": score, "iscrowd": 0}
        for place, (image_id, label, bbox, score) in enumerate(
            zip(table.image_id_of_row.tolist(), table.labels.tolist(), boxes.tolist(),
                table.scores.tolist(), strict=True)
        )
    ]  # fmt: skip


def perturbed_truth(
    truth: CocoDataset, *, copies: int, seed: int, score_digits: int = 3
) -> Predictions:
    """Return several noisy copies of each truth box, some with a wrong label, with tied scores."""
    generator = np.random.default_rng(seed)
    sides = np.repeat(truth.boxes_xywh[:, [2, 3, 2, 3]], copies, axis=0)
    boxes = np.repeat(truth.boxes_xyxy, copies, axis=0)
    boxes = boxes + generator.normal(0, 0.12, boxes.shape) * sides
    boxes = np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    labels = np.repeat(truth.labels, copies)
    wrong = generator.random(len(labels)) < 0.2
    labels = np.where(wrong, generator.choice(truth.category_ids, len(labels)), labels)
    return predictions_from_rows(
        truth.image_ids,
        np.repeat(truth.annotation_image_ids, copies),
        labels,
        np.round(generator.random(len(labels)), score_digits),
        boxes,
        row_order="file",
    )


def results_on_the_brink(
    generator: np.random.Generator, digits: int
) -> tuple[CocoDataset, list[dict[str, object]]]:
    """Return truth and COCO results rounded to `digits` decimals, half at IoUs of a threshold.

    Half of the boxes have the truth's corner and height and .5, .55, ... or .95 of its width, which
    is their IoU wherever rounding leaves the width alone. The others are the truth moved a little.
    """
    corners = generator.uniform(0, 1500, (60, 2))
    sides = 20 * generator.integers(1, 30, (60, 2)) / 10**digits
    truth_boxes = np.round(np.concatenate([corners, np.maximum(sides, 2)], axis=1), digits)
    image_ids = generator.integers(1, 9, len(truth_boxes)).tolist()
    labels = generator.integers(1, 3, len(truth_boxes)).tolist()
    truth = dataset(
        8, list(zip(image_ids, labels, truth_boxes.tolist(), strict=True)), size_wh=(2500, 2500)
    )
    results: list[dict[str, object]] = []
    for image_id, label, box in zip(image_ids, labels, truth_boxes, strict=True):
        narrowed, moved = box.copy(), box + generator.normal(0, 0.04, 4) * box[[2, 3, 2, 3]]
        narrowed[2] *= generator.integers(10, 20) / 20
        results += [
            {"image_id": image_id, "category_id": label,
             "bbox": [round(value, digits) for value in found.tolist()],
             "score": round(float(generator.random()), max(digits, 1))}
            for found in (narrowed, moved)
        ]  # fmt: skip
    return truth, results


def pycocotools_stats(truth: CocoDataset, results: list[dict[str, object]]) -> list[float]:
    """Return the first six stats of pycocotools for results as `loadRes` takes them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth.as_dict()
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6].tolist()
