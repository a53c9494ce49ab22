"""How fast training goes, for the display and the log."""

from __future__ import annotations

import time
from collections import deque


class Speed:
    """Images per second over the recent steps."""

    def __init__(self, steps: int = 20) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=steps)
        self.restart()

    @property
    def images_per_second(self) -> float:
        """Images of the recent steps over the time they took; 0 before the first."""
        seconds = sum(seconds for _, seconds in self._recent)
        return sum(images for images, _ in self._recent) / seconds if seconds else 0.0

    def restart(self) -> None:
        """Start the clock anew, after a pause that is not training."""
        self._time = time.monotonic()

    def add(self, images: int) -> None:
        """Count the images of a step that just ended."""
        now = time.monotonic()
        self._recent.append((images, max(now - self._time, 1e-6)))
        self._time = now
