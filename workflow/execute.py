"""Do the steps of a rule that are still to be done, side by side where that is wanted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_tools.ground.errors import UserError
from workflow.commands import Children, last_line, shown
from workflow.display import Display
from workflow.place import Place
from workflow.records import expected_seconds, read_record, reason_to_run, write_record
from workflow.step import Chain, Stage, Step


class StepFailed(Exception):
    """A step ended badly; it has said why.

    Args:
        status: exit status to end with.
        advice: what else to do about it.
    """

    def __init__(self, status: int, advice: str = "") -> None:
        super().__init__(advice)
        self.status = status
        self.advice = advice


class Executor:
    """Runs stages; steps are numbered over all of them.

    Args:
        place: where records and logs are.
        display: what the user sees.
        children: the processes, which the signal handlers know too.
    """

    def __init__(self, place: Place, display: Display, children: Children) -> None:
        self._place, self._display, self._children = place, display, children
        self._failures: list[StepFailed] = []

    def run(self, stages: Iterable[Stage], first: int = 1) -> None:
        """Do all stages, the first step being number `first`.

        Raises:
            StepFailed: a step ended badly, or a signal stopped us; what ran beside it has ended.
        """
        for stage in stages:
            numbered = []
            for chain in stage:
                numbered.append([(first + position, step) for position, step in enumerate(chain)])
                first += len(chain)
            # Runs that share cores or a GPU go one after the other. The sample's small models are
            # the exception: two with a thread each get 1.4 times as far as one with two.
            lanes = 2 if self._place.is_sample and len(numbered) > 1 else 1
            with ThreadPoolExecutor(lanes) as pool:
                for done in [pool.submit(self._run_chain, chain, lanes == 1) for chain in numbered]:
                    done.result()
            if self._failures:
                raise self._failures[0]

    def _run_chain(self, chain: list[tuple[int, Step]], alone: bool) -> None:
        for number, step in chain:
            if self._failures:
                return
            try:
                self._run_step(number, step, alone)
            except StepFailed as failure:
                self._failures.append(failure)

    def _run_step(self, number: int, step: Step, alone: bool) -> None:
        work = self._place.work
        if reason_to_run(step, read_record(work, step.key)) is None:
            self._display.unchanged(number, step)
            return
        if self._children.stopped_by:
            raise StepFailed(128 + self._children.stopped_by)
        self._display.begin(number, step, shown(step), expected_seconds(work, step))
        work.logs.mkdir(parents=True, exist_ok=True)
        log = work.log(step.key)
        start = time.monotonic()
        status, lines = self._run_command(number, step, log, alone)
        if status or self._children.stopped_by:
            self._display.failed(number, step, lines)
            raise StepFailed(status or 128 + self._children.stopped_by, _advice(step, status, log))
        missing = [path for path in step.outputs.values() if not path.is_file()]
        if missing:
            raise UserError(f"{step.name} did not write {missing[0]}", where=log)
        seconds = time.monotonic() - start
        write_record(work, step, seconds)
        self._display.end(
            number, step, last_line(lines) if step.shows != "output" else "", seconds, lines
        )

    def _run_command(
        self, number: int, step: Step, log: Path, alone: bool
    ) -> tuple[int, list[str]]:
        if step.shows == "progress" and alone and self._display.shows_what_is_going_on:
            with self._display.given_away():
                return self._children.run_on_terminal(step, log)
        return self._children.run(
            step, log, lambda line: self._display.going_on(number, step, line, alone=alone)
        )


def _advice(step: Step, status: int, log: Path) -> str:
    advice = [step.advice] if status == 2 and step.advice else []
    return "\n".join([*advice, f"log: {log}"]) if status < 128 else ""


def steps_to_do(place: Place, stages: Iterable[Stage]) -> list[Step]:
    """Return the steps that would run now, without running any: what depends on one runs too."""
    rewritten: set[Path] = set()
    found = []
    for step in (step for stage in stages for chain in stage for step in chain):
        is_touched = bool(rewritten & set(step.inputs.values()))
        if is_touched or reason_to_run(step, read_record(place.work, step.key)) is not None:
            found.append(step)
            rewritten |= set(step.outputs.values())
    return found


def count(chains: Iterable[Chain]) -> int:
    """Return how many steps there are."""
    return sum(len(chain) for chain in chains)
