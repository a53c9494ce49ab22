"""Steps before any training: draw the sample, claim the work folder, check, split."""

from __future__ import annotations

from data_tools.ground.errors import UserError
from data_tools.ground.whole.staging import is_unfinished
from workflow.place import SAMPLE, Place
from workflow.step import Chain, Step

_SPLIT_VARIABLES = {"FOLDS": "folds", "SPLIT_SEED": "seed", "SCHEME": "scheme"}


def preparation(place: Place, *, draw: bool = False) -> Chain:
    """Return what comes before everything else: the data are there and the work is theirs.

    Args:
        place: where.
        draw: draw the sample even if the data are others.

    Raises:
        UserError: the data root has no annotations.
    """
    if draw:
        return (sample(place),)
    if place.data.root == SAMPLE:
        drawn = place.data.train_json.is_file() and place.data.sample_marker.is_file()
        again = not drawn or "SAMPLE_FLAGS" in place.settings.given
        return (sample(place), claim(place)) if again else (claim(place),)
    if not place.data.train_json.is_file():
        raise UserError(
            f"{place.data.train_json} does not exist",
            next_step=f"Put train.json, test.json and the images into {place.data.root}/, "
            "or give another folder: make DATA=...",
        )
    return (claim(place),)


def sample(place: Place) -> Step:
    """Draw the built-in dataset."""
    flags = place.settings.words("SAMPLE_FLAGS")
    return Step(
        kind="sample",
        subject="",
        fold=None,
        arguments=("-m", "data_tools", "sample", "--out", str(SAMPLE), *flags),
        outputs={path.name: path for path in (place.data.train_json, place.data.test_json)},
    )


def claim(place: Place) -> Step:
    """Tie the work folder to the dataset; cheap, and done every time."""
    return Step(
        kind="claim",
        subject="",
        fold=None,
        arguments=("-m", "data_tools", "claim", "--data", str(place.data.root),
                   "--work", str(place.work.root)),
        always=True,
    )  # fmt: skip


def verify(place: Place) -> Step:
    """Check every annotation and image."""
    return Step(
        kind="verify",
        subject="",
        fold=None,
        arguments=("-m", "data_tools", "verify", str(place.data.root)),
        always=True,
        shows="output",
    )


def split(place: Place) -> Chain:
    """Return the drawing of the folds; nothing where there are folds, whoever placed them.

    Raises:
        UserError: other folds are there than FOLDS, SPLIT_SEED or SCHEME ask for, or a fold has
            only one of its two files.
    """
    settings, work = place.settings, place.work
    if work.split_json.is_file():
        _refuse_other_split(place)
        return ()
    if not is_unfinished(work.folds) and _placed_folds(place):
        return ()
    step = Step(
        kind="split",
        subject="",
        fold=None,
        arguments=("-m", "data_tools", "split", "--coco", str(place.data.train_json),
                   "--out", str(work.folds), "--folds", settings["FOLDS"],
                   "--seed", settings["SPLIT_SEED"], "--scheme", settings["SCHEME"]),
        inputs={place.data.train_json.name: place.data.train_json},
        outputs={work.split_json.name: work.split_json},
        places={"work": work.root},
    )  # fmt: skip
    return (step,)


def _refuse_other_split(place: Place) -> None:
    asked = {
        name: place.settings[name] for name in _SPLIT_VARIABLES if name in place.settings.given
    }
    if not asked:
        return
    from data_tools.folds.split import read_split

    there = read_split(place.work.split_json)
    differing = [
        f"{name}={value} but the folds there have {getattr(there, _SPLIT_VARIABLES[name])}"
        for name, value in asked.items()
        if str(getattr(there, _SPLIT_VARIABLES[name])) != value
    ]
    if differing:
        raise UserError(
            "; ".join(differing),
            where=place.work.split_json,
            expected="the folds that runs here were trained on",
            next_step="give another folder, WORK=..., or move the folds away with the runs",
        )


def _placed_folds(place: Place) -> bool:
    folder = place.work.folds
    fold_of = {part: set(place.work.drawn_folds(part)) for part in ("train", "val")}
    alone = fold_of["train"] ^ fold_of["val"]
    if alone:
        fold = sorted(alone)[0]
        part = "val" if fold in fold_of["train"] else "train"
        raise UserError(
            f"fold {fold} has no {part}_{fold}.json",
            where=folder,
            expected="train_K.json and val_K.json for each fold K",
            next_step="put it there, or remove the fold files to have folds drawn",
        )
    given = [name for name in _SPLIT_VARIABLES if name in place.settings.given]
    if fold_of["val"] and given:
        raise UserError(
            f"{given[0]} is given, but folds were placed there that the kit did not draw",
            where=folder,
            expected="the folds as they are",
            next_step=f"leave {given[0]} out, or give another folder, WORK=...",
        )
    return bool(fold_of["val"])
