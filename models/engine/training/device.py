"""Which device trains or predicts, and how weights lie in its memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_tools.ground.errors import UserError

if TYPE_CHECKING:
    import torch

    from models.engine.detector import Detector
    from models.engine.training.distributed import World


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


def torch_device(device: str, world: World) -> torch.device:
    """Return this process's device."""
    import torch

    if device != "cuda":
        return torch.device("cpu")
    torch.cuda.set_device(world.local_rank)
    return torch.device("cuda", world.local_rank)


def placed(detector: Detector, device: torch.device, config: Mapping[str, Any]) -> Detector:
    """Return the detector on a device, its weights in the memory layout that the config asks for.

    It is changed in place.
    """
    import torch

    detector.to(device)
    if config["performance"]["channels_last"]:
        # torch's own types forget this form of the call.
        detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return detector
