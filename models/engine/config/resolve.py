"""From a model's name and the user's overrides to one complete, checked configuration.

Layers, each on top of the one before: `defaults.py` and `augment.py`, the model's full
recipe, its smoke delta (at that scale), `neck=fpn`, the command line's own options, and last
`--set key=value`. Nothing here needs a GPU, data or torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data_tools.ground.errors import UserError
from models.engine.config.augment import AUGMENT_DEFAULTS, complete_augment
from models.engine.config.defaults import SETTINGS
from models.engine.config.merging import on_top
from models.engine.config.necks import with_neck
from models.engine.config.overrides import apply_overrides, parse_override
from models.registry import SCALES, ModelSpec, get_model


def resolve_config(
    model: str,
    scale: str,
    *,
    categories: Sequence[Mapping[str, Any]],
    overrides: Sequence[str] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
    mosaic: float | None = None,
    seed: int = 42,
    init: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Return the complete configuration of one run, as plain JSON values.

    Args:
        model: a name of the registry.
        scale: "full" or "smoke".
        categories: COCO categories in the order of the file; their order defines the labels.
        overrides: "key=value" strings, values in JSON or bare text; applied last.
        epochs: passes over the data. Milestones and last epochs without augmentation move with it
            in proportion, unless an override states them.
        batch_size: images per optimizer step.
        mosaic: share of samples made of four images.
        seed: of everything random.
        init: "none", "imagenet" or the path of a checkpoint; None: as the recipe.
        workers: processes that load images.

    Raises:
        UserError: unknown model, scale or key, or values that cannot be; all faults in one message.
    """
    spec = get_model(model)
    if scale not in SCALES:
        raise UserError(f"no scale {scale!r}", expected=f"one of {', '.join(SCALES)}")
    pairs = [parse_override(text) for text in overrides]
    neck = _last(pairs, "neck", "own")
    config = with_neck(recipe_config(spec, scale), spec, neck, scale)
    epochs = _last(pairs, "epochs", epochs)
    if isinstance(epochs, int) and not isinstance(epochs, bool) and epochs > 0:
        config = with_epochs(config, epochs)
    options = {"batch_size": batch_size, "augment.mosaic": mosaic, "init": init, "workers": workers}
    given = [(key, value) for key, value in options.items() if value is not None]
    config["seed"] = seed
    config = apply_overrides(config, [*given, *pairs])
    if neck == "own":
        _refuse_small_images(config["image_size_wh"], spec, scale)
    config["augment"] = complete_augment(config["augment"])
    config["ema"] = config["ema"] if config["ema"]["momentum"] else None
    identity = {
        "model": model,
        "scale": scale,
        "classes": [category["name"] for category in categories],
        "category_ids": [int(category["id"]) for category in categories],
    }
    return {**identity, **config}


def _refuse_small_images(size_wh: Sequence[int], spec: ModelSpec, scale: str) -> None:
    smallest = spec.smallest_side_px[scale]
    if min(size_wh) < smallest:
        raise UserError(
            f"{spec.name} at {scale} scale cannot take images of "
            f"{size_wh[0]} x {size_wh[1]} pixels",
            where="image_size_wh",
            expected=f"{smallest} pixels or more on both sides",
            next_step=f"--set image_size_wh=[{max(smallest, 512)},{max(smallest, 512)}]",
        )


def recipe_config(spec: ModelSpec, scale: str) -> dict[str, Any]:
    """Return defaults and recipe of one scale, without the user's part."""
    config = on_top(_defaults(), spec.recipe("full"))
    if scale == "smoke":
        config = on_top(config, spec.recipe("smoke"))
    return config


def _defaults() -> dict[str, Any]:
    config: dict[str, Any] = {"augment": AUGMENT_DEFAULTS}
    for setting in SETTINGS:
        block = config
        *parents, name = setting.key.split(".")
        for parent in parents:
            block = block.setdefault(parent, {})
        block[name] = setting.default
    return config


def with_epochs(config: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """Return the config with another number of epochs, its epoch-valued settings in proportion.

    Milestones that would fall together or on epoch 0 are moved to 1, or dropped.
    """
    share = epochs / config["epochs"]
    if share == 1:
        return dict(config)
    milestones = sorted({max(1, round(each * share)) for each in config["schedule"]["milestones"]})
    last = {
        "schedule": {
            "milestones": milestones,
            "no_augment_epochs": round(config["schedule"]["no_augment_epochs"] * share),
            "warmup_epochs": config["schedule"]["warmup_epochs"] * share,
        },
        "augment": {"close_mosaic_epochs": round(config["augment"]["close_mosaic_epochs"] * share)},
    }
    return on_top(config, {"epochs": epochs, **last})


def _last(pairs: Sequence[tuple[str, Any]], key: str, default: Any) -> Any:
    values = [value for name, value in pairs if name == key]
    return values[-1] if values else default
