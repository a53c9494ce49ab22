"""Steps of one run: train, and predict its validation fold and the test images."""

from __future__ import annotations

from data_tools.ground.run_names import RunName
from workflow.place import Place
from workflow.step import Chain, Step, files_among


def trained_run(place: Place, name: str, what: RunName) -> Chain:
    """Return training and prediction of a run."""
    return (train(place, name, what), predict(place, name))


def train(place: Place, name: str, what: RunName) -> Step:
    """Train a run, or find that it is trained: the command itself refuses other settings."""
    settings, run = place.settings, place.run(name)
    flags = settings.words("TRAIN_FLAGS")
    options = {
        "--mosaic": what.mosaic or None,
        "--epochs": what.epochs,
        "--batch": what.batch,
        "--seed": what.seed,
    }
    arguments = [
        "-m", "models", "train", what.model, "--name", name, "--data", str(place.data.root),
        "--work", str(place.work.root), "--fold", str(place.fold), "--resume",
    ]  # fmt: skip
    for option, value in options.items():
        arguments += [] if value is None else [option, f"{value:g}"]
    if what.lr is not None:
        arguments += ["--set", f"optimizer.lr={what.lr:g}"]
    annotations = place.work.train_json(place.fold)
    if what.pseudo:
        annotations = place.work.pseudo_json(place.fold, what.pseudo)
        arguments += ["--pseudo", str(annotations)]
    arguments += settings.option("--scale", "SCALE")
    if int(settings["GPUS"]) > 1:
        arguments += ["--gpus", settings["GPUS"]]
    return Step(
        kind="train",
        subject=name,
        fold=place.fold,
        arguments=(*arguments, *flags),
        inputs={"annotations": annotations, "validation": place.val_json, **files_among(flags)},
        outputs={"finished": run.finished_json},
        places={"work": place.work.root, "data": place.data.root},
        shows="progress",
        one_thread=place.is_sample,
        advice=f"other settings are another run: make train MODEL={what.model} NAME={name}-2 ...",
    )


def predict(place: Place, name: str) -> Step:
    """Predict both splits in one process: importing takes longer than predicting a small one."""
    run, flags = place.run(name), place.settings.words("PREDICT_FLAGS")
    inputs = {"weights": run.best_checkpoint, "validation": place.val_json}
    splits = ["val"]
    if place.has_test:
        splits.append("test")
        inputs["test"] = place.data.test_json
    arguments = ["-m", "models", "predict", str(run.root)]
    for split in splits:
        arguments += ["--split", split]
    return Step(
        kind="predict",
        subject=name,
        fold=place.fold,
        arguments=(*arguments, "--data", str(place.data.root), *flags),
        inputs={**inputs, **files_among(flags)},
        outputs={f"{split} predictions": run.predictions(split) for split in splits},
        places={"work": place.work.root, "data": place.data.root},
    )
