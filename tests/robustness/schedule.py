"""Who does what for how long: workers forked from one process that has imported the kit."""

from __future__ import annotations

import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.robustness.case import Case
from tests.robustness.commands import Command, every_command
from tests.robustness.faults import fault_case
from tests.robustness.figures import SCORE
from tests.robustness.findings import Recorder, Tally
from tests.robustness.forking import Limits, run_forked
from tests.robustness.fuzzer import discover, fuzz_case
from tests.robustness.harness import Harness
from tests.robustness.killer import UndisturbedRuns, kill_case
from tests.robustness.lines import NEVER, Line
from tests.robustness.numbers import number_case
from tests.robustness.training import toy_command
from tests.robustness.warm import LIGHT, import_kit, load_kernels, settle
from tests.robustness.world import Place, build_world, make_place

# Shares of the calls of a light worker and of the one that trains.
LIGHT_SHARES = {"mutated": 0.86, "numbers": 0.06, "killed": 0.04, "faulty": 0.04}
HEAVY_SHARES = {"mutated": 0.4, "killed": 0.5, "faulty": 0.1}
HEAVY = ("models", "workflow")
# A line that takes longer is not killed: the time for it is better spent on many others.
MOST_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """What a run does; see `python -m tests.robustness --help`."""

    seed: int
    minutes: float | None
    calls: int | None
    jobs: int
    models: bool
    tries: int
    most_lines: int | None
    only: tuple[str, ...]
    folder: Path
    scratch: Path


@dataclass(frozen=True)
class Crew:
    """What the workers of one kind share: commands, lines that work, and the original place."""

    name: str
    original: Place
    lines: Sequence[Line]
    writing: Sequence[Line]
    scoring: Command | None
    shares: dict[str, float]


def torture(plan: Plan) -> Tally:
    """Run the plan, print its summary, and return what was done and found."""
    started = time.monotonic()
    commands = [
        command
        for command in every_command()
        if not plan.only or any(command.name.startswith(name) for name in plan.only)
    ]
    workers = []
    if plan.models and any(command.package in HEAVY for command in commands):
        workers.append(_forked(lambda: _heavy_worker(plan, commands), plan.scratch / "heavy.json"))
    import_kit(LIGHT)
    light = [command for command in commands if command.package not in HEAVY]
    crew = _prepared(plan, "light", light, LIGHT_SHARES, trained=False) if light else None
    if crew is not None:
        _say(f"prepared in {time.monotonic() - started:.0f} s: {len(crew.lines)} lines, "
             f"{len(crew.writing)} of them write")  # fmt: skip
        _say_missing(light, crew.lines)
        for number in range(plan.jobs):
            target = plan.scratch / f"light{number}.json"
            workers.append(
                _forked(lambda number=number: _work(plan, crew, number, plan.jobs), target)
            )
    tally = Tally()
    for process, target in workers:
        os.waitpid(process, 0)
        if target.exists():
            tally.add(Tally.from_dict(json.loads(target.read_text())))
        else:
            tally.findings[f"harness: {target.stem} ended without a result"] += 1
    _say(f"seed {plan.seed}, {(time.monotonic() - started) / 60:.1f} minutes")
    _say(tally.text(plan.folder))
    (plan.folder / "summary.json").write_text(json.dumps(tally.as_dict(), indent=2) + "\n")
    return tally


def _forked(work: Callable[[], Tally], target: Path) -> tuple[int, Path]:
    process = os.fork()
    if process:
        return process, target
    status = 1
    try:
        target.write_text(json.dumps(work().as_dict()))
        status = 0
    except BaseException:  # noqa: BLE001 - the worker ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _heavy_worker(plan: Plan, commands: Sequence[Command]) -> Tally:
    chosen = [command for command in commands if command.package in HEAVY] + [toy_command()]
    import_kit((*LIGHT, *HEAVY))
    crew = _prepared(plan, "heavy", chosen, HEAVY_SHARES, trained=True)
    _say_missing(chosen, crew.lines)
    return _work(plan, crew, 0, 1)


def _prepared(
    plan: Plan, name: str, commands: Sequence[Command], shares: dict[str, float], *, trained: bool
) -> Crew:
    original = make_place(plan.scratch / f"{name}-original")
    outcome = run_forked(
        lambda: build_world(trained=trained), folder=original.world, limits=Limits(seconds=900)
    )
    if outcome.status != 0:
        raise RuntimeError(f"the world could not be built:\n{outcome.output}{outcome.errors}")
    load_kernels()
    harness = Harness(original, plan.scratch / f"{name}-preparation")
    lines = discover(harness, commands, random.Random(plan.seed), plan.tries, plan.most_lines)
    settle()
    scoring = [command for command in commands if command.name == SCORE]
    known = {key: share for key, share in shares.items() if scoring or key != "numbers"}
    writing = [line for line in lines if line.written and line.seconds < MOST_SECONDS]
    return Crew(name, original, lines, writing, next(iter(scoring), None), known)


def _work(plan: Plan, crew: Crew, worker: int, workers: int) -> Tally:
    harness = Harness(crew.original, plan.scratch / f"{crew.name}-{worker}")
    recorder, undisturbed_runs = Recorder(plan.folder), UndisturbedRuns(harness)
    for number in _numbers(plan, worker, workers):
        identity = f"{plan.seed}/{crew.name}/{number}"
        rng = random.Random(identity)
        kind = rng.choices(list(crew.shares), list(crew.shares.values()))[0]
        case = one_case(kind, crew, rng, undisturbed_runs)
        if case is not None:
            recorder.record(case, identity, harness)
    return recorder.tally


def _numbers(plan: Plan, worker: int, workers: int) -> Iterator[int]:
    deadline = None if plan.minutes is None else time.monotonic() + 60 * plan.minutes
    number = worker
    while (deadline is None or time.monotonic() < deadline) and (
        plan.calls is None or number < plan.calls
    ):
        yield number
        number += workers


def one_case(
    kind: str, crew: Crew, rng: random.Random, undisturbed_runs: UndisturbedRuns
) -> Case | None:
    """Make one case of a kind; None if a line turns out not to be fit for it."""
    harness = undisturbed_runs.harness
    if kind == "numbers" and crew.scoring is not None:
        return number_case(harness, crew.scoring, rng)
    if kind == "killed" and crew.writing:
        line = rng.choice(list(crew.writing))
        expected = undisturbed_runs.of(line)
        return expected and kill_case(harness, line, expected, rng.randrange(2**32))
    if kind == "faulty":
        return fault_case(harness, rng.choice(list(crew.lines)), rng.randrange(2**32))
    return fuzz_case(harness, crew.lines, rng)


def _say_missing(commands: Sequence[Command], lines: Sequence[Line]) -> None:
    working = {line.command.name for line in lines}
    missing = [command.name for command in commands if command.name not in (*working, *NEVER)]
    if missing:
        _say(f"without a line that works: {', '.join(missing)}")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command line
