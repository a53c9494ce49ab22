"""One worker's copy of the world: call a line in it, see what it did, put everything back."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.robustness.forking import Limits, Outcome, run_forked
from tests.robustness.lines import Line, expanded
from tests.robustness.mutations.binaries import (
    mutate_any,
    mutate_checkpoint,
    mutate_parquet,
    mutate_picture,
)
from tests.robustness.mutations.texts import (
    Mutator,
    mutate_csv,
    mutate_encoding,
    mutate_json,
    mutate_json_lines,
    mutate_lines,
    mutate_yaml,
)
from tests.robustness.oracles import CASE_LIMITS, surroundings
from tests.robustness.trees import (
    Contents,
    changed_names,
    contents,
    copy_one,
    put_back,
    remove,
    snapshot,
)
from tests.robustness.warm import learn, learned
from tests.robustness.world import Place, copy_place

MUTATORS: dict[str, Mutator] = {
    ".json": mutate_json,
    ".jsonl": mutate_json_lines,
    ".yaml": mutate_yaml,
    ".csv": mutate_csv,
    ".xml": mutate_lines,
    ".txt": mutate_lines,
    ".parquet": mutate_parquet,
    ".pt": mutate_checkpoint,
    ".jpg": mutate_picture,
    ".png": mutate_picture,
}
# Their libraries start threads, so they work in a child.
IN_A_CHILD = (".parquet", ".pt", ".jpg", ".png")


class Harness:
    """A place of its own, equal to the original before every call."""

    def __init__(self, original: Place, root: Path) -> None:
        self.original = original
        self.place = copy_place(original, root)
        self._expected = snapshot(self.place.world)
        self._contents: Contents | None = None
        self._changed: set[str] = set()
        self._kept = self.place.root / "tmp" / "kept"
        self.around = surroundings(self.place)

    def restore(self) -> None:
        """Make the world and what lies around it equal to the original again."""
        put_back(self.original.world, self.place.world, self._expected)
        if changed_names(self.around, surroundings(self.place)):
            for name in ("outside", "home"):
                there = self.place.root / name
                put_back(self.original.root / name, there, snapshot(self.original.root / name))
            self.around = surroundings(self.place)
        self.place.executed.unlink(missing_ok=True)
        self._changed.clear()
        remove(self._kept)

    def keep(self, name: str) -> None:
        """Remember a changed name of the world as the next call is given it."""
        self._changed.add(name)
        remove(self._kept / name)
        if os.path.lexists(self.place.world / name):
            copy_one(self.place.world / name, self._kept / name)

    def save_given(self, target: Path) -> None:
        """Copy the world as the last call was given it: the original, and what was kept."""
        shutil.copytree(self.original.world, target, symlinks=True)
        for name in self._changed:
            remove(target / name)
            if os.path.lexists(self._kept / name):
                copy_one(self._kept / name, target / name)

    def contents(self) -> dict[str, bytes]:
        """Return the bytes of every file of the world; what is as it was is not read again."""
        self._contents = contents(self.place.world, self._contents)
        return self._contents.files

    def call(
        self,
        line: Line,
        arguments: Sequence[str],
        *,
        limits: Limits = CASE_LIMITS,
        prepare: Callable[[], object] | None = None,
        kill_after: float | None = None,
        at_end: Callable[[], object] = lambda: None,
    ) -> Outcome:
        """Run a line's command with these words, patterns expanded, in the world.

        `at_end` is called in the child when the command is done.
        """
        words = expanded(arguments, self.place.world)

        def run() -> None:
            try:
                line.command.run(words)
            finally:
                at_end()

        def prepared() -> None:
            self.be_at_home()
            if prepare is not None:
                prepare()

        return run_forked(
            run,
            folder=self.place.world,
            limits=limits,
            prepare=prepared,
            kill_after=kill_after,
        )

    def be_at_home(self) -> None:
        """Point what libraries write on the side into the place."""
        os.environ["HOME"] = str(self.place.root / "home")
        os.environ["TMPDIR"] = str(self.place.root / "tmp")

    def measured(self, line: Line) -> Line | None:
        """Return the line with what it reads and writes, None unless it ends well.

        What the command prepared for itself is prepared here too: its next calls find it.
        """
        before = snapshot(self.place.world)
        opened, knowledge = (self.place.root / "tmp" / name for name in ("opened.txt", "learned"))
        opened.unlink(missing_ok=True)
        outcome = self.call(
            line,
            line.arguments,
            prepare=lambda: record_opened(opened),
            at_end=lambda: knowledge.write_bytes(learned()),
        )
        if outcome.status != 0:
            return None
        learn(knowledge.read_bytes())
        after = snapshot(self.place.world)
        names = opened.read_text().splitlines() if opened.exists() else []
        read = {_in_world(name, self.place.world) for name in names}
        for word in expanded(line.arguments, self.place.world):
            there = self.place.world / word
            read |= (
                {word, *(f"{word}/{name}" for name in snapshot(there))}
                if there.is_dir()
                else {word}
            )
        files = [name for name in read if name in before and (self.place.world / name).is_file()]
        return replace(
            line,
            seconds=outcome.seconds,
            written=changed_names(before, after),
            read=sorted(files),
        )

    def mutate(self, name: str, rng: random.Random) -> str:
        """Change one file of the world by its kind, and keep it; return what was done."""
        done = self._mutated(name, rng)
        self.keep(name)
        return f"{name}: {done}"

    def _mutated(self, name: str, rng: random.Random) -> str:
        path, traps = self.place.world / name, self.place.traps
        suffixes = [suffix for suffix in Path(name).suffixes if suffix != ".gz"]
        suffix = suffixes[-1].lower() if suffixes else ""
        mutator = MUTATORS.get(suffix, mutate_any)
        if rng.random() < 0.15:
            mutator = mutate_any
        elif rng.random() < 0.08 and suffix not in IN_A_CHILD:
            mutator = mutate_encoding
        if mutator is not mutate_any and suffix in IN_A_CHILD:
            note = self.place.root / "tmp" / "note.txt"
            note.unlink(missing_ok=True)
            outcome = run_forked(
                lambda: note.write_text(mutator(path, rng, traps)),
                folder=self.place.world,
                limits=Limits(seconds=60),
            )
            if outcome.status == 0:
                return note.read_text()
            mutator = mutate_any
        try:
            return mutator(path, rng, traps)
        except (ValueError, OSError, KeyError, IndexError, RecursionError):
            # The file is no longer what its name says: an earlier mutation came first.
            return "left as it is"


def record_opened(target: Path) -> None:
    """Append the name of every file that this process opens from now on to a file."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[0], str):
            os.write(descriptor, (arguments[0] + "\n").encode("utf-8", "replace"))

    sys.addaudithook(note)


def _in_world(name: str, world: Path) -> str:
    return name.removeprefix(f"{world}/")
