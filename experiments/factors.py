"""What differs between two runs: keys of the resolved configuration, grouped into factors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_tools.ground.errors import UserError
from experiments.run_folder import Run

# Keys that say how a run was carried out, not what was trained: no cause of a different score.
NOT_A_FACTOR = ("config.workers", "config.performance", "config.checkpoint", "config.log")
# What `epochs` moves with it, in proportion: see `models.engine.config.resolve.with_epochs`.
EPOCH_KEYS = (
    "config.schedule.milestones",
    "config.schedule.no_augment_epochs",
    "config.schedule.warmup_epochs",
    "config.augment.close_mosaic_epochs",
)
# Changing the detector is one change, however many keys of the network that touches. Optimizer,
# schedule and augmentation are NOT part of it: holding them equal is what makes a comparison of
# detectors one of detectors.
MODEL_KEYS = ("config.model", "config.neck", "config.architecture")


@dataclass(frozen=True)
class Difference:
    """One key whose value differs.

    Attributes:
        key: dotted path, below `config.` or `data.`.
        factor: name of the factor that the key belongs to.
        base: value in the base; None when the key is absent there.
        other: value in the other.
    """

    key: str
    factor: str
    base: Any
    other: Any

    def __str__(self) -> str:
        return f"{self.key}: {_short(self.base)} -> {_short(self.other)}"


def differences(base: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Compare two nested mappings with the top keys `config` and `data`.

    A block whose `type` differs is one difference, not one per key inside it.

    Args:
        base: resolved configuration and data inputs of the first run.
        other: the same of the second.

    Returns:
        Differences sorted by key.
    """
    found = [
        (key, first, second)
        for key, first, second in _walk("", base, other)
        if not key.startswith(NOT_A_FACTOR)
    ]
    keys = {key for key, _, _ in found}
    return [
        Difference(key, factor_of_key(key, keys), first, second)
        for key, first, second in sorted(found, key=lambda row: row[0])
    ]


def _walk(prefix: str, base: Any, other: Any) -> Iterable[tuple[str, Any, Any]]:
    both_mappings = isinstance(base, Mapping) and isinstance(other, Mapping)
    if not both_mappings or base.get("type") != other.get("type"):
        if base != other:
            yield prefix, base, other
        return
    for key in {**base, **other}:
        yield from _walk(f"{prefix}.{key}" if prefix else key, base.get(key), other.get(key))


def factor_of_key(key: str, differing_keys: Collection[str] = ()) -> str:
    """Return the factor of a dotted key.

    The network is one factor, `model` when another detector was named and `architecture` when only
    the network was changed; the number of epochs is one with the milestones that move with it;
    pseudo-labels are one; an option inside a block such as `augment` is one of its own; the
    optimizer and the rest of the schedule are one each.

    Args:
        key: below `config.` or `data.`.
        differing_keys: all keys that differ.
    """
    if key.startswith(MODEL_KEYS):
        return "model" if "config.model" in differing_keys else "architecture"
    if key in EPOCH_KEYS and "config.epochs" in differing_keys:
        return "epochs"
    parts = key.split(".")
    if parts[0] == "data":
        return parts[1]
    return ".".join(parts[1:3]) if parts[1] == "augment" else parts[1]


def factors(found: Iterable[Difference]) -> list[str]:
    """Return the names of the differing factors, each once, in order of appearance."""
    return list(dict.fromkeys(difference.factor for difference in found))


def require_single_factor(
    found: list[Difference], *, arm: str, base: str, stated: str, where: Any
) -> str:
    """Return the one factor that differs.

    Raises:
        UserError: none or several differ; the message lists every key that does.
    """
    names = factors(found)
    if len(names) == 1:
        return names[0]
    if not names:
        raise UserError(
            f"arm {arm!r} does not differ from {base!r}: {stated} is already what the base has",
            where=where,
            expected="exactly one factor that differs",
        )
    listing = "\n".join(f"              {difference}" for difference in found)
    raise UserError(
        f"arm {arm!r} differs from {base!r} in {len(names)} factors ({', '.join(names)}), "
        f"it states only {stated}\n            every key that differs:\n{listing}",
        where=where,
        expected="exactly one factor that differs, so that a gain can be put down to it",
        next_step="hold the others equal with `held: [...]` or `base: {set: {key: value}}`",
    )


def comparable_inputs(run: Run) -> dict[str, Any]:
    """Return what `differences` compares, from the files of a finished or running run."""
    data = run.info.get("data") or {}
    pseudo = data.get("pseudo_json")
    inputs = {
        "fold": run.fold,
        "train": _hash_of(data.get("train_json")),
        "val": _hash_of(data.get("val_json")),
        "pseudo": _hash_of(pseudo),
    }
    config = {key: value for key, value in run.config.items() if key != "seed"}
    return {"config": config, "data": inputs}


def _hash_of(file: Any) -> str | None:
    if not isinstance(file, Mapping):
        return None
    digest = file.get("sha256") or ""
    # By content: the same file in another work folder is the same input.
    name = Path(str(file.get("path"))).name
    return f"{name} ({digest[:12]})" if digest else name


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        text = str(value["type"]) if "type" in value else f"{{{', '.join(map(str, value))}}}"
    else:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
