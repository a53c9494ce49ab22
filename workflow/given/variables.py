"""The variables of make: one line each with its default, what it may hold and what it is for."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from data_tools.ground.errors import UserError
from data_tools.ground.run_names import checked_name

Fault = str | None


@dataclass(frozen=True)
class Variable:
    """One variable.

    Attributes:
        name: as typed.
        default: value where none is given.
        help: what it is for.
        fault: says what was expected of a value that cannot be; None for one that can.
        from_environment: may be exported; not so for names that a system sets for its own ends
            (WSL sets NAME), nor for what should be seen on the line that trains.
    """

    name: str
    default: str
    help: str
    fault: Callable[[str], Fault]
    from_environment: bool = True


def _any(value: str) -> Fault:
    return None


def _some(value: str) -> Fault:
    return None if value.strip() else "a folder or a name"


def _whole(lowest: int) -> Callable[[str], Fault]:
    def fault(value: str) -> Fault:
        # str.isdecimal takes other scripts' digits too; int() reads those as well.
        fits = value.isdecimal() and len(value) <= 10 and int(value) >= lowest
        return None if fits else f"a whole number from {lowest}"

    return fault


def _number(lowest: float, highest: float) -> Callable[[str], Fault]:
    def fault(value: str) -> Fault:
        try:
            fits = lowest <= float(value) <= highest
        except ValueError:
            fits = False
        return None if fits else f"a number from {lowest:g} to {highest:g}"

    return fault


def _words(value: str) -> Fault:
    try:
        shlex.split(value)
    except ValueError as error:
        return f"options as in a shell ({error})"
    return None


def _name(value: str) -> Fault:
    try:
        checked_name(value)
    except UserError as error:
        return error.expected
    return None


def _names(value: str) -> Fault:
    return next((fault for name in value.split() if (fault := _name(name))), None)


def _one_of(*choices: str) -> Callable[[str], Fault]:
    return lambda value: None if value in choices else f"one of {', '.join(choices)}"


def _or_empty(fault: Callable[[str], Fault]) -> Callable[[str], Fault]:
    return lambda value: None if not value else fault(value)


VARIABLES = (
    Variable("DATA", "", "data root; empty: data/ if it holds train.json, else sample/", _any),
    Variable("WORK", "work", "folder of everything that is made", _some),
    Variable("MODEL", "tood_dcn", "detector to train: python -m models list", _name),
    Variable("FOLD", "3", "fold that is held out", _whole(0)),
    Variable("MOSAIC", "0", "share of samples made of four images", _number(0, 1)),
    Variable("PSEUDO", "0", "round of the pseudo-labels to train on; 0: none", _whole(0)),
    Variable("EPOCHS", "", "passes over the training images", _or_empty(_whole(1)), False),
    Variable("SEED", "", "seed of the training, or of `make torture`", _or_empty(_whole(0)), False),
    Variable("BATCH", "", "images per step", _or_empty(_whole(1)), False),
    Variable("LR", "", "highest learning rate", _or_empty(_number(1e-9, 10)), False),
    Variable("NAME", "", "name of the run; empty: made from what differs", _or_empty(_name), False),
    Variable(
        "SCALE", "", "full or smoke; empty: full with a GPU", _or_empty(_one_of("full", "smoke"))
    ),
    Variable("GPUS", "1", "GPUs to train on, a process each", _whole(0)),
    Variable("TRAIN_FLAGS", "", "more options of: python -m models train", _words),
    Variable("PREDICT_FLAGS", "", "more options of: python -m models predict", _words),
    Variable("ROUND", "1", "round of pseudo-labels that `make pseudo` makes", _whole(1)),
    Variable("PSEUDO_FLAGS", "--threshold 0.5", "options of: python -m data_tools pseudo", _words),
    Variable("FOLDS", "5", "number of folds", _whole(2)),
    Variable("SPLIT_SEED", "411", "seed of the folds", _whole(0)),
    Variable("SCHEME", "seed", "how folds are drawn", _one_of("seed", "stratified")),
    Variable("MEMBERS", "", "runs to fuse; empty: every finished run of FOLD", _names),
    Variable("IOU", "", "overlap above which boxes are fused", _or_empty(_number(0, 1))),
    Variable("SKIP", "", "boxes with a lower score stay out", _or_empty(_number(0, 1))),
    Variable("WEIGHTS", "", "a number per member, such as 2,1,1", _any),
    Variable("FUSE_FLAGS", "", "more options of: python -m ensemble fuse", _words),
    Variable("FORMAT", "", "submission format: python -m submit formats", _or_empty(_name), False),
    Variable("SAMPLE_FLAGS", "", "options of: python -m data_tools sample", _words),
    Variable("MINUTES", "60", "how long `make torture` goes on", _number(0.01, 100_000)),
    Variable("TEST_FLAGS", "", "more options of pytest", _words),
    Variable("PYTHON", "", "interpreter that makes .venv", _any),
    Variable("V", "0", "1: show the commands and all that they print", _one_of("0", "1"), False),
)
