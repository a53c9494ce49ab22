"""Where a prediction file comes from: stored inside it, and what leak checks are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from annotated_types import Ge

from data_tools.ground.declared.checking import OPEN
from data_tools.ground.version import VERSION


@dataclass(frozen=True)
class Provenance:
    """Origin of a prediction file.

    Training images are named by `file_name`, not by id: `train.json` and `test.json` number their
    images independently, so the same id means different pictures.

    Attributes:
        dataset: fingerprint of the images predicted (`CocoDataset.fingerprint`).
        model: registry name, or the fusion method.
        run: experiment name of the run, or a name for an imported file.
        fold: fold that was held out in training; None when there is none.
        annotation_sha256: file name -> SHA-256 of the annotation files trained on.
        train_file_names: images whose labels or pseudo-labels the model was trained on.
        teacher_file_names: images that the teachers of its pseudo-labels were trained on.
        views: names of the test-time views; `views[i]` is what view number i of a box means.
        members: provenance of each fused member, in order, when this is a fusion.
        leaked: reasons why scores of this file cannot be trusted (a forced combination).
        kit_version: version of the kit that wrote the file.
    """

    __pydantic_config__ = OPEN  # newer kits may say more

    dataset: str | None = None
    model: str | None = None
    run: str | None = None
    fold: Annotated[int, Ge(0)] | None = None
    annotation_sha256: dict[str, str] = field(default_factory=dict)
    train_file_names: tuple[str, ...] = ()
    teacher_file_names: tuple[str, ...] = ()
    views: tuple[str, ...] = ("plain",)
    members: tuple[Provenance, ...] = ()
    leaked: tuple[str, ...] = ()
    kit_version: str = VERSION

    def seen_file_names(self) -> frozenset[str]:
        """Images that this model, its members or any of their teachers were trained on."""
        seen = set(self.train_file_names) | set(self.teacher_file_names)
        for member in self.members:
            seen |= member.seen_file_names()
        return frozenset(seen)

    def leak_reasons(self) -> tuple[str, ...]:
        """Reasons of this file and of its members, without repeats."""
        reasons = [*self.leaked, *(r for member in self.members for r in member.leak_reasons())]
        return tuple(dict.fromkeys(reasons))

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)
