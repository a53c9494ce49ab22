"""Whether the scores and the submission are of one fusion: members, settings and hashes agree."""

from __future__ import annotations

from data_tools.ground.errors import UserError
from data_tools.ground.paths import WorkPaths
from workflow.records import Record, hashes, read_record

_NEXT = "make submit again, and nothing else writing into the work folder meanwhile"


def require_same_fusion(work: WorkPaths, fold: int) -> list[str]:
    """Check the fusions of both splits and the submission against their records and each other.

    Returns:
        The members of the fusion.

    Raises:
        UserError: a file is not the one on record, or two records are of different fusions.
    """
    val = _record(work, f"fuse-val-fold{fold}")
    test = _record(work, f"fuse-test-fold{fold}")
    submission = _record(work, f"write-submission-fold{fold}")
    members, others = _members(val), _members(test)
    _require(
        members == others,
        f"the scores are of {', '.join(members)}, the submission is of {', '.join(others)}",
        work,
    )
    _require(
        val.settings == test.settings and _files(val) == _files(test),
        "the two splits were fused with different settings",
        work,
    )
    for split, record in (("val", val), ("test", test)):
        now = hashes({"predictions": work.fused(split)})["predictions"]
        _require(
            now == record.outputs.get("predictions"),
            f"{work.fused(split)} is not what was fused last",
            work,
        )
        for member in members:
            made = read_record(work, f"predict-{member}-fold{fold}")
            fused = record.inputs[f"member {member}"]
            _require(
                made is not None and made.outputs.get(f"{split} predictions") == fused,
                f"the {split} predictions of {member} that were fused are not those of its run",
                work,
            )
    _require(
        submission.inputs.get("predictions") == test.outputs.get("predictions"),
        f"{work.submission_csv} was written from another fusion",
        work,
    )
    now = hashes({"submission": work.submission_csv})["submission"]
    _require(
        now == submission.outputs.get("submission"),
        f"{work.submission_csv} is not the file that was written last",
        work,
    )
    return members


def _record(work: WorkPaths, key: str) -> Record:
    record = read_record(work, key)
    if record is None:
        raise UserError(f"there is no record of {key}", where=work.root, next_step=_NEXT)
    return record


def _members(record: Record) -> list[str]:
    return [role.removeprefix("member ") for role in record.inputs if role.startswith("member ")]


def _files(record: Record) -> dict[str, str]:
    """Hashes of what the user's own options name, such as tuned settings."""
    return {role: digest for role, digest in record.inputs.items() if role.startswith("file ")}


def _require(holds: bool, what: str, work: WorkPaths) -> None:
    if not holds:
        raise UserError(
            what, where=work.root, expected="scores and submission of one fusion", next_step=_NEXT
        )
