"""How one piece of trash of each class looks: colour, outline and print, drawn upright.

Each function draws on a `Sprite` in unit coordinates (x right, y down, 0 to 1). The ten classes
differ in hue, outline and texture, so that a small detector can tell them apart in minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass
class Sprite:
    """A drawing in progress: (S, S, 3) uint8 BGR colours and an (S, S) uint8 coverage mask."""

    side: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.colours = np.zeros((self.side, self.side, 3), np.uint8)
        self.mask = np.zeros((self.side, self.side), np.uint8)

    def pixels(self, points: object) -> np.ndarray:
        """Return unit points as (N, 1, 2) int32 pixels."""
        return np.round(np.array(points, np.float64) * self.side).astype(np.int32).reshape(-1, 1, 2)

    def solid(self, points: object, colour: tuple[int, int, int]) -> None:
        """Add a filled polygon to the outline and paint it."""
        cv2.fillPoly(self.mask, [self.pixels(points)], 255, cv2.LINE_AA)
        self.print(points, colour)

    def print(self, points: object, colour: tuple[int, int, int]) -> None:
        """Paint a filled polygon without changing the outline."""
        cv2.fillPoly(self.colours, [self.pixels(points)], colour, cv2.LINE_AA)

    def line(self, points: object, colour: tuple[int, int, int], width: float) -> None:
        """Paint a line of `width` in unit length without changing the outline."""
        thickness = max(1, round(width * self.side))
        cv2.polylines(self.colours, [self.pixels(points)], False, colour, thickness, cv2.LINE_AA)

    def colour(self, hue: float, saturation: float, value: float) -> tuple[int, int, int]:
        """Return a BGR colour near an HSV one: degrees, then shares of 1."""
        jittered = self.rng.normal((hue, saturation, value), (5.0, 0.05, 0.05))
        return hsv_to_bgr(jittered[0], *np.clip(jittered[1:], 0, 1))


def hsv_to_bgr(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """Return integer BGR of a hue in degrees, saturation and value in [0, 1]."""
    pixel = np.array([[[hue % 360, saturation, value]]], np.float32)
    blue, green, red = np.round(cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0] * 255).astype(int)
    return int(blue), int(green), int(red)


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """Return the corners of an upright rectangle in unit coordinates."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """Return 24 points of an ellipse in unit coordinates."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii + centre


def blob(rng: np.random.Generator, corners: int, roughness: float) -> np.ndarray:
    """Return a star-shaped polygon around the middle, radius 0.48 less up to `roughness`."""
    angles = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * 2 * np.pi / corners
    radii = 0.48 - rng.uniform(0, roughness, corners)
    return 0.5 + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]


def draw_general_trash(sprite: Sprite) -> None:
    """A dark violet crumpled lump with facets and coloured specks; no floor has that colour."""
    rng = sprite.rng
    outline = blob(rng, 13, 0.17)
    sprite.solid(outline, sprite.colour(268, 0.42, 0.30))
    for _ in range(7):
        pair = outline[rng.choice(len(outline), 2, replace=False)]
        facet = [*pair, rng.uniform(0.3, 0.7, 2)]
        sprite.print(facet, sprite.colour(268, 0.40, rng.uniform(0.18, 0.50)))
    for _ in range(5):
        speck = ellipse(tuple(rng.uniform(0.25, 0.75, 2)), (0.035, 0.025))
        sprite.print(speck, sprite.colour(rng.uniform(0, 360), 0.6, 0.8))


def draw_paper(sprite: Sprite) -> None:
    """A cream sheet with lines of text and sometimes a folded corner."""
    rng = sprite.rng
    corners = np.array(box(0.14, 0.04, 0.86, 0.96)) + rng.uniform(-0.03, 0.03, (4, 2))
    sprite.solid(corners, sprite.colour(44, 0.24, 0.93))
    ink = sprite.colour(35, 0.3, 0.38)
    for row in np.arange(0.16, 0.88, 0.095):
        sprite.line([(0.24, row), (rng.uniform(0.5, 0.78), row)], ink, 0.022)
    if rng.random() < 0.5:
        sprite.print([(0.60, 0.02), (0.90, 0.02), (0.90, 0.24)], sprite.colour(40, 0.35, 0.72))


def draw_paper_pack(sprite: Sprite) -> None:
    """A turquoise drink carton with a gable, a white band and a round mark."""
    front, side = sprite.colour(178, 0.72, 0.74), sprite.colour(180, 0.75, 0.50)
    white = sprite.colour(180, 0.04, 0.95)
    sprite.solid(box(0.24, 0.30, 0.62, 0.97), front)
    sprite.solid([(0.62, 0.30), (0.80, 0.26), (0.80, 0.90), (0.62, 0.97)], side)
    sprite.solid([(0.24, 0.30), (0.34, 0.12), (0.70, 0.10), (0.80, 0.26), (0.62, 0.30)], white)
    sprite.solid(box(0.33, 0.03, 0.71, 0.13), front)
    sprite.print(box(0.24, 0.52, 0.62, 0.76), white)
    sprite.print(ellipse((0.43, 0.64), (0.09, 0.09)), sprite.colour(140, 0.7, 0.5))


def draw_metal(sprite: Sprite) -> None:
    """A red drink can with silver ends."""
    red, silver = sprite.colour(357, 0.85, 0.78), sprite.colour(210, 0.05, 0.78)
    sprite.solid(ellipse((0.5, 0.87), (0.24, 0.09)), silver)
    sprite.solid(box(0.26, 0.14, 0.74, 0.87), silver)
    sprite.print(box(0.26, 0.20, 0.74, 0.82), red)
    sprite.print([(0.26, 0.60), (0.74, 0.38), (0.74, 0.50), (0.26, 0.72)], silver)
    shade_as_cylinder(sprite, 0.26, 0.74)
    sprite.solid(ellipse((0.5, 0.13), (0.24, 0.09)), sprite.colour(210, 0.04, 0.88))
    sprite.print(ellipse((0.5, 0.13), (0.12, 0.04)), sprite.colour(210, 0.1, 0.45))


def draw_glass(sprite: Sprite) -> None:
    """A green bottle with a long neck, a label and a streak of light."""
    green, light = sprite.colour(125, 0.80, 0.48), sprite.colour(110, 0.25, 0.88)
    neck = [(0.44, 0.03), (0.56, 0.03), (0.56, 0.30), (0.67, 0.44)]
    body = [(0.67, 0.95), (0.64, 0.98), (0.36, 0.98), (0.33, 0.95), (0.33, 0.44), (0.44, 0.30)]
    sprite.solid(neck + body, green)
    shade_as_cylinder(sprite, 0.33, 0.67)
    sprite.print(box(0.33, 0.56, 0.67, 0.78), sprite.colour(60, 0.35, 0.85))
    sprite.line([(0.40, 0.36), (0.39, 0.54)], light, 0.03)
    sprite.line([(0.47, 0.08), (0.47, 0.28)], light, 0.02)


def draw_plastic(sprite: Sprite) -> None:
    """A clear blue water bottle with ribs, a dark label and a white cap."""
    blue, label = sprite.colour(212, 0.62, 0.92), sprite.colour(225, 0.85, 0.58)
    body = [(0.40, 0.12), (0.60, 0.12), (0.74, 0.30), (0.74, 0.97), (0.26, 0.97), (0.26, 0.30)]
    sprite.solid(body, blue)
    sprite.print(box(0.26, 0.40, 0.74, 0.62), label)
    for row in (0.68, 0.76, 0.84, 0.92):
        sprite.line([(0.26, row), (0.74, row)], sprite.colour(212, 0.85, 0.70), 0.02)
    shade_as_cylinder(sprite, 0.22, 0.78)
    sprite.line([(0.34, 0.30), (0.34, 0.94)], sprite.colour(205, 0.12, 1.0), 0.03)
    sprite.solid(box(0.40, 0.03, 0.60, 0.13), sprite.colour(210, 0.05, 0.96))


def draw_styrofoam(sprite: Sprite) -> None:
    """A white foam tray seen from above: rim, hollow and beads."""
    rng = sprite.rng
    sprite.solid(box(0.06, 0.14, 0.94, 0.86), sprite.colour(230, 0.03, 0.97))
    sprite.print(box(0.17, 0.25, 0.83, 0.75), sprite.colour(230, 0.10, 0.80))
    sprite.print(box(0.21, 0.30, 0.83, 0.75), sprite.colour(230, 0.05, 0.90))
    bead = sprite.colour(230, 0.10, 0.72)
    for point in rng.uniform((0.1, 0.18), (0.9, 0.82), (45, 2)):
        sprite.print(ellipse(tuple(point), (0.012, 0.012)), bead)


def draw_plastic_bag(sprite: Sprite) -> None:
    """A pink carrier bag with two handles and creases."""
    rng = sprite.rng
    pink, crease = sprite.colour(322, 0.50, 0.92), sprite.colour(322, 0.18, 0.99)
    handles = [(0.24, 0.03), (0.36, 0.03), (0.38, 0.26), (0.62, 0.26), (0.64, 0.03), (0.76, 0.03)]
    belly = [(0.80, 0.32), (0.95, 0.60), (0.90, 0.93), (0.60, 0.98), (0.35, 0.95), (0.08, 0.93)]
    outline = np.array([*handles, *belly, (0.05, 0.62), (0.20, 0.32)])
    sprite.solid(np.clip(outline + rng.normal(0, 0.018, outline.shape), 0.01, 0.99), pink)
    for _ in range(9):
        start = rng.uniform((0.2, 0.3), (0.8, 0.5))
        bend = start + rng.uniform((-0.15, 0.1), (0.15, 0.25))
        end = bend + rng.uniform((-0.15, 0.05), (0.15, 0.25))
        tone = crease if rng.random() < 0.6 else sprite.colour(322, 0.65, 0.72)
        sprite.line([start, bend, end], tone, 0.02)


def draw_battery(sprite: Sprite) -> None:
    """A black cell with a copper top and a silver knob."""
    sprite.solid(box(0.43, 0.03, 0.57, 0.12), sprite.colour(210, 0.04, 0.88))
    sprite.solid(box(0.32, 0.10, 0.68, 0.97), sprite.colour(250, 0.10, 0.16))
    sprite.print(box(0.32, 0.10, 0.68, 0.42), sprite.colour(30, 0.80, 0.90))
    shade_as_cylinder(sprite, 0.32, 0.68)
    white = sprite.colour(0, 0.0, 0.95)
    sprite.line([(0.44, 0.60), (0.56, 0.60)], white, 0.03)
    sprite.line([(0.50, 0.54), (0.50, 0.66)], white, 0.03)


def draw_clothing(sprite: Sprite) -> None:
    """A yellow T-shirt with violet stripes."""
    rng = sprite.rng
    cloth, stripe = sprite.colour(52, 0.85, 0.93), sprite.colour(275, 0.60, 0.50)
    right = [(0.62, 0.08), (0.97, 0.26), (0.88, 0.46), (0.75, 0.38), (0.77, 0.96)]
    left = [(0.23, 0.96), (0.25, 0.38), (0.12, 0.46), (0.03, 0.26), (0.38, 0.08)]
    collar = [(0.44, 0.15), (0.56, 0.15)]
    outline = np.array(right + left + collar)
    sprite.solid(np.clip(outline + rng.normal(0, 0.012, outline.shape), 0.01, 0.99), cloth)
    for row in (0.44, 0.60, 0.76):
        sprite.line([(0.2, row), (0.8, row + rng.uniform(-0.03, 0.03))], stripe, 0.06)


def shade_as_cylinder(sprite: Sprite, left: float, right: float) -> None:
    """Darken the flanks of what is drawn between two x and brighten it left of the middle."""
    across = (np.arange(sprite.side) / sprite.side - left) / (right - left)
    light = 1.12 - 1.5 * (np.clip(across, 0, 1) - 0.38) ** 2
    shaded = sprite.colours * light[None, :, None].astype(np.float32)
    sprite.colours[:] = np.clip(shaded, 0, 255).astype(np.uint8)


# In the order of `layout.CLASS_NAMES`: how to draw it, and its width over height when upright.
DRAW_OF_CLASS: tuple[tuple[Callable[[Sprite], None], float], ...] = (
    (draw_general_trash, 1.0),
    (draw_paper, 0.78),
    (draw_paper_pack, 0.60),
    (draw_metal, 0.52),
    (draw_glass, 0.36),
    (draw_plastic, 0.51),
    (draw_styrofoam, 1.22),
    (draw_plastic_bag, 0.95),
    (draw_battery, 0.38),
    (draw_clothing, 1.07),
)
