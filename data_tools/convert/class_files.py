"""The class names of a YOLO tree: `classes.txt`, `obj.names` or `data.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_tools.ground.declared.parsing import load_declared
from data_tools.ground.errors import UserError
from data_tools.ground.text_tables import decoded

CLASSES_FILE = "classes.txt"
LINE_FILES = (CLASSES_FILE, "obj.names")
YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml")
# data.yaml stands beside train/ and valid/, which hold labels/.
_FOLDERS_UP = 2


def find_class_names(labels: Path) -> tuple[list[str], Path]:
    """Return the class names in the order of their numbers, and the file they come from.

    Looked for, in this order: `classes.txt` and `obj.names` in the folder of the labels, then
    `data.yaml` there and in the two folders above, then `classes.txt` and `obj.names` above.

    Raises:
        UserError: none of them is there, or a name is missing.
    """
    above = [labels, *labels.resolve().parents[:_FOLDERS_UP]]
    places = [
        *(labels / name for name in LINE_FILES),
        *(folder / name for folder in above for name in YAML_FILES),
        *(folder / name for folder in above[1:] for name in LINE_FILES),
    ]
    for path in places:
        if path.is_file():
            return (_of_yaml(path) if path.name in YAML_FILES else _of_lines(path)), path
    raise UserError(
        "the class names are not there",
        where=labels / CLASSES_FILE,
        expected="one class name per line; or obj.names, or data.yaml of the export",
    )


def _of_lines(path: Path) -> list[str]:
    """Return the lines: a class's number is the number of its line, from 0."""
    lines = [line.strip() for line in decoded(path.read_bytes(), path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise UserError(
            "a class name is empty: the classes after it would be numbered wrongly",
            where=f"{path}, line {lines.index('') + 1}",
            expected="one class name per line; the first line is class 0",
            next_step="remove the blank line if no class is meant, else write a name there",
        )
    return lines


def _of_yaml(path: Path) -> list[str]:
    content = load_declared(path)
    names: Any = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        # Keys of YAML are read as text.
        numbers = {str(number) for number in range(len(names))}
        names = [names[key] for key in sorted(names, key=int)] if set(names) == numbers else None
    valid = isinstance(names, list) and all(isinstance(name, (str, int, float)) for name in names)
    if not valid or not all(str(name).strip() for name in names):
        raise UserError(
            "the file does not name the classes",
            where=f"{path}, key `names`",
            expected="a list of names, or a mapping of 0, 1, 2, ... to names",
        )
    return [str(name).strip() for name in names]
