"""Submission CSVs `PredictionString,image_id` as whole columns, in both directions.

The column helpers at the end serve every other submission format too (`submit.formats.catalogue`).
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.errors import UserError
from data_tools.ground.files import whole_file
from data_tools.ground.text_tables import decoded, unpacked
from data_tools.predictions.misread import BoxNumbers, built_as_meant
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import Predictions, predictions_from_rows

if TYPE_CHECKING:
    import polars as pl

HEADER = ("PredictionString", "image_id")
FIELDS_PER_BOX = 6
LONGEST_HEADER = 100


def read_submission_csv(
    path: str | Path, dataset: CocoDataset, numbers: BoxNumbers | None = None
) -> Predictions:
    """Read `label score xmin ymin xmax ymax ` strings; rows keep the order of the file.

    Accepts a trailing space or none, and empty or NaN strings for images without boxes.

    Args:
        path: `.csv` or `.csv.gz`.
        dataset: the images that the file is about, joined by `file_name`.
        numbers: as in `in_context`.

    Raises:
        UserError: wrong header, an unknown or repeated image, a string that is no list of boxes.
    """
    import polars as pl

    path = Path(path)
    table = read_text_table(path)
    if sorted(table.columns) != sorted(HEADER):
        raise UserError(
            f"the header is {header_text(table.columns)!r}",
            where=path,
            expected=",".join(HEADER),
            next_step="is it another format? `python -m submit formats` lists those that "
            "`submit score --format` reads",
        )
    image_ids = image_ids_of_names(
        table["image_id"].to_list(), dataset.image_id_of_file_name, path, dataset
    )
    fields, counts = split_boxes(
        table["PredictionString"],
        FIELDS_PER_BOX,
        where=path,
        image_names=table["image_id"],
        expected="six for each box: label score xmin ymin xmax ymax",
    )
    labels = to_numbers(fields[0], pl.Int64, "label", path)
    scores, *corners = [to_numbers(field, pl.Float64, "number", path) for field in fields[1:]]
    return in_context(
        path,
        dataset,
        np.repeat(image_ids, counts),
        labels,
        scores,
        np.stack(corners, axis=1),
        numbers=numbers,
    )


def read_text_table(path: str | Path) -> pl.DataFrame:
    """Read a CSV (`.csv` or `.csv.gz`) with a header, every column as text, nulls as ""."""
    import polars as pl

    path = Path(path)
    try:
        content = unpacked(path)
    except FileNotFoundError:
        raise UserError("the file does not exist", where=path, expected="a CSV file") from None
    try:
        table = pl.read_csv(content, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        decoded(content, path)  # not being UTF-8 is the commonest reason, and has its own message
        raise UserError(
            f"the file is not a valid CSV ({str(error).splitlines()[0]})",
            where=path,
            expected="a header and one row per image or box",
            next_step="write it again: it may have been cut off",
        ) from None
    return table.with_columns(pl.all().fill_null(""))


def header_text(columns: Sequence[str]) -> str:
    """Return a header as a message can show it: a file that is not a CSV has a very long one."""
    text = ",".join(columns)
    return text if len(text) <= LONGEST_HEADER else f"{text[:LONGEST_HEADER]}..."


def write_text_table(path: str | Path, table: pl.DataFrame) -> None:
    """Write a table as CSV (gzipped if the name ends in `.gz`), whole or not at all."""
    import polars as pl

    path = Path(path)

    # An empty text would be written as "", which a simple reader takes for two quotes.
    bare = table.with_columns(pl.when(pl.all() == "").then(None).otherwise(pl.all()).name.keep())
    content = bare.write_csv(line_terminator="\n").encode()
    with whole_file(path) as temporary:
        packed = gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content
        temporary.write_bytes(packed)


def image_ids_of_names(
    names: Sequence[str],
    image_id_of_name: dict[str, int],
    path: Path,
    dataset: CocoDataset,
) -> np.ndarray:
    """Return the (N,) image id of each name; unknown or repeated names are an error."""
    unknown = [name for name in names if name not in image_id_of_name]
    repeated = len(names) - len(set(names))
    if unknown or repeated:
        first = f", the first is {unknown[0]!r}" if unknown else ""
        raise UserError(
            f"{len(unknown)} images are not in the dataset, {repeated} are repeated{first}",
            where=path,
            expected=f"each image of {dataset.source} at most once",
            next_step="give the COCO file that this submission was written for; "
            "`python -m submit check` lists everything that is wrong",
        )
    return np.array([image_id_of_name[name] for name in names], dtype=np.int64)


def split_boxes(
    strings: pl.Series,
    fields_per_box: int,
    *,
    where: Path,
    image_names: pl.Series,
    expected: str,
) -> tuple[list[pl.Series], np.ndarray]:
    """Split one string per image into one text column per field.

    Args:
        strings: (I,) numbers separated by white space; empty or NaN means no boxes.
        fields_per_box: numbers that make up a box.
        where, image_names, expected: for the message when a string does not divide into boxes.

    Returns:
        The `fields_per_box` columns, each (N,), and the (I,) number of boxes of each image.
    """
    import polars as pl

    cleaned = strings.str.strip_chars().str.replace_all(r"\s+", " ")
    is_empty = (cleaned == "") | (cleaned.str.to_lowercase() == "nan")
    tokens = cleaned.set(is_empty, None).str.split(" ")
    lengths = tokens.list.len().fill_null(0).to_numpy()
    wrong = np.flatnonzero(lengths % fields_per_box)
    if len(wrong):
        raise UserError(
            f"{lengths[wrong[0]]} numbers in a PredictionString ({len(wrong)} such images)",
            where=f"{where}, image {image_names[int(wrong[0])]}",
            expected=expected,
        )
    flat = tokens.drop_nulls().explode() if lengths.any() else pl.Series([], dtype=pl.String)
    fields = [flat.gather_every(fields_per_box, field) for field in range(fields_per_box)]
    return fields, lengths // fields_per_box


def join_boxes(
    columns: Sequence[pl.Series], counts: np.ndarray, *, trailing_space: bool
) -> pl.Series:
    """Return one string per image from one column per field; the inverse of `split_boxes`.

    Args:
        columns: each (N,), rows grouped by image.
        counts: (I,) boxes of each image.
        trailing_space: end each string that is not empty with a space.
    """
    import polars as pl

    named = {str(place): column for place, column in enumerate(columns)}
    boxes = pl.DataFrame(named).select(pl.concat_str(pl.all(), separator=" "))
    image = pl.Series("image", np.repeat(np.arange(len(counts)), counts))
    grouped = (
        boxes.to_series()
        .alias("box")
        .to_frame()
        .with_columns(image)
        .group_by("image", maintain_order=True)
        .agg(pl.col("box").str.join(" "))
    )
    end = " " if trailing_space else ""
    strings = np.full(len(counts), "", dtype=object)
    strings[grouped["image"].to_numpy()] = (grouped["box"] + end).to_numpy()
    return pl.Series(strings, dtype=pl.String)


def to_numbers(
    texts: pl.Series, dtype: type[pl.DataType], field: str, where: str | Path
) -> np.ndarray:
    """Return a text column as numbers; what is no number is named in the error."""
    import polars as pl

    values = texts.cast(dtype, strict=False)
    if values.null_count() and dtype == pl.Int64:
        # Some tools print class numbers as 3.0.
        decimals = texts.cast(pl.Float64, strict=False)
        whole = decimals.is_not_null() & (decimals == decimals.round())
        values = decimals.set(~whole.fill_null(False), None).cast(dtype, strict=False)
    if values.null_count():
        place = int(values.is_null().arg_max() or 0)
        raise UserError(
            f"{values.null_count()} values are no valid {field}, the first is {texts[place]!r}",
            where=f"{where}, box {place}",
            expected="a whole number" if dtype == pl.Int64 else "a number",
        )
    return values.to_numpy()


def in_context(
    path: Path,
    dataset: CocoDataset,
    row_image_ids: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    boxes_xyxy: np.ndarray,
    stated_sides_wh: np.ndarray | None = None,
    numbers: BoxNumbers | None = None,
) -> Predictions:
    """Build `Predictions` in file order; a broken row's message names the file.

    Args:
        numbers: what the four numbers of a box are; None: what the format says they are.

    Raises:
        MisreadBoxes: nobody said what the numbers are, and they fit otherwise only.
    """

    def build(boxes_xyxy: np.ndarray, sides_wh: np.ndarray | None) -> Predictions:
        try:
            return predictions_from_rows(
                dataset.image_ids,
                row_image_ids,
                labels,
                scores,
                boxes_xyxy,
                provenance=Provenance(dataset=dataset.fingerprint, run=path.name.split(".")[0]),
                row_order="file",
                stated_sides_wh=sides_wh,
            )
        except UserError as error:
            where = f"{path}, {error.where}" if error.where else path
            raise UserError(
                error.what, where=where, expected=error.expected, next_step=error.next_step
            ) from None

    if not np.isin(row_image_ids, dataset.image_ids).all():
        return build(boxes_xyxy, stated_sides_wh)  # refuses them
    order = np.argsort(dataset.image_ids)
    image_of_row = order[np.searchsorted(dataset.image_ids, row_image_ids, sorter=order)]
    sizes_wh = dataset.sizes_wh[image_of_row]
    return built_as_meant(build, boxes_xyxy, stated_sides_wh, sizes_wh, path, numbers)
