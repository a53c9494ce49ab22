"""YOLO text files: `class x_centre y_centre width height`, as fractions of the image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from data_tools.coco.dataset import CocoDataset
from data_tools.convert.assemble import BoxEntry, ImageEntry, Imported, assemble
from data_tools.convert.class_files import CLASSES_FILE, find_class_names
from data_tools.convert.picture_files import image_entry, image_files, is_hidden
from data_tools.ground.errors import UserError
from data_tools.ground.text_tables import decoded
from data_tools.ground.whole.staging import refuse_incomplete, staged_files

_POLYGONS = "boxes drawn around polygons"
_WITH_SCORE = "lines with a score behind the box: read as boxes"


def coco_from_yolo(labels: Path, image_root: Path) -> Imported:
    """Read YOLO labels of all images under a folder; an image without a text file has no boxes.

    A line of a polygon (class and three or more points) becomes the box around it. Text files that
    are no labels, such as a read-me or a list of images, are passed over and counted.

    Args:
        labels: folder of `.txt` files named like the images, with the class names, see
            `find_class_names`.
        image_root: folder of the images.

    Raises:
        UserError: no images, no classes, labels of no image or of two, or a line that is no box.
    """
    refuse_incomplete(labels / CLASSES_FILE)
    class_names, _ = find_class_names(labels)
    names = image_files(image_root)
    if not names:
        raise UserError("there are no images", where=image_root, expected="JPEG or PNG files")
    notes: Counter[str] = Counter()
    _pass_over_other_files(labels, names, image_root, notes)
    _refuse_shared_names([name for name in names if (labels / _label_name(name)).is_file()], labels)
    images = [image_entry(image_root, name) for name in names]
    boxes = [box for image in images for box in _boxes(labels, image, class_names, notes)]
    return assemble(images, boxes, class_names, labels, notes)


def _pass_over_other_files(
    labels: Path, names: list[str], image_root: Path, notes: Counter[str]
) -> None:
    known = {_label_name(name) for name in names} | {PurePosixPath(CLASSES_FILE)}
    found = {PurePosixPath(path.relative_to(labels).as_posix()) for path in labels.rglob("*.txt")}
    others = sorted(path for path in found - known if not is_hidden(path))
    lost = [path for path in others if holds_labels(labels / path)]
    if lost:
        raise UserError(
            f"{len(lost)} label files belong to no image under {image_root}",
            where=labels / lost[0],
            expected="label files in the same folders, and with the same names, as the images",
            next_step="give the folder of the images with --data",
        )
    if others:
        notes["text files that are no labels: passed over"] += len(others)


def holds_labels(path: Path) -> bool:
    """Say whether a text file is one of labels: empty, or begins with five numbers or more."""
    try:
        text = path.read_bytes()[:4096].decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    first = next((line.split() for line in text.splitlines() if line.strip()), None)
    if first is None:
        return True
    try:
        return len([float(word) for word in first]) >= 5
    except ValueError:
        return False


def _boxes(
    labels: Path, image: ImageEntry, class_names: list[str], notes: Counter[str]
) -> list[BoxEntry]:
    path = labels / _label_name(image.file_name)
    if not path.is_file():
        return []
    lines = decoded(path.read_bytes(), path).splitlines()
    return [
        _box(line, f"{path}, line {number}", image, class_names, notes)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _box(
    line: str, where: str, image: ImageEntry, class_names: list[str], notes: Counter[str]
) -> BoxEntry:
    try:
        label, *numbers = (float(word) for word in line.split())
        class_name = class_names[int(label)] if label >= 0 and label == label // 1 else ""
    except (ValueError, IndexError, OverflowError):
        class_name, numbers = "", []
    corners = _corners(numbers, notes)
    if not class_name or corners is None:
        raise UserError(
            f"the line is {line!r}",
            where=where,
            expected=f"class (0 to {len(class_names) - 1}), x, y, width, height",
        )
    across, down = image.size_wh
    left, top, right, bottom = (
        value * size for value, size in zip(corners, (across, down, across, down), strict=True)
    )
    return BoxEntry(image.file_name, class_name, (left, top, right, bottom))


def _corners(numbers: list[float], notes: Counter[str]) -> tuple[float, ...] | None:
    """Return the corners, as fractions, of a box, a box with a score, or a polygon."""
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        notes[_POLYGONS] += 1
        across, down = numbers[0::2], numbers[1::2]
        return min(across), min(down), max(across), max(down)
    if len(numbers) == 5 and 0 <= numbers[4] <= 1:
        notes[_WITH_SCORE] += 1
        numbers = numbers[:4]
    if len(numbers) != 4:
        return None
    x, y, width, height = numbers
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def write_yolo(out: Path, dataset: CocoDataset, *, overwrite: bool = False) -> int:
    """Write a text file per image and `classes.txt`; return the number of boxes.

    Classes are numbered by their order in the COCO file, from 0; of names that stand twice, each is
    written with its category id.

    Args:
        out: folder for the files.
        dataset: what to write.
        overwrite: replace labels of other images that are there.

    Raises:
        UserError: two images would share a file, or the folder holds files that would mix with
            these or be lost.
    """
    index = {label: number for number, label in enumerate(dataset.category_ids.tolist())}
    names = [_label_name(name) for name in dataset.file_names]
    _refuse_shared_names(dataset.file_names, dataset.source)
    stale = _stale_labels(out, {*names, PurePosixPath(CLASSES_FILE)}, overwrite)
    with staged_files(out, marker=CLASSES_FILE, obsolete=stale) as stage:
        classes = "".join(f"{name}\n" for name in _class_lines(dataset))
        (stage / CLASSES_FILE).write_text(classes, encoding="utf-8")
        for image, name in zip(dataset.images, names, strict=True):
            rows = dataset.annotation_rows_of_image_id[image["id"]]
            lines = [
                _line(index[int(dataset.labels[row])], dataset.boxes_xywh[row].tolist(), image)
                for row in rows
            ]
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).write_text("".join(lines), encoding="utf-8")
    return len(dataset.annotations)


def _class_lines(dataset: CocoDataset) -> Sequence[str]:
    names = dataset.distinct_category_names
    bad = [name for name in names if name != name.strip() or not name or not name.isprintable()]
    bad += [name for name, count in Counter(names).items() if count > 1]
    if bad:
        raise UserError(
            f"the class {bad[0]!r} cannot stand on a line of {CLASSES_FILE}",
            where=dataset.source,
            expected="different names without line breaks or spaces around them",
            next_step="rename the class in the COCO file",
        )
    return names


def _stale_labels(out: Path, written: Iterable[PurePosixPath], overwrite: bool) -> list[Path]:
    """Return label files of other images, which would mix with what is written.

    Raises:
        UserError: there are some and `overwrite` is False, or a text file that would be replaced
            holds something else than labels.
    """
    written = set(written)
    found = [path for path in out.rglob("*.txt") if path.is_file()] if out.is_dir() else []
    relative = {path: PurePosixPath(path.relative_to(out).as_posix()) for path in found}
    # A run that was killed leaves its hidden folder, which goes when the next one writes.
    texts = [path for path in found if not is_hidden(relative[path])]
    ours = PurePosixPath(CLASSES_FILE)
    foreign = [p for p in texts if relative[p] != ours and not holds_labels(p)]
    if foreign:
        raise UserError(
            f"the folder holds {len(foreign)} text files that are no labels",
            where=foreign[0],
            expected="a new folder, or one with labels only",
            next_step="choose another folder",
        )
    stale = [path for path in texts if relative[path] not in written]
    if stale and not overwrite:
        raise UserError(
            f"the folder holds {len(stale)} label files of other images",
            where=stale[0],
            expected="a new folder, or one with labels of the same images",
            next_step="choose another folder, or remove them with --overwrite",
        )
    return stale


def _label_name(file_name: str) -> PurePosixPath:
    return PurePosixPath(file_name).with_suffix(".txt")


def _refuse_shared_names(file_names: Sequence[str], source: Path | None) -> None:
    first_of_name: dict[PurePosixPath, str] = {}
    for file_name in file_names:
        name = _label_name(file_name)
        if name in first_of_name or str(name) == CLASSES_FILE:
            other = first_of_name.get(name, CLASSES_FILE)
            raise UserError(
                f"{file_name} and {other} would share the label file {name}",
                where=source,
                expected="image names that differ in more than their suffix",
            )
        first_of_name[name] = file_name


def _line(label: int, box_xywh: list[float], image: dict[str, Any]) -> str:
    left, top, width, height = box_xywh
    numbers = (
        (left + width / 2) / image["width"],
        (top + height / 2) / image["height"],
        width / image["width"],
        height / image["height"],
    )
    return f"{label} " + " ".join(f"{number:.9g}" for number in numbers) + "\n"
