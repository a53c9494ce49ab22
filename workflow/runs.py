"""Which run is asked for, which runs are fused, and what their names say about their training."""

from __future__ import annotations

from dataclasses import replace

from data_tools.ground.errors import UserError
from data_tools.ground.run_names import RunName, build, checked_name, is_timing, parse
from models.registry import MODELS
from workflow.given.settings import Settings
from workflow.place import Place

DEMO_MODELS = ("tood_dcn", "yolox", "retinanet")
# The seed of `python -m models train`: stating it changes nothing, nor does it enter the name.
USUAL_SEED = 42


def asked_run(settings: Settings) -> tuple[str, RunName]:
    """Return the name of the run that `make train` is about, and what it is to be trained with."""
    what = replace(
        _plain_run(settings, settings["MODEL"]),
        pseudo=int(settings["PSEUDO"]),
        mosaic=float(settings["MOSAIC"]),
    )
    return settings["NAME"] or build(what), what


def _plain_run(settings: Settings, model: str) -> RunName:
    """Return a model's run without pseudo-labels and mosaic, trained as the settings say."""
    seed = int(settings["SEED"] or USUAL_SEED)
    return RunName(
        model=model,
        epochs=int(settings["EPOCHS"]) if settings["EPOCHS"] else None,
        batch=int(settings["BATCH"]) if settings["BATCH"] else None,
        lr=float(settings["LR"]) if settings["LR"] else None,
        seed=None if seed == USUAL_SEED else seed,
    )


def member_names(place: Place) -> list[str]:
    """Return the runs to fuse, sorted unless MEMBERS gives an order.

    Raises:
        UserError: there is no finished run, or a folder of a run has a name that no run can have.
    """
    given = list(dict.fromkeys(place.settings["MEMBERS"].split()))
    if given:
        return given
    names = {name for name in _finished_runs(place) if not is_timing(name)}
    if place.is_sample:
        names |= set(demo_names(place))
    if not names:
        raise UserError(
            f"no finished run of fold {place.fold}",
            where=place.work.runs,
            next_step="Train one first: make train MODEL=tood_dcn",
        )
    return sorted(names)


def demo_names(place: Place) -> list[str]:
    """Return the runs that are trained on the sample without being asked for."""
    return [build(_plain_run(place.settings, model)) for model in DEMO_MODELS]


def _finished_runs(place: Place) -> list[str]:
    folders = sorted(place.work.runs.glob("*/"))
    finished = [each.name for each in folders if place.run(each.name).finished_json.is_file()]
    return [
        checked_name(name, what="the folder of a run", where=place.work.runs) for name in finished
    ]


def stated_by_name(place: Place, name: str) -> RunName:
    """Return what a member that is not trained yet is to be trained with: its name says it.

    Raises:
        UserError: the name says more than can be told from it.
    """
    what = parse(name)
    if what.rest or what.model not in {spec.name for spec in MODELS}:
        raise UserError(
            f"there is no finished run {name!r} of fold {place.fold}, and its name does not say "
            "how to train it",
            where=place.run(name).root,
            expected="a finished run, or a name such as tood_dcn-pseudo1-mosaic0.5",
            next_step=f"make train MODEL=... NAME={name}, or leave it out of MEMBERS",
        )
    return what
