"""`data_tools convert`: choose the converter from what is given and what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.coco.dataset import CocoDataset, read_coco, write_coco
from data_tools.convert.predictions import (
    is_prediction_table,
    read_prediction_table,
    write_coco_results,
    write_prediction_table,
)
from data_tools.convert.table import coco_from_table
from data_tools.convert.voc import coco_from_voc
from data_tools.convert.yolo import coco_from_yolo, write_yolo
from data_tools.ground.errors import UserError
from data_tools.ground.files import refuse_overwriting
from data_tools.predictions.files import read_predictions, write_predictions
from data_tools.predictions.table import Predictions

PREDICTION_SUFFIXES = (".parquet", ".json", ".csv")


@dataclass(frozen=True)
class ConvertRequest:
    """One call of `data_tools convert`.

    Attributes:
        source: file or folder to read.
        kind: "coco", "voc", "yolo", "csv" (annotations) or "predictions".
        out: what to write: a `.json` (COCO) or a folder (YOLO) for annotations; `.parquet`,
            `.json` (COCO results) or `.csv` (table) for predictions.
        images: COCO file of the predicted images.
        image_root: folder of the images, where sizes have to be read from them.
        zero_based: VOC corners count from 0.
    """

    source: Path
    kind: str
    out: Path
    images: Path | None = None
    image_root: Path = Path()
    zero_based: bool = False


@dataclass(frozen=True)
class Converted:
    """What was written: the file or folder, its images and boxes, and boxes left out."""

    out: Path
    images: int
    boxes: int
    boxes_without_area: int = 0

    @property
    def text(self) -> str:
        """One line for the terminal."""
        left_out = self.boxes_without_area
        skipped = f"; {left_out} boxes without area left out" if left_out else ""
        return f"{self.out}: {self.images} images, {self.boxes} boxes{skipped}"


def convert(request: ConvertRequest) -> Converted:
    """Convert and say what was written.

    Raises:
        UserError: the source is missing or broken, or the pair of formats does not exist.
    """
    if not request.source.exists():
        raise UserError(
            "the file does not exist", where=request.source, expected=f"{request.kind} data"
        )
    refuse_overwriting([request.out], [request.source, request.images])
    if request.kind == "predictions":
        return _convert_predictions(request)
    dataset = _read_annotations(request)
    if request.out.suffix == ".json":
        write_coco(request.out, dataset)
        boxes = len(dataset.annotations)
    elif not request.out.suffix:
        boxes = write_yolo(request.out, dataset)
    else:
        raise UserError(
            f"--out {request.out} is no annotation format",
            expected="a .json file (COCO) or a folder without suffix (YOLO)",
        )
    return Converted(request.out, len(dataset.images), boxes, len(dataset.skipped))


def _read_annotations(request: ConvertRequest) -> CocoDataset:
    if request.kind == "coco":
        return read_coco(request.source)
    if request.kind == "voc":
        return coco_from_voc(request.source, zero_based=request.zero_based)
    if request.kind == "yolo":
        return coco_from_yolo(request.source, request.image_root)
    return coco_from_table(request.source, request.image_root)


def _convert_predictions(request: ConvertRequest) -> Converted:
    if request.out.suffix not in PREDICTION_SUFFIXES:
        raise UserError(
            f"--out {request.out} is no prediction format",
            expected=f"one of {', '.join(PREDICTION_SUFFIXES)}",
            next_step="a submission is written by `python -m submit write`",
        )
    if request.images is None:
        raise UserError(
            "the images that were predicted are not given",
            expected="--images data/test.json (or the fold's val_<k>.json)",
        )
    dataset = read_coco(request.images)
    predictions = _read_any_predictions(request.source, dataset)
    if request.out.suffix == ".parquet":
        write_predictions(request.out, predictions)
    elif request.out.suffix == ".json":
        write_coco_results(request.out, predictions)
    else:
        write_prediction_table(request.out, predictions, dataset)
    return Converted(request.out, len(predictions.image_ids), len(predictions))


def _read_any_predictions(source: Path, dataset: CocoDataset) -> Predictions:
    if source.suffix == ".csv" and is_prediction_table(source):
        return read_prediction_table(source, dataset)
    return read_predictions(source, dataset)
