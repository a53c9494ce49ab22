"""What lies under and between the trash: floors, light, and clutter that is nobody's class."""

from __future__ import annotations

import cv2
import numpy as np

from data_tools.sample.sprites import ellipse, hsv_to_bgr


def smooth_noise(side: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return (side, side) float32 noise in about [-1, 1] with `cells` bumps across."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def draw_ground(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a (side, side, 3) float32 BGR floor of one of five kinds, unevenly lit."""
    kinds = (_concrete, _asphalt, _planks, _tiles, _soil)
    ground = kinds[int(rng.integers(len(kinds)))](side, rng)
    light = 1 + 0.10 * smooth_noise(side, 3, rng)
    slope = np.linspace(-1, 1, side, dtype=np.float32) * rng.uniform(-0.12, 0.12)
    return ground * (light + (slope[None, :] if rng.random() < 0.5 else slope[:, None]))[..., None]


def _plain(side: int, hsv: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    value = float(np.clip(hsv[2] + rng.uniform(-0.07, 0.07), 0, 1))
    colour = np.array(hsv_to_bgr(hsv[0], hsv[1], value), np.float32)
    return np.broadcast_to(colour, (side, side, 3)).copy()


def _speckled(ground: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    side = len(ground)
    mixed = smooth_noise(side, side // 4, rng) + 0.7 * smooth_noise(side, 12, rng)
    return ground * (1 + strength * mixed)[..., None]


def _concrete(side: int, rng: np.random.Generator) -> np.ndarray:
    ground = _speckled(_plain(side, (35, 0.06, 0.62), rng), 0.05, rng)
    start = rng.uniform(0, side, 2)
    steps = rng.normal(0, side * 0.06, (8, 2)) + rng.normal(0, side * 0.08, 2)
    crack = np.round(start + np.cumsum(steps, axis=0)).astype(np.int32)
    return cv2.polylines(ground, [crack], False, (70, 75, 78), max(1, side // 300), cv2.LINE_AA)


def _asphalt(side: int, rng: np.random.Generator) -> np.ndarray:
    return _speckled(_plain(side, (220, 0.06, 0.40), rng), 0.16, rng)


def _soil(side: int, rng: np.random.Generator) -> np.ndarray:
    return _speckled(_plain(side, (33, 0.30, 0.56), rng), 0.13, rng)


def _planks(side: int, rng: np.random.Generator) -> np.ndarray:
    ground = _plain(side, (28, 0.34, 0.60), rng)
    grain = cv2.resize(
        rng.uniform(-1, 1, (5, side // 4)).astype(np.float32), (side, side), interpolation=1
    )
    ground *= (1 + 0.05 * grain)[..., None]
    width = int(side * rng.uniform(0.14, 0.24))
    for left in range(0, side, width):
        ground[:, left : left + width] *= rng.uniform(0.90, 1.08)
        ground[:, left : left + max(2, side // 200)] *= 0.6
    return ground


def _tiles(side: int, rng: np.random.Generator) -> np.ndarray:
    ground = _speckled(_plain(side, (205, 0.07, 0.70), rng), 0.025, rng)
    pitch, joint = int(side * rng.uniform(0.18, 0.34)), max(2, side // 130)
    offset = rng.integers(0, pitch, 2)
    for start in range(-pitch, side, pitch):
        row, column = max(start + offset[0], 0), max(start + offset[1], 0)
        ground[row : row + joint] *= 0.80
        ground[:, column : column + joint] *= 0.80
    return ground


def draw_clutter(picture: np.ndarray, pieces: int, rng: np.random.Generator) -> None:
    """Strew pebbles, twigs and dry leaves over a float32 BGR picture, in place."""
    side = len(picture)
    for _ in range(pieces):
        centre, kind = rng.uniform(0, 1, 2), rng.random()
        if kind < 0.5:
            radii = rng.uniform(0.004, 0.014, 2)
            colour = hsv_to_bgr(30, 0.08, rng.uniform(0.35, 0.75))
            _fill(picture, ellipse(tuple(centre), tuple(radii)) * side, colour)
        elif kind < 0.75:
            end = centre + rng.normal(0, 0.05, 2)
            colour = hsv_to_bgr(28, 0.45, rng.uniform(0.25, 0.4))
            line = np.round(np.array([centre, end]) * side).astype(np.int32)
            cv2.polylines(picture, [line], False, colour, max(1, side // 200), cv2.LINE_AA)
        else:
            draw_leaf(picture, centre, rng.uniform(0.025, 0.055), rng)


def draw_leaf(
    picture: np.ndarray, centre: np.ndarray, length: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw one dry leaf on a float32 BGR picture, in place; return its (M, 2) outline in pixels."""
    along = np.linspace(-1, 1, 9)
    edge = 0.42 * (1 - along**2)
    points = np.concatenate(
        [np.stack([along, edge], axis=1), np.stack([along[::-1], -edge[::-1]], axis=1)]
    )
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    side = len(picture)
    outline = (points @ turn * length + centre) * side
    _fill(picture, outline, hsv_to_bgr(rng.uniform(62, 80), 0.42, rng.uniform(0.30, 0.45)))
    vein = np.round((np.array([[-1, 0], [1, 0]]) @ turn * length + centre) * side).astype(np.int32)
    cv2.polylines(picture, [vein], False, hsv_to_bgr(60, 0.3, 0.55), 1, cv2.LINE_AA)
    return outline


def _fill(picture: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    cv2.fillPoly(picture, [np.round(points).astype(np.int32)], colour, cv2.LINE_AA)
