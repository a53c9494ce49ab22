"""What the kit relies on in the JSON files of a run folder; reading checks it, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Len

from data_tools.ground.declared.checking import OPEN, checked
from data_tools.ground.declared.parsing import load_declared


@dataclass(frozen=True)
class FileRecord:
    """An annotation file that a run was trained on."""

    __pydantic_config__ = OPEN

    path: str
    sha256: str


@dataclass(frozen=True)
class RunFile:
    """`run.json`."""

    __pydantic_config__ = OPEN

    model: str
    experiment: str
    fold: Annotated[int, Ge(0)]
    state: str
    command: str
    data: dict[str, FileRecord | None]
    train_file_names: tuple[str, ...]
    teacher_file_names: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    skipped_pictures: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    minutes_per_epoch: Annotated[float, Ge(0)] | None = None


@dataclass(frozen=True)
class ResizeSettings:
    """How a picture is brought to the model's size."""

    __pydantic_config__ = OPEN

    mode: Literal["keep_ratio", "letterbox", "stretch"]
    pad_value: Annotated[int, Ge(0), Le(255)]


@dataclass(frozen=True)
class AugmentSettings:
    """Of the changes of pictures, what predicting needs too."""

    __pydantic_config__ = OPEN

    resize: ResizeSettings


@dataclass(frozen=True)
class PerformanceSettings:
    """Of how a model is computed, what predicting needs too."""

    __pydantic_config__ = OPEN

    channels_last: bool = False


@dataclass(frozen=True)
class ConfigFile:
    """`config.json`, as far as predicting and comparing go by it without building anything."""

    __pydantic_config__ = OPEN

    model: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_size_wh: Annotated[tuple[Annotated[int, Ge(1)], ...], Len(2, 2)]
    architecture: dict[str, Any]
    augment: AugmentSettings
    performance: PerformanceSettings
    precision: Literal["fp32", "bf16", "fp16"]
    batch_size: Annotated[int, Ge(1)]
    workers: Annotated[int, Ge(0)]


@dataclass(frozen=True)
class FinishedFile:
    """`finished.json`: the best epoch and its validation scores."""

    __pydantic_config__ = OPEN

    epoch: int
    val: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MicroBatchNote:
    """`micro_batch.json`: how many images at a time are known to fit."""

    __pydantic_config__ = OPEN

    micro_batch: Annotated[int, Ge(1)]


def read_checked(path: Path, kind: type[Any]) -> dict[str, Any]:
    """Return the content of a file of a run folder, with all that it says beyond `kind`.

    Raises:
        UserError: it is missing, cannot be read, or has a wrong value; the message names the keys.
    """
    content: dict[str, Any] = load_declared(path)
    checked(
        content,
        kind,
        where=path,
        next_step="take the file as `python -m models train` wrote it, or train the run again",
    )
    return content
