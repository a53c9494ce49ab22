"""Command lines that work in the world: the examples of `--help`, more kinds of file, more options.

Examples come first, so that a new command and a renamed option are covered as soon as their help
shows them. What is written goes to `out/`.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import click

from tests.builders.documented_commands import EXAMPLES, join_continued_lines
from tests.robustness.commands import Command
from tests.robustness.mutations.values import Traps, odd_number, odd_text
from tests.robustness.world import TINY_TRAINING

OUTPUTS = frozenset({"out", "json_out", "json_file", "picture"})
# A command that would train for long is asked for its plan, or trains the tiny model.
ADDED = {
    "experiments run": "--dry-run",
    "experiments report": "--out out/report.html --samples 100 --pictures 2",
    "experiments compare": "--samples 100",
    "models train": TINY_TRAINING,
    "models train yolo11": "--epochs 2 --batch 4 --workers 0 --device cpu "
    "--set image_size_wh=[64,64]",
    "models predict": "--device cpu --workers 0 --allow-unfinished",
    "data_tools sample": "--train-images 4 --test-images 2 --size 64",
    "submit score": "",
}
# Where a command writes only when the figures ask for it: a new best score.
SOMETIMES = {"experiments report": ("work/history",), "workflow report": ("work/history",)}
# They start the whole test suite, this one, or hours of training.
NEVER = tuple(f"workflow {rule}" for rule in ("test", "torture", "lint", "reference", "train"))
PREDICTIONS = (
    "work/ensemble/val.parquet", "work/runs/yolox/fold3/predictions/val.parquet",
    "work/ensemble/test.parquet", "work/submission.csv", "files/submission.csv.gz",
    "files/results.json", "files/results.json.gz",
)  # fmt: skip
TRUTHS = ("work/folds/val_3.json", "data/train.json", "data/hidden/test_truth.json")
# Lines beside the examples, for kinds of file that no example reads. A line that a command does
# not take (any more) is left out by the discovery below.
MORE = r"""
data_tools convert files/voc --from voc --image-root data --out out/voc.json
data_tools convert files/boxes.csv --from csv --image-root data --out out/csv.json
data_tools convert files/results.json --from predictions --images data/test.json --out \
    out/p.parquet
data_tools convert work/submission.csv --from predictions --images data/test.json --out out/p.json
data_tools convert files/train.json.gz --from coco --out out/labels
data_tools stats files/train.json.gz
submit check files/kaggle.csv --images data/test.json --format kaggle
submit check files/rows.csv --images data/test.json --format rows
submit check files/submission.csv.gz --images data/test.json
submit check files/results.json --images data/test.json --format coco
submit formats --format-file files/formats.yaml
submit write work/ensemble/test.parquet --images data/test.json --out out/mine.csv \
    --format mine --format-file files/formats.yaml
submit score work/submission.csv --truth data/hidden/test_truth.json
submit score work/ensemble/test.parquet --truth data/hidden/test_truth.json
submit score files/results.json --truth data/hidden/test_truth.json
submit score files/kaggle.csv --truth data/hidden/test_truth.json --format kaggle
submit table work/submission.csv files/results.json --truth data/hidden/test_truth.json
submit diagnose work/submission.csv --truth data/hidden/test_truth.json
submit plan work/submission.csv --truth data/hidden/test_truth.json
ensemble fuse work/submission.csv files/results.json --images data/test.json --out out/f.parquet
ensemble fuse work/ensemble/val.parquet work/runs/yolox/fold3/predictions/val.parquet \
    --images work/folds/val_3.json --out out/f.parquet --settings files/settings.json
ensemble audit --members work/submission.csv --members files/results.json --truth \
    data/hidden/test_truth.json
experiments list --work work
workflow split DATA=data WORK=out/another
workflow verify DATA=data WORK=work
workflow fuse DATA=data WORK=work FOLD=3 MEMBERS=tiny IOU=0.5
workflow score DATA=data WORK=work FOLD=3 MEMBERS=tiny
workflow submit DATA=data WORK=work FOLD=3 MEMBERS=tiny
workflow submit DATA=data WORK=work FOLD=3 MEMBERS=tiny FORMAT=kaggle
workflow pseudo DATA=data WORK=work FOLD=3 MEMBERS=tiny
workflow report DATA=data WORK=work FOLD=3 MEMBERS=tiny
models train yolox --data data --fold 3 --scale smoke --name again --resume
models train yolo11 --data data --fold 3 --scale smoke --name unrepeatable --resume
models predict work/runs/tiny/fold3 --split val --split test --data data
models predict work/runs/tiny/fold3 --split val --out out/tiny.parquet
"""


@dataclass
class Line:
    """One way to call a command, as it was seen to work.

    Attributes:
        command: what is called.
        arguments: the words after it.
        seconds: time it took.
        written: names in the world that it wrote or changed.
        read: names in the world that it names or that it was seen to open.
    """

    command: Command
    arguments: list[str]
    seconds: float = 0.0
    written: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The line as a person types it."""
        return f"python -m {self.command.name} {shlex.join(self.arguments)}"

    def may_write(self, name: str) -> bool:
        """Whether a name in the world is where this line writes when nothing is wrong."""
        folders = {str(Path(written).parent) for written in self.written} | {"out"}
        folders |= set(SOMETIMES.get(self.command.name, ()))
        allowed = (folders - {"."}) | set(filter(None, self.written))
        return any(name == place or name.startswith(f"{place}/") for place in allowed)


def candidate_lines(commands: Sequence[Command]) -> list[Line]:
    """Return every line worth trying, before any has been run."""
    lines = []
    for command in commands:
        if command.name in NEVER:
            continue
        for words in (*_examples(command), *_more(command)):
            lines.append(Line(command, _redirected(command, words)))  # noqa: PERF401 - two loops
    return lines


def _examples(command: Command) -> list[list[str]]:
    text = f"{command.click_command.help or ''}\n{command.click_command.epilog or ''}"
    found = EXAMPLES.search(text)
    shown = join_continued_lines(found.group(1)) if found else []
    start = ["python", "-m", command.package, *command.path]
    words = [shlex.split(line, comments=True) for line in shown]
    return [line[len(start) :] for line in words if line[: len(start)] == start]


def _more(command: Command) -> list[list[str]]:
    start = command.name.split()
    words = [line.split() for line in join_continued_lines(MORE)]
    return [line[len(start) :] for line in words if line[: len(start)] == start]


def _redirected(command: Command, words: list[str]) -> list[str]:
    """Return the words with shell patterns of the world kept and outputs moved to `out/`."""
    options = {
        name: parameter
        for parameter in command.click_command.params
        for name in parameter.opts
        if isinstance(parameter, click.Option)
    }
    moved, previous = [], None
    for word in words:
        is_output = previous in options and options[previous].name in OUTPUTS
        moved.append(f"out/{Path(word).name}" if is_output else word)
        previous = word
    # Of one model before that of all.
    names = (f"{command.name} {words[0] if words else ''}", command.name)
    return moved + next((ADDED[name] for name in names if name in ADDED), "").split()


def outputs(command: Command, words: Sequence[str]) -> list[str]:
    """Return the words that say where a call is to write."""
    names = {
        name
        for parameter in command.click_command.params
        if isinstance(parameter, click.Option) and parameter.name in (*OUTPUTS, "work")
        for name in parameter.opts
    }
    # The world's own work folder is left to what the line was seen to write there.
    return [after for word, after in pairwise(words) if word in names and after != "work"]


def expanded(arguments: Sequence[str], world: Path) -> list[str]:
    """Return the words with `*` expanded as a shell would do."""
    words: list[str] = []
    for word in arguments:
        found = sorted(world.glob(word)) if "*" in word else []
        names = [path.relative_to(world).as_posix() for path in found]
        words += names or [word]
    return words


def with_options(line: Line, rng: random.Random) -> list[str]:
    """Return the line's words with one to three more options of its command, valid ones mostly."""
    options = [
        parameter
        for parameter in line.command.click_command.params
        if isinstance(parameter, click.Option) and parameter.name not in OUTPUTS
    ]
    words = list(line.arguments)
    for option in rng.sample(options, min(len(options), rng.choice((1, 1, 2, 3)))):
        words += [option.opts[0]]
        if not (option.is_flag or option.count):
            words.append(_valid_value(option, rng))
    return words


def _valid_value(option: click.Option, rng: random.Random) -> str:
    kind, name = option.type, (option.name or "").removesuffix("_file").removesuffix("_name")
    if isinstance(kind, click.Choice):
        return str(rng.choice(list(kind.choices)))
    if isinstance(kind, (click.types.IntRange, click.types.FloatRange)):
        low, high = kind.min or 0, kind.max if kind.max is not None else 4
        return str(rng.choice((low, min(low + 1, high), min(high, 4))))
    if kind is click.INT:
        return str(rng.choice((0, 1, 3, 42)))
    if kind is click.FLOAT:
        return rng.choice(("0", "0.05", "0.5", "1"))
    known = {
        "format": ("aistages", "kaggle", "rows", "coco", "mine"),
        "settings": ("files/settings.json",),
        "work": ("work",),
        "data": ("data",),
        "images": ("data/test.json", *TRUTHS),
        "ledger": ("work/ledger.csv",),
        "against": (*PREDICTIONS, *TRUTHS),
        "weights": ("1,2,1", "1,1"),
        "iou_class": ("Paper=0.5",),
        "class_threshold": ("Paper=0.5",),
        "format_file": ("files/formats.yaml",),
        "name": ("another",),
        "set": ("optimizer.lr=0.001",),
    }
    for key, values in known.items():
        if key in name:
            return rng.choice(values)
    return rng.choice((*PREDICTIONS, *TRUTHS, "data", "work", "1", "x"))


def with_odd_words(
    command: Command, arguments: Sequence[str], rng: random.Random, traps: Traps
) -> list[str]:
    """Return the words with one of them made odd, or an option with an odd value more."""
    words = list(arguments)
    written = [place for place, word in enumerate(words) if word.startswith("out/")]
    places = [
        place
        for place, word in enumerate(words)
        if not word.startswith("--") and place not in written
    ]
    action = rng.choice(
        ("option", "option", "number", "name", "text", "drop", "double", "unknown", "onto")
    )
    if action == "onto" and written and places:
        # The output is the input: the user's only copy must survive.
        words[rng.choice(written)] = words[rng.choice(places)]
        return words
    place = rng.choice(places) if places else 0
    names = [option.opts[0] for option in command.click_command.params if _takes_value(option)]
    if action == "option" and names:
        odd = rng.choice((str(odd_number(rng))[:40], "-1", odd_text(rng, traps)))
        return [*words, rng.choice(names), _passable(odd)]
    if not words or action == "unknown":
        return [*words, rng.choice(("--no-such-option", "--", "-x", "--out=", "--data="))]
    if action == "drop":
        del words[place]
    elif action == "double":
        words.insert(place, words[place])
    elif action == "number":
        number = odd_number(rng)
        words[place] = "9" * 40 if isinstance(number, int) and number > 2**64 else str(number)
    else:
        odd = rng.choice(traps.names()) if action == "name" else odd_text(rng, traps)
        words[place] = _passable(odd)
    return words


def _takes_value(option: click.Parameter) -> bool:
    return (
        isinstance(option, click.Option)
        and not (option.is_flag or option.count)
        and option.name not in OUTPUTS
    )


def _passable(word: str) -> str:
    """Return what the system passes: no NUL, no lone surrogates, nothing longer than 128 KiB."""
    return word.replace("\x00", "")[:4000].encode("utf-8", "replace").decode()
