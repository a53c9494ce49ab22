"""What common mistakes of writing a file of predictions cost on a real one: order, cut, sides.

    python -m benchmarks.writing_mistakes FILE.csv.gz ... --truth train.json.gz

Each file is scored as it is, with its boxes in rising order of score, cut at several thresholds,
and with widths and heights in the place of the second corner. The truth is that of the images
that the file lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.predictions.files import read_predictions
from data_tools.predictions.table import Predictions
from data_tools.predictions.text_columns import read_text_table
from scoring.metrics.competition import CompetitionMatcher

CUTS = (0.05, 0.1, 0.25, 0.5)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--truth", required=True, help="COCO file with the annotations.")
def main(files: tuple[Path, ...], truth: str) -> None:
    """Print competition_map50 of each FILE as it is and with each mistake."""
    dataset = read_coco(truth)
    for path in files:
        names = read_text_table(path)["image_id"].to_list()
        own = dataset.subset(np.array([dataset.image_id_of_file_name[name] for name in names]))
        predictions = read_predictions(path, own).sorted_by_score()
        before = map50(predictions, own)
        print(f"{path.name}: {len(own.images)} images, {len(predictions)} boxes, {before:.4f}")
        for name, changed in with_mistakes(predictions):
            score = map50(changed, own)
            print(f"  {name:<28} {len(changed):>7} boxes  {score:.4f}  {score - before:+.4f}")


def with_mistakes(predictions: Predictions) -> Iterator[tuple[str, Predictions]]:
    """Yield the name of each mistake and the boxes with it; `predictions` sorted by score."""
    yield "rising scores", rising(predictions)
    for threshold in CUTS:
        yield f"cut at {threshold:g}", predictions.filtered(predictions.reaches(threshold))
    yield "width and height as corner", sides_as_corners(predictions)


def rising(predictions: Predictions) -> Predictions:
    """Return the same boxes, each image's in rising order of score."""
    order = np.lexsort((predictions.scores, predictions.image_index_of_row))
    return replace(
        predictions,
        labels=predictions.labels[order],
        scores=predictions.scores[order],
        boxes_xyxy=predictions.boxes_xyxy[order],
        views=predictions.views[order],
        row_order="file",
    )


def sides_as_corners(predictions: Predictions) -> Predictions:
    """Return boxes whose second corner is (width, height), empty where that is inside out."""
    boxes = predictions.boxes_xyxy
    second = np.maximum(boxes[:, 2:] - boxes[:, :2], boxes[:, :2])
    return replace(predictions, boxes_xyxy=np.concatenate([boxes[:, :2], second], axis=1))


def map50(predictions: Predictions, truth: CocoDataset) -> float:
    """Return competition_map50."""
    return CompetitionMatcher.from_predictions(predictions, truth).mean_average_precision()


if __name__ == "__main__":
    main()
