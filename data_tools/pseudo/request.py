"""One call of `data_tools pseudo`: what is asked for, for one fold or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from data_tools.pseudo.build import PseudoRules

FOLD_PLACEHOLDER = "{fold}"


@dataclass(frozen=True)
class PseudoRequest:
    """One call of `data_tools pseudo`, for one fold.

    Attributes:
        train: plain training part of the fold.
        test: images to be labelled.
        predictions: the teachers' boxes on them.
        out: file to write.
        val: validation part; None to derive it from split.json beside `train`.
        threshold: lowest score; None with one of the two other ways to choose it.
        class_thresholds: exceptions by class name.
        target_precision: choose thresholds on `oof` and `truth` for this precision.
        match_density: choose the threshold for as many boxes per image as in training.
        oof, truth: out-of-fold predictions and their truth, for `target_precision`.
        rules: limits per image and the weight rule.
        round_number: 1, or one more than the round whose students are the teachers.
        previous: pseudo-label file of the round before; None to look for it beside `out`.
        image_root: what `file_name` is relative to; None for the folder of `test`.
        check_duplicates: compare pictures of test and training.
        allow_leak: write leaking labels, marked LEAKED.
        format_name, format_file: the format of `predictions` and `oof` in CSVs, see
            `reading_format`.
    """

    train: Path
    test: Path
    predictions: Path
    out: Path
    val: Path | None = None
    threshold: float | None = None
    class_thresholds: dict[str, float] = field(default_factory=dict)
    target_precision: float | None = None
    match_density: bool = False
    oof: Path | None = None
    truth: Path | None = None
    rules: PseudoRules = field(default_factory=PseudoRules)
    round_number: int = 1
    previous: Path | None = None
    image_root: Path | None = None
    check_duplicates: bool = True
    allow_leak: bool = False
    format_name: str | None = None
    format_file: Path | None = None

    @property
    def inputs(self) -> tuple[Path | None, ...]:
        """The files that are read."""
        given = (self.train, self.test, self.predictions, self.val)
        return (*given, self.oof, self.truth, self.previous, self.format_file)

    def for_fold(self, fold: int) -> PseudoRequest:
        """Return the request with `{fold}` in its paths replaced."""
        changed: dict[str, Any] = {
            name: Path(str(value).replace(FOLD_PLACEHOLDER, str(fold)))
            for name, value in vars(self).items()
            if isinstance(value, Path)
        }
        return replace(self, **changed)


def requests_of_folds(request: PseudoRequest, folds: Sequence[int]) -> list[PseudoRequest]:
    """Return one request per fold; with no folds the request as it is.

    Raises:
        UserError: several folds, but a path that must differ has no `{fold}`.
    """
    if not folds:
        return [request]
    for name in ("train", "out", "predictions"):
        path = getattr(request, name)
        if FOLD_PLACEHOLDER not in str(path):
            raise UserError(
                f"--{name} is the same file for every fold",
                where=path,
                expected=f"{FOLD_PLACEHOLDER} where the fold's number stands: each fold needs "
                "teachers that did not see its validation images",
            )
    return [request.for_fold(fold) for fold in folds]
