"""Copy a dataset with its pictures repaired: what is done to each, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_tools.coco.dataset import CocoDataset, read_coco, write_coco
from data_tools.ground.errors import UserError
from data_tools.ground.whole.staging import is_unfinished, staged_files
from data_tools.ground.whole.temporaries import sweep
from data_tools.pictures.facts import ImageFacts, read_image_facts
from data_tools.pictures.orientation import UPRIGHT, is_annotated_as_shown, shown_size
from data_tools.pictures.repair.picture import rescued, turned, without_mark

Frame = Literal["shown", "stored"]


@dataclass
class RepairReport:
    """What became of the pictures.

    Attributes:
        out: the new data root.
        images: entries of its annotation files.
        unchanged: pictures copied byte for byte.
        turned: names of pictures whose pixels were turned as EXIF says.
        marks_removed: names of pictures whose EXIF mark was removed; their pixels are the same.
        rescued: share of rows that is missing, by name of a picture written anew.
        left_out: reason, by name of a picture that is not in the copy.
        kept_broken: reason, by name of a picture to be predicted: copied as it is, since a
            submission needs its row.
        boxes_left_out: annotations of pictures that are left out.
        other_size: names of pictures of another size than annotated, which nothing explains.
    """

    out: Path
    images: int = 0
    unchanged: int = 0
    turned: list[str] = field(default_factory=list)
    marks_removed: list[str] = field(default_factory=list)
    rescued: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    kept_broken: dict[str, str] = field(default_factory=dict)
    boxes_left_out: int = 0
    other_size: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What the terminal shows."""
        lines = [f"{self.out}: {self.images} images, {self.unchanged} unchanged"]
        for names, what in (
            (self.turned, "turned as EXIF says; their boxes are of the turned picture"),
            (self.marks_removed, "without their EXIF mark; their boxes are of the stored pixels"),
            (self.other_size, "of another size than annotated: copied as they are"),
        ):
            lines += [f"  {len(names)} {what}"] if names else []
        lines += [
            f"  {name}: written anew, {100 * share:.1f}% of its rows are missing"
            for name, share in self.rescued.items()
        ]
        for name, reason in self.left_out.items():
            lines.append(f"  {name}: left out, {reason}")
        if self.left_out:
            lines.append(f"  {self.boxes_left_out} boxes left out with them")
        for name, reason in self.kept_broken.items():
            lines.append(f"  {name}: to be predicted, kept as it is, {reason}")
        return "\n".join(lines)


def repair_dataset(
    coco_paths: Sequence[Path],
    image_root: Path,
    out: Path,
    *,
    boxes: Frame | None = None,
    tick: Callable[[int], None] = lambda total: None,
) -> RepairReport:
    """Write a copy of a dataset whose pictures decode and are stored as they were annotated.

    Annotations keep their sizes and boxes; pixels move into the frame that was annotated.

    Args:
        coco_paths: its annotation files; they are written to `out` under their own names.
        image_root: what `file_name` is relative to.
        out: new data root; absent or empty.
        boxes: frame of the boxes of pictures whose size does not tell it (squares, and pictures
            that EXIF mirrors or turns upside down); None takes that of the others.
        tick: called after each picture with the number of all.

    Raises:
        UserError: a file is missing or no COCO file, `out` holds something, a picture to be
            predicted is missing, or nothing tells which frame was annotated.
    """
    if out.is_dir():
        sweep(out)
    # Files that a killed run has moved in part are those that this one writes.
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not is_unfinished(out))):
        raise UserError(
            "the output exists already",
            where=out,
            expected="a new or empty folder",
            next_step="choose another --out, or remove it",
        )
    datasets = {path.name: read_coco(path) for path in coco_paths}
    if len(datasets) < len(coco_paths):
        raise UserError("two annotation files have the same name", expected="different names")
    sizes = {
        image["file_name"]: (image["width"], image["height"])
        for dataset in datasets.values()
        for image in dataset.images
    }
    names = list(sizes)
    facts = read_image_facts(image_root, names, pixels="all", tick=lambda: tick(len(names)))
    frames = _frames(facts, sizes, boxes)
    to_predict = _names_without_truth(datasets.values())
    _refuse_missing(facts, to_predict, image_root)
    report = RepairReport(out)
    with staged_files(out, marker=next(iter(datasets))) as stage:
        for fact in facts:
            content = _repaired(fact, image_root, frames, fact.file_name in to_predict, report)
            if content is not None:
                target = stage / fact.file_name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            if fact.size_wh and fact.file_name not in frames and _differs(fact, sizes):
                report.other_size.append(fact.file_name)
        for name, dataset in datasets.items():
            kept = [i["id"] for i in dataset.images if i["file_name"] not in report.left_out]
            smaller = dataset.subset(kept)
            report.images += len(smaller.images)
            report.boxes_left_out += len(dataset.annotations) - len(smaller.annotations)
            write_coco(stage / name, smaller)
    return report


def _names_without_truth(datasets: Iterable[CocoDataset]) -> set[str]:
    """Return the names in files without boxes: pictures to be predicted."""
    return {name for each in datasets if not each.annotations for name in each.file_names}


def _refuse_missing(facts: Sequence[ImageFacts], to_predict: set[str], image_root: Path) -> None:
    missing = [f.file_name for f in facts if f.problem == "missing" and f.file_name in to_predict]
    if missing:
        raise UserError(
            f"{len(missing)} pictures to be predicted are missing, the first is {missing[0]}",
            where=image_root,
            expected="a file for every picture: a submission needs its row",
            next_step="unpack all pictures, or give the right folder",
        )


def _differs(fact: ImageFacts, sizes: dict[str, tuple[int, int]]) -> bool:
    return fact.size_wh != sizes[fact.file_name]


def _frames(
    facts: Sequence[ImageFacts], sizes: dict[str, tuple[int, int]], given: Frame | None
) -> dict[str, Frame]:
    """Return which frame each picture with an EXIF mark was annotated in."""
    frames: dict[str, Frame] = {}
    unclear = []
    for fact in facts:
        if fact.size_wh is None or fact.orientation == UPRIGHT:
            continue
        annotated = sizes[fact.file_name]
        if is_annotated_as_shown(annotated, fact.size_wh, fact.orientation):
            frames[fact.file_name] = "shown"
        elif annotated == fact.size_wh:
            if shown_size(fact.size_wh, fact.orientation) == fact.size_wh:
                unclear.append(fact.file_name)
            else:
                frames[fact.file_name] = "stored"
    known = set(frames.values())
    if unclear and given is None and len(known) != 1:
        raise UserError(
            f"{len(unclear)} pictures have an EXIF mark, and their size does not tell whether they "
            f"were annotated as shown or as stored; the first is {unclear[0]}",
            expected="--boxes shown (most annotation tools) or --boxes stored",
            next_step="look at one: where its boxes fit the picture as programs show it, add "
            "--boxes shown",
        )
    frame: Frame = given or ("shown" if "shown" in known else "stored")
    frames.update((name, frame) for name in unclear)
    return frames


def _repaired(
    fact: ImageFacts,
    image_root: Path,
    frames: dict[str, Frame],
    is_to_predict: bool,
    report: RepairReport,
) -> bytes | None:
    """Return the bytes to write for a picture and note in the report what was done."""
    name = fact.file_name
    content = _read(image_root / name)
    if fact.problem is not None or content is None:
        whole = rescued(content) if content else None
        if whole is None:
            if is_to_predict and content is not None:
                report.kept_broken[name] = str(fact.problem)
                return content
            report.left_out[name] = str(fact.problem)
            return None
        content, report.rescued[name] = whole
    frame = frames.get(name)
    if frame == "shown":
        report.turned.append(name)
        return turned(content)
    if frame == "stored":
        report.marks_removed.append(name)
        return without_mark(content)
    report.unchanged += name not in report.rescued
    return content


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
