"""Which steps each rule of make needs, in order."""

from __future__ import annotations

from collections.abc import Callable

from data_tools.ground.errors import UserError
from workflow.place import Place
from workflow.runs import asked_run, demo_names, member_names, stated_by_name
from workflow.step import Chain, Stage
from workflow.steps import data, fusion, submission, training

Stages = list[Stage]


def _in_order(chain: Chain) -> Stages:
    return [(chain,)] if chain else []


def _verify(place: Place) -> Stages:
    return _in_order((data.verify(place),))


def _split(place: Place) -> Stages:
    return _in_order(data.split(place))


def _train(place: Place) -> Stages:
    name, what = asked_run(place.settings)
    labels = _pseudo_labels(place, what.pseudo) if what.pseudo else _split(place)
    return labels + _in_order(training.trained_run(place, name, what))


def _pseudo(place: Place) -> Stages:
    round_number = int(place.settings["ROUND"])
    if place.work.pseudo_json(place.fold, round_number).is_file():
        fusion.refuse_other_pseudo(place, round_number, member_names(place))
    return _pseudo_labels(place, round_number)


def _pseudo_labels(place: Place, round_number: int) -> Stages:
    labels = fusion.pseudo(place, round_number)
    if not labels:
        return _split(place)
    place.require_test()
    members = member_names(place)
    fused = fusion.fuse(place, members, "test")
    return _members(place, members) + _in_order((fused, *labels))


def _members(place: Place, members: list[str]) -> Stages:
    return [*_split(place), tuple(_member(place, name) for name in members)]


def _member(place: Place, name: str) -> Chain:
    if place.run(name).finished_json.is_file() and not _is_asked_anew(place, name):
        return (training.predict(place, name),)
    what = stated_by_name(place, name)
    if what.pseudo and fusion.pseudo(place, what.pseudo):
        raise UserError(
            f"{name} needs pseudo-labels that are not there",
            where=place.work.pseudo_json(place.fold, what.pseudo),
            next_step=f"make pseudo ROUND={what.pseudo} FOLD={place.fold}, with MEMBERS that do "
            "without them",
        )
    return training.trained_run(place, name, what)


def _is_asked_anew(place: Place, name: str) -> bool:
    """Say whether a finished run is to be compared with what is asked: with options that are given.

    Other finished runs are members as they are, whoever trained them.
    """
    is_asked = bool({"TRAIN_FLAGS", "SCALE"} & place.settings.given)
    return is_asked and place.is_sample and name in demo_names(place)


def _fuse(place: Place) -> Stages:
    place.require_test()
    members = member_names(place)
    fused = tuple(fusion.fuse(place, members, split) for split in ("val", "test"))
    return _members(place, members) + _in_order(fused)


def _score(place: Place) -> Stages:
    members = member_names(place)
    fused = fusion.fuse(place, members, "val")
    return _members(place, members) + _in_order((fused, submission.table(place, members)))


def _submit(place: Place) -> Stages:
    members = member_names(place)
    chain = (
        submission.write(place),
        submission.table(place, members),
        submission.same_fusion(place),
        submission.check(place),
        *submission.hidden_score(place),
    )
    return _fuse(place) + _in_order(chain)


def _report(place: Place) -> Stages:
    return _score(place) + _in_order((submission.report(place),))


def _nothing_more(place: Place) -> Stages:
    return []


# Rule -> what it does once the data are there and the work folder is theirs.
RULES: dict[str, Callable[[Place], Stages]] = {
    "sample": _nothing_more,
    "verify": _verify,
    "split": _split,
    "train": _train,
    "pseudo": _pseudo,
    "fuse": _fuse,
    "score": _score,
    "submit": _submit,
    "report": _report,
}


def stages_of(rule: str, place: Place) -> Stages:
    """Return the stages of a rule, in order.

    Raises:
        UserError: something that the rule needs is not there.
    """
    return RULES[rule](place)
