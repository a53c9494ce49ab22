"""Steps from the fusion to what is handed in and read: scores, the submission, the report."""

from __future__ import annotations

from workflow.place import Place
from workflow.step import Step


def table(place: Place, members: list[str]) -> Step:
    """Score every member and the fusion on the validation fold, side by side."""
    files = [place.run(name).predictions("val") for name in members]
    return Step(
        kind="score",
        subject="members and fusion",
        fold=place.fold,
        arguments=("-m", "submit", "table", *map(str, files), str(place.work.fused("val")),
                   "--truth", str(place.val_json)),
        always=True,
        shows="output",
    )  # fmt: skip


def write(place: Place) -> Step:
    """Write the submission."""
    fused, out = place.work.fused("test"), place.work.submission_csv
    return Step(
        kind="write",
        subject="submission",
        fold=place.fold,
        arguments=("-m", "submit", "write", str(fused), "--images", str(place.data.test_json),
                   "--out", str(out), *place.settings.option("--format", "FORMAT")),
        inputs={"predictions": fused, "images": place.data.test_json},
        outputs={"submission": out},
        places={"work": place.work.root, "data": place.data.root},
    )  # fmt: skip


def same_fusion(place: Place) -> Step:
    """Check that the scores and the submission are of one fusion, before it is called ready."""
    return Step(
        kind="same fusion",
        subject="",
        fold=place.fold,
        arguments=("-m", "workflow", "same-fusion", "--work", str(place.work.root),
                   "--fold", str(place.fold)),
        always=True,
    )  # fmt: skip


def check(place: Place) -> Step:
    """Check the submission's form."""
    return Step(
        kind="check",
        subject="submission",
        fold=place.fold,
        arguments=("-m", "submit", "check", str(place.work.submission_csv), "--images",
                   str(place.data.test_json), *place.settings.option("--format", "FORMAT")),
        always=True,
        shows="output",
    )  # fmt: skip


def hidden_score(place: Place) -> tuple[Step, ...]:
    """Return the score against the truth that only the sample has."""
    truth = place.data.hidden_test_json
    is_to_be_drawn = place.is_sample and not place.data.train_json.is_file()
    if not (truth.is_file() or is_to_be_drawn):
        return ()
    step = Step(
        kind="score",
        subject="submission",
        fold=place.fold,
        arguments=("-m", "submit", "score", str(place.work.submission_csv), "--truth", str(truth),
                   *place.settings.option("--format", "FORMAT")),
        always=True,
        shows="output",
    )  # fmt: skip
    return (step,)


def report(place: Place) -> Step:
    """Write the report."""
    return Step(
        kind="report",
        subject="",
        fold=None,
        arguments=("-m", "experiments", "report", "--work", str(place.work.root),
                   "--data", str(place.data.root), "--out", str(place.work.report_html)),
        always=True,
    )  # fmt: skip
