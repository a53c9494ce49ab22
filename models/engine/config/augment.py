"""The `augment` block of a model's configuration: its keys, their defaults and their check.

This file imports neither torch nor OpenCV, so reading a configuration stays cheap.
docs/augmentation.md describes every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, get_type_hints

from annotated_types import Ge, Gt, Le, MinLen, Predicate

from data_tools.ground.declared.checking import EXACT, checked
from data_tools.ground.declared.expected import Expected
from data_tools.ground.nested import merged


def _is_range(pair: tuple[float, float]) -> bool:
    return 0 < pair[0] <= pair[1]


Probability = Annotated[float, Ge(0), Le(1), Expected("0 to 1")]
Pair = Annotated[tuple[float, float], Predicate(_is_range)]
Range = Annotated[Pair, Expected("[low, high] with 0 < low <= high")]
EnlargingRange = Annotated[
    Pair, Predicate(lambda pair: pair[0] >= 1), Expected("[low, high] with 1 <= low <= high")
]
Ious = Annotated[tuple[float, ...], MinLen(1), Expected("a list of numbers")]
Colour = Annotated[tuple[int, ...], MinLen(1), Expected("a list of whole numbers")]


@dataclass(frozen=True)
class Resize:
    """How an image gets its training size.

    `keep_ratio` fits it inside, `letterbox` also fills up to the whole size with `pad_value`,
    `stretch` ignores the aspect ratio.
    """

    __pydantic_config__ = EXACT

    mode: Annotated[
        Literal["keep_ratio", "letterbox", "stretch"],
        Expected("keep_ratio, letterbox or stretch"),
    ] = "keep_ratio"
    pad_value: int = 114


@dataclass(frozen=True)
class Affine:
    """Rotation, shift, scale and shear; `translate` is a fraction of the side."""

    __pydantic_config__ = EXACT

    probability: Probability = 0.0
    rotate_degrees: float = 10.0
    translate: float = 0.1
    scale: Range = (0.5, 1.5)
    shear_degrees: float = 2.0


@dataclass(frozen=True)
class Hsv:
    """YOLOX's shifts of hue, saturation and value."""

    __pydantic_config__ = EXACT

    probability: Probability = 0.0
    hue: int = 5
    saturation: int = 30
    value: int = 30


@dataclass(frozen=True)
class Photometric:
    """SSD's distortion of brightness, contrast, saturation and hue."""

    __pydantic_config__ = EXACT

    probability: Probability = 0.0
    brightness: float = 32.0
    contrast: Range = (0.5, 1.5)
    saturation: Range = (0.5, 1.5)
    hue_degrees: float = 18.0


@dataclass(frozen=True)
class Expand:
    """SSD's larger canvas around the image."""

    __pydantic_config__ = EXACT

    probability: Probability = 0.0
    ratio: EnlargingRange = (1.0, 4.0)
    fill_bgr: Colour = (103, 116, 123)


@dataclass(frozen=True)
class MinIouCrop:
    """SSD's crop that keeps boxes with an IoU of at least one of `ious`."""

    __pydantic_config__ = EXACT

    probability: Probability = 0.0
    ious: Ious = (0.1, 0.3, 0.5, 0.7, 0.9)
    min_size: Annotated[float, Gt(0), Le(1), Expected("a number above 0 and at most 1")] = 0.3


@dataclass(frozen=True)
class Augment:
    """The `augment` block.

    Attributes:
        resize: how an image gets its training size.
        flip: probability of a left-right flip.
        multi_scale: range of the size of a whole batch, relative to image_size_wh.
        mosaic: probability that a sample is composed of four images.
        mixup: probability that a second image is blended in, half and half.
        mixup_scale: range of the second image's size.
        close_mosaic_epochs: mosaic, mixup and affine are off in that many last epochs.
        affine, hsv, photometric, expand, min_iou_crop: blocks of their own.
        min_box_px: a box with a smaller side after all transforms is left out.
        min_visible: a box of which less area stays inside the picture is left out.
        cache_mb: memory for decoded images, all workers together.
    """

    __pydantic_config__ = EXACT

    resize: Resize = field(default_factory=Resize)
    flip: Probability = 0.5
    multi_scale: Range = (1.0, 1.0)
    mosaic: Probability = 0.0
    mixup: Probability = 0.0
    mixup_scale: Range = (0.8, 1.6)
    close_mosaic_epochs: Annotated[int, Ge(0)] = 0
    affine: Affine = field(default_factory=Affine)
    hsv: Hsv = field(default_factory=Hsv)
    photometric: Photometric = field(default_factory=Photometric)
    expand: Expand = field(default_factory=Expand)
    min_iou_crop: MinIouCrop = field(default_factory=MinIouCrop)
    min_box_px: Annotated[float, Ge(0)] = 1.0
    min_visible: Probability = 0.0
    cache_mb: Annotated[int, Ge(0)] = 1024


def complete_augment(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `augment` block with defaults filled in, checked.

    Args:
        given: any part of `AUGMENT_DEFAULTS`, nested the same way.

    Raises:
        UserError: a key is unknown or a value cannot be; all faults in one message.
    """
    checked(given, Augment, where="configuration, block `augment`", key="augment")
    # What was given stays as it was written: a 1 does not become 1.0.
    return merged(AUGMENT_DEFAULTS, given)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _kinds(block: Any, prefix: str = "") -> dict[str, Any]:
    kinds: dict[str, Any] = {}
    for entry in fields(block):
        kind = get_type_hints(block, include_extras=True)[entry.name]
        key = f"{prefix}{entry.name}"
        kinds |= _kinds(kind, f"{key}.") if is_dataclass(kind) else {key: kind}
    return kinds


AUGMENT_DEFAULTS: dict[str, Any] = _as_json(asdict(Augment()))
# Dotted key inside the block -> type of its value.
AUGMENT_KINDS = _kinds(Augment)
