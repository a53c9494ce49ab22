"""Which device trains or predicts: the GPU when there is one, or as the user says."""

from __future__ import annotations

from data_tools.ground.errors import UserError


def choose_device(wanted: str) -> str:
    """Return "cuda" or "cpu"; "auto" takes a GPU when there is one.

    Raises:
        UserError: "cuda" without a GPU that torch can use.
    """
    import torch

    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise UserError(
            "torch sees no GPU",
            expected="an NVIDIA driver that suits the installed torch",
            next_step="python -m models doctor, or train with --device cpu",
        )
    return "cpu"
