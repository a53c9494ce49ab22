"""Render one scene: place the objects of a layout, draw them, and box what can be seen of each."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data_tools.sample.ground import draw_clutter, draw_ground, draw_leaf, smooth_noise
from data_tools.sample.sprites import DRAW_OF_CLASS, Sprite

# Scenes are drawn at twice their size and reduced: smooth edges, and boxes to half a pixel.
SUPERSAMPLING = 2
LARGEST_SPRITE = 320
PLACEMENT_TRIES = 40
# An object is placed where every object under it keeps at least this share of its pixels in view.
SHARE_TO_KEEP = 0.75
# Of an object that keeps less than this nothing recognisable is left; its box is not written.
SHARE_TO_LABEL = 0.12
SHORTEST_VISIBLE_SIDE = 3.0
# Some objects reach over the edge of the picture, with up to this share outside.
SHARE_AT_THE_EDGE = 0.12
LARGEST_CUT = 0.4


@dataclass(frozen=True)
class Scene:
    """A rendered picture and its truth.

    Attributes:
        picture: (side, side, 3) uint8 BGR.
        boxes_xyxy: (N, 4) float64 pixels, tight around what is visible.
        labels: (N,) int64 index into `layout.CLASS_NAMES`.
        visible: (N,) float64 share of each object's pixels that nothing else covers.
    """

    picture: np.ndarray
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    visible: np.ndarray


def render_scene(
    labels: np.ndarray, sizes_wh: np.ndarray, side: int, rng: np.random.Generator
) -> Scene:
    """Render objects of these classes and sizes (fractions of the side) at positions drawn here."""
    large = side * SUPERSAMPLING
    # The floor has no sharp edges: half the resolution is enough, at a quarter of the time.
    picture = cv2.resize(draw_ground(side, rng), (large, large), interpolation=cv2.INTER_LINEAR)
    draw_clutter(picture, int(rng.integers(0, 22)), rng)
    owner = np.zeros((large, large), np.uint8)
    drawn_pixels = np.zeros(len(labels) + 1, np.int64)
    in_view = np.zeros(len(labels) + 1, np.int64)
    # Mostly large things first: small ones on top of large ones stay visible, as in a heap.
    area = sizes_wh.prod(axis=1) * np.exp(rng.normal(0, 0.35, len(labels)))
    order = np.argsort(-area, kind="stable")
    for number, item in enumerate(order, start=1):
        sprite, edge = _draw_sprite(int(labels[item]), sizes_wh[item] * large, rng)
        corner, hidden = _place(sprite, edge, owner, in_view, drawn_pixels, rng)
        drawn_pixels[number] = paste(picture, owner, sprite, corner, number)
        in_view -= hidden
        in_view[number] = drawn_pixels[number]
    _cover_with_leaves(picture, owner, rng)
    boxes, visible = visible_boxes(owner, drawn_pixels)
    sides = boxes[:, 2:] - boxes[:, :2]
    keep = (visible >= SHARE_TO_LABEL) & (sides.min(axis=1) >= SHORTEST_VISIBLE_SIDE)
    return Scene(finish(picture, side, rng), boxes[keep], labels[order][keep], visible[keep])


def _draw_sprite(
    label: int, size_wh: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, int | None]:
    """Return a sprite that fills its box, and the edge (0 to 3) it was cut off at, if any."""
    if rng.random() >= SHARE_AT_THE_EDGE:
        return make_sprite(label, size_wh, rng), None
    edge, cut = int(rng.integers(4)), rng.uniform(0.1, LARGEST_CUT)
    longer = np.array(size_wh)
    longer[edge % 2] /= 1 - cut
    sprite = make_sprite(label, longer, rng)
    width, height = np.maximum(np.round(size_wh), 2).astype(int)
    # Edges 0 and 1 are left and top: the sprite's far part is what remains in the picture.
    kept = sprite[-height:, -width:] if edge < 2 else sprite[:height, :width]
    return _crop_to_mask(kept), edge


def make_sprite(label: int, size_wh: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an (h, w, 4) uint8 BGRA picture of one object, turned, shaded and filling its box."""
    draw, upright_aspect = DRAW_OF_CLASS[label]
    width, height = np.maximum(np.round(size_wh), 2).astype(int)
    side = int(np.clip(1.2 * max(width, height), 64, LARGEST_SPRITE))
    sprite = Sprite(side, rng)
    draw(sprite)
    shade = 1 + 0.13 * smooth_noise(side, 4, rng)
    colours = np.clip(sprite.colours * shade[..., None], 0, 255).astype(np.uint8)
    angle = _angle_near_aspect(upright_aspect, width / height, rng)
    upright = np.dstack([colours, sprite.mask])
    turned = _turn(upright, angle)
    cropped = _crop_to_mask(turned)
    smaller = width < cropped.shape[1]
    return cv2.resize(
        cropped, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )


def _angle_near_aspect(upright: float, wanted: float, rng: np.random.Generator) -> float:
    """Choose, of some random angles, one whose turned box is about as wide as wanted (radians)."""
    angles = rng.uniform(0, 2 * np.pi, 10)
    cosine, sine = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    turned = (upright * cosine + sine) / (upright * sine + cosine)
    return float(angles[np.argmin(np.abs(np.log(turned / wanted)))])


def _turn(picture: np.ndarray, angle: float) -> np.ndarray:
    side = len(picture)
    room = int(np.ceil(side * 1.42))
    matrix: np.ndarray = cv2.getRotationMatrix2D((side / 2, side / 2), np.degrees(angle), 1.0)
    matrix[:, 2] += (room - side) / 2
    return cv2.warpAffine(picture, matrix, (room, room), flags=cv2.INTER_LINEAR)


def _crop_to_mask(picture: np.ndarray) -> np.ndarray:
    left, top, width, height = cv2.boundingRect((picture[..., 3] > 127).astype(np.uint8))
    return picture[top : top + height, left : left + width]


def _place(
    sprite: np.ndarray,
    edge: int | None,
    owner: np.ndarray,
    in_view: np.ndarray,
    drawn_pixels: np.ndarray,
    rng: np.random.Generator,
) -> tuple[tuple[int, int], np.ndarray]:
    """Return the (left, top) at which the sprite hides least, and the pixels it hides of each."""
    height, width = sprite.shape[:2]
    room = np.maximum(len(owner) - np.array([width, height]), 0)
    inside = sprite[..., 3] > 127
    best_corner, best_hidden, best_share = (0, 0), np.zeros_like(in_view), -1.0
    for _ in range(PLACEMENT_TRIES):
        corner = rng.integers(0, room + 1)
        if edge is not None:
            corner[edge % 2] = 0 if edge < 2 else room[edge % 2]
        left, top = int(corner[0]), int(corner[1])
        below = owner[top : top + height, left : left + width][inside]
        hidden = np.bincount(below, minlength=len(drawn_pixels))
        touched = np.flatnonzero(hidden[1:]) + 1
        share = ((in_view - hidden)[touched] / drawn_pixels[touched]).min(initial=1.0)
        if share > best_share:
            best_corner, best_hidden, best_share = (left, top), hidden, share
        if share >= SHARE_TO_KEEP:
            break
    return best_corner, best_hidden


def paste(
    picture: np.ndarray,
    owner: np.ndarray,
    sprite: np.ndarray,
    corner: tuple[int, int],
    number: int,
) -> int:
    """Draw a shadow and the sprite, in place; return how many pixels it covers."""
    left, top = corner
    height, width = sprite.shape[:2]
    _draw_shadow(picture, sprite[..., 3], corner)
    target = picture[top : top + height, left : left + width]
    alpha = sprite[..., 3:].astype(np.float32) / 255
    target += (sprite[..., :3] - target) * alpha
    inside = sprite[..., 3] > 127
    owner[top : top + height, left : left + width][inside] = number
    return int(inside.sum())


def _draw_shadow(picture: np.ndarray, mask: np.ndarray, corner: tuple[int, int]) -> None:
    large, reach = len(picture), 2 + int(0.05 * min(mask.shape))
    left, top = corner[0] + reach // 2, corner[1] + reach // 2
    right, bottom = min(left + mask.shape[1], large), min(top + mask.shape[0], large)
    part = mask[: max(bottom - top, 0), : max(right - left, 0)]
    if part.size:
        soft = cv2.blur(part, (reach, reach)).astype(np.float32) * (0.45 / 255)
        picture[top:bottom, left:right] *= 1 - soft[..., None]


def _cover_with_leaves(picture: np.ndarray, owner: np.ndarray, rng: np.random.Generator) -> None:
    """Let a few leaves lie on top of the objects."""
    for _ in range(int(rng.integers(0, 4))):
        outline = draw_leaf(picture, rng.uniform(0, 1, 2), rng.uniform(0.02, 0.05), rng)
        cv2.fillPoly(owner, [np.round(outline).astype(np.int32)], 0)


def visible_boxes(owner: np.ndarray, drawn_pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 4) boxes of what is in view, in final pixels, and the (N,) share in view."""
    boxes, visible = [], []
    in_view = np.bincount(owner.ravel(), minlength=len(drawn_pixels))
    for number in range(1, len(drawn_pixels)):
        left, top, width, height = cv2.boundingRect((owner == number).view(np.uint8))
        boxes.append((left, top, left + width, top + height))
        visible.append(in_view[number] / max(drawn_pixels[number], 1))
    return np.array(boxes, np.float64).reshape(-1, 4) / SUPERSAMPLING, np.array(visible)


def finish(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Reduce to the final size and add what a camera adds: exposure, colour cast, blur, noise."""
    reduced = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    exposed = reduced * (rng.uniform(0.78, 1.14) * rng.uniform(0.95, 1.05, 3).astype(np.float32))
    if rng.random() < 0.2:
        exposed = cv2.GaussianBlur(exposed, (3, 3), 0.7)
    noise = rng.standard_normal((side, side), dtype=np.float32) * rng.uniform(1.0, 4.0)
    return np.clip(exposed + noise[..., None], 0, 255).round().astype(np.uint8)
