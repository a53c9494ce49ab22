"""What is raised for operators and arguments that are not supplied."""

from __future__ import annotations

MODULE_NAME = "mmcv._ext"


class MissingOperatorError(NotImplementedError):
    """An operator of mmcv that Boxcamp does not supply was called."""
