"""Steps from members to one file per split: fuse, and pseudo-labels made of the fusion."""

from __future__ import annotations

from data_tools.ground.errors import UserError
from data_tools.ground.paths import sources_path
from workflow.place import Place
from workflow.records import read_record
from workflow.step import Chain, Step, files_among


def fuse(place: Place, members: list[str], split: str) -> Step:
    """Fuse the members' predictions of one split, `val` or `test`."""
    settings = place.settings
    flags = settings.words("FUSE_FLAGS")
    # Only what is given: an option overrides the same one of a tuned settings file.
    flags += settings.option("--iou", "IOU") + settings.option("--skip", "SKIP")
    flags += settings.option("--weights", "WEIGHTS")
    images = place.val_json if split == "val" else place.data.test_json
    files = {f"member {name}": place.run(name).predictions(split) for name in members}
    out = place.work.fused(split)
    outputs = {"predictions": out}
    if "--no-sources" not in flags:
        outputs["sources"] = sources_path(out)
    return Step(
        kind="fuse",
        subject=split,
        fold=place.fold,
        arguments=("-m", "ensemble", "fuse", *map(str, files.values()), "--images", str(images),
                   "--out", str(out), *flags),
        inputs={**files, "images": images, **files_among(flags)},
        outputs=outputs,
        places={"work": place.work.root, "data": place.data.root},
    )  # fmt: skip


def pseudo(place: Place, round_number: int) -> Chain:
    """Return the making of pseudo-labels from the fusion; nothing where they are there.

    Labels that runs may have been trained on are never replaced: other teachers are another round.
    """
    if place.work.pseudo_json(place.fold, round_number).is_file():
        return ()
    return (_make_pseudo(place, round_number),)


def refuse_other_pseudo(place: Place, round_number: int, members: list[str]) -> None:
    """Refuse to pass over labels that are there, but not of these teachers or options.

    Raises:
        UserError: other teachers made them than `members`, or other options than PSEUDO_FLAGS.
    """
    out = place.work.pseudo_json(place.fold, round_number)
    if not out.is_file():
        return
    from data_tools.coco.dataset import read_coco
    from data_tools.coco.note import whole_note_of

    teachers = whole_note_of(read_coco(out)).get("teachers", [])
    there = sorted(dict.fromkeys(str(teacher.get("run")) for teacher in teachers))
    differing = []
    if there and there != sorted(members):
        differing.append(
            f"the labels there are by {', '.join(there)}, asked for is {', '.join(sorted(members))}"
        )
    step = _make_pseudo(place, round_number)
    record = read_record(place.work, step.key)
    if record is not None and record.settings != step.stated():
        now = [word for word in step.stated() if word not in record.settings]
        before = [word for word in record.settings if word not in step.stated()]
        differing.append(
            f"they were made with the options {' '.join(before) or '(none)'}, "
            f"asked for is {' '.join(now) or '(none)'}"
        )
    if differing:
        raise UserError(
            "; ".join(differing),
            where=out,
            expected="the labels as they are: runs may have been trained on them",
            next_step=f"make pseudo ROUND={round_number + 1}, or give another folder, WORK=...",
        )


def _make_pseudo(place: Place, round_number: int) -> Step:
    out = place.work.pseudo_json(place.fold, round_number)
    flags = place.settings.words("PSEUDO_FLAGS")
    train_json, test_json = place.work.train_json(place.fold), place.data.test_json
    fused = place.work.fused("test")
    return Step(
        kind="pseudo",
        subject=f"round{round_number}",
        fold=place.fold,
        arguments=("-m", "data_tools", "pseudo", "--train", str(train_json), "--test",
                   str(test_json), "--predictions", str(fused), "--round", str(round_number),
                   "--out", str(out), *flags),
        inputs={"train": train_json, "test": test_json, "predictions": fused, **files_among(flags)},
        outputs={"labels": out},
        places={"work": place.work.root, "data": place.data.root},
    )  # fmt: skip
