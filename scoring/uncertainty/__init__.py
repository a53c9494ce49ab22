"""How far a score would move: resampled images, intervals, what may be called a difference."""
