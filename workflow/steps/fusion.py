"""Steps from members to one file per split: fuse, and pseudo-labels made of the fusion."""

from __future__ import annotations

from workflow.place import Place
from workflow.step import Chain, Step, files_among


def fuse(place: Place, members: list[str], split: str) -> Step:
    """Fuse the members' predictions of one split, `val` or `test`."""
    from ensemble.sources import sources_path

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
    out = place.work.pseudo_json(place.fold, round_number)
    flags = place.settings.words("PSEUDO_FLAGS")
    if out.is_file():
        return ()
    train_json, test_json = place.work.train_json(place.fold), place.data.test_json
    fused = place.work.fused("test")
    step = Step(
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
    return (step,)
