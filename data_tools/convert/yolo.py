"""YOLO text files: `class x_centre y_centre width height`, as fractions of the image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from data_tools.coco.dataset import CocoDataset
from data_tools.convert.assemble import BoxEntry, ImageEntry, assemble, image_files, image_size
from data_tools.ground.errors import UserError
from data_tools.ground.whole.staging import refuse_incomplete, staged_files

CLASSES_FILE = "classes.txt"


def coco_from_yolo(labels: Path, image_root: Path) -> CocoDataset:
    """Read YOLO labels of all images under a folder; an image without a text file has no boxes.

    Args:
        labels: folder of `.txt` files named like the images, with `classes.txt` (one name a line).
        image_root: folder of the images.

    Raises:
        UserError: no images, no classes, labels of no image or of two, or a line that is not five
            numbers.
    """
    refuse_incomplete(labels / CLASSES_FILE)
    class_names = _class_names(labels)
    names = image_files(image_root)
    if not names:
        raise UserError("there are no images", where=image_root, expected="JPEG or PNG files")
    _refuse_labels_without_image(labels, names, image_root)
    _refuse_shared_names([name for name in names if (labels / _label_name(name)).is_file()], labels)
    images = [ImageEntry(name, image_size(image_root, name)) for name in names]
    boxes = [box for image in images for box in _boxes(labels, image, class_names)]
    return assemble(images, boxes, class_names, labels)


def _refuse_labels_without_image(labels: Path, names: list[str], image_root: Path) -> None:
    known = {_label_name(name) for name in names}
    found = {PurePosixPath(path.relative_to(labels).as_posix()) for path in labels.rglob("*.txt")}
    lost = sorted(found - known - {PurePosixPath(CLASSES_FILE)})
    if lost:
        raise UserError(
            f"{len(lost)} label files belong to no image under {image_root}",
            where=labels / lost[0],
            expected="label files in the same folders, and with the same names, as the images",
            next_step="give the folder of the images with --data",
        )


def _class_names(labels: Path) -> list[str]:
    path = labels / CLASSES_FILE
    if not path.is_file():
        raise UserError(
            "the class names are not there", where=path, expected="one class name per line"
        )
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _boxes(labels: Path, image: ImageEntry, class_names: list[str]) -> list[BoxEntry]:
    path = labels / _label_name(image.file_name)
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        _box(line, f"{path}, line {number}", image, class_names)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _box(line: str, where: str, image: ImageEntry, class_names: list[str]) -> BoxEntry:
    try:
        label, x, y, width, height = (float(word) for word in line.split())
        class_name = class_names[int(label)] if label >= 0 and label == label // 1 else ""
    except (ValueError, IndexError):
        class_name = ""
    if not class_name:
        raise UserError(
            f"the line is {line!r}",
            where=where,
            expected=f"class (0 to {len(class_names) - 1}), x, y, width, height",
        )
    across, down = image.size_wh
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    left, top, right, bottom = (
        value * size for value, size in zip(corners, (across, down, across, down), strict=True)
    )
    return BoxEntry(image.file_name, class_name, (left, top, right, bottom))


def write_yolo(out: Path, dataset: CocoDataset) -> int:
    """Write a text file per image and `classes.txt`; return the number of boxes.

    Classes are numbered by their order in the COCO file, from 0.
    """
    index = {label: number for number, label in enumerate(dataset.category_ids.tolist())}
    names = [_label_name(name) for name in dataset.file_names]
    _refuse_shared_names(dataset.file_names, dataset.source)
    with staged_files(out, marker=CLASSES_FILE) as stage:
        classes = "".join(f"{name}\n" for name in dataset.category_names)
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


def _line(label: int, box_xywh: list[float], image: dict) -> str:
    left, top, width, height = box_xywh
    numbers = (
        (left + width / 2) / image["width"],
        (top + height / 2) / image["height"],
        width / image["width"],
        height / image["height"],
    )
    return f"{label} " + " ".join(f"{number:.9g}" for number in numbers) + "\n"
