"""Which runs an experiment needs, whether its arms differ in one factor, what is still to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data_tools.coco.dataset import read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from data_tools.ground.nested import flattened
from data_tools.ground.paths import DataPaths, RunPaths, WorkPaths
from data_tools.ground.run_names import with_seed
from experiments.factors import Difference, comparable_inputs, differences, require_single_factor
from experiments.plan.spec import Arm, Experiment, Settings
from experiments.run_folder import Run, read_run

ConfigOf = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """Where an experiment reads and writes: the data root and the work root."""

    data: Path
    work: Path


@dataclass(frozen=True)
class PlannedRun:
    """One arm with one seed.

    Attributes:
        arm: the arm.
        seed: of everything random in its training.
        name: experiment name of the run folder, `mosaic-base-seed42`.
        folder: the run folder.
        inputs: resolved configuration (`config`) and data inputs (`data`).
        overrides: every `key=value` given to training, those of held blocks included.
    """

    arm: Arm
    seed: int
    name: str
    folder: Path
    inputs: Mapping[str, Any]
    overrides: tuple[str, ...]

    @property
    def state(self) -> str:
        """`missing`, `unfinished` or `finished`."""
        if RunPaths(self.folder).finished_json.is_file():
            return "finished"
        return "unfinished" if self.folder.is_dir() and any(self.folder.iterdir()) else "missing"


def plan_runs(
    experiment: Experiment,
    place: Place,
    *,
    config_of: ConfigOf | None = None,
    seeds: tuple[int, ...] | None = None,
    only: tuple[str, ...] = (),
) -> list[PlannedRun]:
    """Resolve every arm, check that each differs from the base in one factor, and list the runs.

    The arms are checked before `only` picks some of them: an experiment is sound or it is not.

    Args:
        experiment: the experiment.
        place: data and work roots.
        config_of: `models.engine.config.resolve.resolve_config`, or a stand-in.
        seeds: replaces the seeds of the file.
        only: names of arms to keep; empty keeps all.

    Raises:
        UserError: an arm differs from the base in no factor or in several (every key is listed),
            or an arm's name is unknown.
    """
    config_of = config_of or _resolver(place)
    seeds = seeds or experiment.seeds
    _refuse_unknown_arms(experiment, only)
    resolved = _resolved_arms(experiment, place, config_of, seeds[0])
    check_single_factors(experiment, {name: inputs for name, (inputs, _) in resolved.items()})
    kept = [arm for arm in experiment.arms if not only or arm.name in only]
    return [
        _planned(experiment, arm, seed, resolved[arm.name], place) for seed in seeds for arm in kept
    ]


def _resolver(place: Place) -> ConfigOf:
    # Recipes are plain data, but the package is large: imported when an experiment is planned.
    from models.engine.config.resolve import resolve_config

    categories = read_coco(DataPaths(place.data).train_json).categories
    return partial(resolve_config, categories=categories)


def check_single_factors(
    experiment: Experiment, inputs_of_arm: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[Difference]]:
    """Return each arm's differences from the base.

    Raises:
        UserError: an arm differs in no factor, or in several.
    """
    base = experiment.base.name
    found_of_arm = {}
    for arm in experiment.arms[1:]:
        found = differences(inputs_of_arm[base], inputs_of_arm[arm.name])
        stated = ", ".join(f"{key}: {value}" for key, value in arm.stated.items())
        found = [difference for difference in found if difference.factor not in arm.unavoidable]
        require_single_factor(
            found, arm=arm.name, base=base, stated=stated, where=experiment.source
        )
        found_of_arm[arm.name] = found
    return found_of_arm


def _resolved_arms(
    experiment: Experiment, place: Place, config_of: ConfigOf, seed: int
) -> dict[str, tuple[dict[str, Any], tuple[str, ...]]]:
    base_config = _config(experiment.base.settings, config_of, seed, {})
    unknown = [block for block in experiment.held if block not in base_config]
    if unknown:
        raise UserError(
            f"`held` names {unknown[0]!r}, which is no block of the configuration",
            where=experiment.source,
            expected=f"some of {', '.join(base_config)}",
        )
    held = _held_overrides({block: base_config[block] for block in experiment.held})
    resolved = {}
    for arm in experiment.arms:
        own = flattened(_config(arm.settings, config_of, seed, arm.settings.overrides))
        needed = {key: value for key, value in held.items() if own.get(key) != value}
        overrides = _overrides(arm.settings, needed)
        config = dict(_config(arm.settings, config_of, seed, overrides))
        config.pop("seed", None)
        inputs = {"config": config, "data": _data_inputs(arm.settings, place)}
        pairs = tuple(f"{key}={_value_text(value)}" for key, value in overrides.items())
        resolved[arm.name] = (inputs, pairs)
    return resolved


# Options of an arm that say the same as a key of the configuration; what an arm states wins over
# what is held equal.
_KEY_OF_OPTION = {
    "mosaic": "augment.mosaic",
    "epochs": "epochs",
    "batch": "batch_size",
    "init": "init",
}


def _held_overrides(blocks: Mapping[str, Any]) -> dict[str, Any]:
    held = flattened(blocks)
    if "ema" in held and held["ema"] is None:
        # A resolved configuration says null for "no average"; as an option it is momentum 0.
        del held["ema"]
        held["ema.momentum"] = 0.0
    return held


def _overrides(settings: Settings, held: Mapping[str, Any]) -> dict[str, Any]:
    stated = {key for option, key in _KEY_OF_OPTION.items() if getattr(settings, option)}
    kept = {key: value for key, value in held.items() if key not in stated}
    return {**kept, **settings.overrides}


def _config(
    settings: Settings, config_of: ConfigOf, seed: int, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    return config_of(
        model=settings.model,
        scale=settings.scale,
        overrides=[f"{key}={_value_text(value)}" for key, value in overrides.items()],
        mosaic=settings.mosaic or None,
        epochs=settings.epochs,
        batch_size=settings.batch,
        init=settings.init,
        seed=seed,
    )


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def pseudo_file(settings: Settings, place: Place) -> Path | None:
    """Return the pseudo-labelled training file of an arm, None without pseudo-labels."""
    if not settings.pseudo:
        return None
    if isinstance(settings.pseudo, int):
        return WorkPaths(place.work).pseudo_json(settings.fold, settings.pseudo)
    return Path(settings.pseudo)


def _data_inputs(settings: Settings, place: Place) -> dict[str, Any]:
    work = WorkPaths(place.work)
    files = {
        "train": work.train_json(settings.fold),
        "val": work.val_json(settings.fold),
        "pseudo": pseudo_file(settings, place),
    }
    return {"fold": settings.fold} | {
        name: _file_label(path) if path else None for name, path in files.items()
    }


def _file_label(path: Path) -> str:
    return f"{path.name} ({sha256_of_file(path)[:12]})" if path.is_file() else f"{path} (missing)"


def _planned(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    resolved: tuple[dict[str, Any], tuple[str, ...]],
    place: Place,
) -> PlannedRun:
    name = with_seed(f"{experiment.name}-{arm.name}", seed)
    folder = WorkPaths(place.work).run(name, arm.settings.fold).root
    return PlannedRun(arm, seed, name, folder, resolved[0], resolved[1])


def _refuse_unknown_arms(experiment: Experiment, only: tuple[str, ...]) -> None:
    names = [arm.name for arm in experiment.arms]
    for name in only:
        if name not in names:
            raise UserError(
                f"no arm {name!r}", where=experiment.source, expected=f"one of {', '.join(names)}"
            )


def require_unchanged(planned: PlannedRun, *, any_epochs: bool = False) -> Run:
    """Return the finished run of a plan, if it was trained with what the plan says.

    Args:
        planned: the run.
        any_epochs: the number of epochs may differ, because it follows from the minutes.

    Raises:
        UserError: the folder holds a run of other settings; every key that differs is listed.
    """
    run = read_run(planned.folder)
    found = differences(
        {"config": planned.inputs["config"]}, {"config": comparable_inputs(run)["config"]}
    )
    if any_epochs:
        found = [difference for difference in found if difference.factor != "epochs"]
    if found:
        listing = "\n".join(f"              {difference}" for difference in found)
        raise UserError(
            f"the finished run was trained with other settings than the file now says:\n{listing}",
            where=planned.folder,
            expected="the same configuration",
            next_step="rename the experiment file, or move the run folder away",
        )
    return run
