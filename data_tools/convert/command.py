"""`data_tools convert`: choose the converter from what is given and what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from data_tools.coco.dataset import read_coco, write_coco
from data_tools.convert.assemble import Imported
from data_tools.convert.foreign_coco.read import read_foreign_coco
from data_tools.convert.predictions import write_coco_results, write_prediction_table
from data_tools.convert.table import coco_from_table
from data_tools.convert.voc import coco_from_voc
from data_tools.convert.yolo import coco_from_yolo, write_yolo
from data_tools.ground.errors import UserError
from data_tools.ground.files import refuse_overwriting
from data_tools.predictions.files import read_predictions, write_predictions
from data_tools.predictions.formats.read import reading_format
from data_tools.predictions.misread import NAMES, BoxNumbers
from data_tools.predictions.mistakes import images_out_of_order

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
        image_root: folder of the images, where sizes or names have to be found there.
        zero_based: VOC corners count from 0.
        overwrite: replace YOLO labels of other images in the output folder.
        boxes: what the four numbers of a predicted box are, if not what the format says.
        sort_scores: write the predicted boxes of each image in descending order of score.
        format_name, format_file: the format of predictions in a CSV, see `reading_format`.
    """

    source: Path
    kind: str
    out: Path
    images: Path | None = None
    image_root: Path = Path()
    zero_based: bool = False
    overwrite: bool = False
    boxes: BoxNumbers | None = None
    sort_scores: bool = False
    format_name: str | None = None
    format_file: Path | None = None


@dataclass(frozen=True)
class Converted:
    """What was written: the file or folder, its images and boxes, boxes left out, and repairs.

    `notes` says what was assumed, repaired or passed over in the source, each with how often.
    """

    out: Path
    images: int
    boxes: int
    boxes_without_area: int = 0
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """A line for the terminal, and one for each note."""
        left_out = self.boxes_without_area
        skipped = f"; {left_out} boxes without area left out" if left_out else ""
        line = f"{self.out}: {self.images} images, {self.boxes} boxes{skipped}"
        return "\n".join([line, *(f"  {count} x {note}" for note, count in self.notes.items())])


def convert(request: ConvertRequest) -> Converted:
    """Convert and say what was written.

    Raises:
        UserError: the source is missing or broken, or the pair of formats does not exist.
    """
    if not request.source.exists():
        raise UserError(
            "the file does not exist", where=request.source, expected=f"{request.kind} data"
        )
    if not request.out.name:
        raise UserError(
            "--out names no file and no folder of its own",
            expected="a .json file (COCO) or a new folder (YOLO)",
        )
    refuse_overwriting([request.out], [request.source, request.images, request.format_file])
    if request.kind == "predictions":
        return _convert_predictions(request)
    if request.sort_scores or request.boxes:
        option = "--sort-scores" if request.sort_scores else "--boxes"
        raise UserError(
            f"{option} is for predictions, not for --from {request.kind}",
            expected="--from predictions",
        )
    if request.format_name or request.format_file:
        raise UserError("--format is about predictions", expected="--from predictions")
    imported = _read_annotations(request)
    dataset = imported.dataset
    if request.out.suffix == ".json":
        write_coco(request.out, dataset)
        boxes = len(dataset.annotations)
    elif not request.out.suffix:
        boxes = write_yolo(request.out, dataset, overwrite=request.overwrite)
    else:
        raise UserError(
            f"--out {request.out} is no annotation format",
            expected="a .json file (COCO) or a folder without suffix (YOLO)",
        )
    images, skipped = len(dataset.images), len(dataset.skipped)
    return Converted(request.out, images, boxes, skipped, imported.notes)


def _read_annotations(request: ConvertRequest) -> Imported:
    if request.kind == "coco":
        return Imported(*read_foreign_coco(request.source, request.image_root))
    if request.kind == "voc":
        return coco_from_voc(request.source, request.image_root, zero_based=request.zero_based)
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
    chosen = reading_format(request.format_name, request.format_file, [request.source])
    predictions = read_predictions(request.source, dataset, chosen, numbers=request.boxes)
    notes: dict[str, int] = {}
    if request.boxes:
        notes[f"boxes read as {NAMES[request.boxes]}"] = len(predictions)
    # A Parquet prediction file is in this order by its contract.
    if request.sort_scores or request.out.suffix == ".parquet":
        notes["images put in descending order of score"] = images_out_of_order(predictions)
        predictions = predictions.sorted_by_score()
    if request.out.suffix == ".parquet":
        write_predictions(request.out, predictions)
    elif request.out.suffix == ".json":
        write_coco_results(request.out, predictions)
    else:
        write_prediction_table(request.out, predictions, dataset)
    notes = {note: count for note, count in notes.items() if count}
    return Converted(request.out, len(predictions.image_ids), len(predictions), notes=notes)
