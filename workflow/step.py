"""One step: a command line of the kit, with what it reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

# What a person sees of a step's output: its last line, lines as they come, or all of it.
Shows = Literal["result", "progress", "output"]


@dataclass(frozen=True)
class Step:
    """A command to run unless its record says that it was done with the same inputs and settings.

    Attributes:
        kind: what it does, the first word of its name: "train".
        subject: what it does that to: "yolox"; may be empty.
        fold: fold that it is about; None for steps that are about none.
        arguments: those of Python, such as `-m models train yolox`.
        inputs: role -> file whose content decides the outcome.
        outputs: role -> file that the step writes.
        places: role -> path that a copy of the work or data may have elsewhere.
        always: run every time: it has nothing to keep.
        shows: what to show of its output.
        one_thread: let it compute with one thread, beside another of its kind.
        advice: what to do when it refuses its settings.
    """

    kind: str
    subject: str
    fold: int | None
    arguments: tuple[str, ...]
    inputs: Mapping[str, Path] = field(default_factory=dict)
    outputs: Mapping[str, Path] = field(default_factory=dict)
    places: Mapping[str, Path] = field(default_factory=dict)
    always: bool = False
    shows: Shows = "result"
    one_thread: bool = False
    advice: str = ""

    @property
    def name(self) -> str:
        """What people call it: `train yolox`."""
        return f"{self.kind} {self.subject}".strip()

    @property
    def key(self) -> str:
        """Name of its record and its log."""
        fold = "" if self.fold is None else f"-fold{self.fold}"
        return self.name.replace(" ", "-") + fold

    def stated(self) -> list[str]:
        """Return the arguments with paths replaced by their roles: a copy elsewhere says the same.

        Files are told apart by their content, not by where they are.
        """
        roles = {str(path): f"<{role}>" for role, path in {**self.outputs, **self.inputs}.items()}
        return [roles.get(word) or self._without_root(word) for word in self.arguments]

    def _without_root(self, word: str) -> str:
        for role, path in self.places.items():
            if word == str(path) or word.startswith(f"{path}/"):
                return f"<{role}>{word.removeprefix(str(path))}"
        return word


# Steps one after the other; chains of a stage do not need each other, stages do.
Chain = tuple[Step, ...]
Stage = tuple[Chain, ...]


def files_among(words: Iterable[str]) -> dict[str, Path]:
    """Return the files that a user's own options name: their content decides too."""
    values = [
        word.partition("=")[2] if word.startswith("--") and "=" in word else word for word in words
    ]
    return {f"file {value}": Path(value) for value in values if value and Path(value).is_file()}
