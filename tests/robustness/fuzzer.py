"""Mutated inputs and odd arguments for every command."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.robustness.case import Case, called
from tests.robustness.commands import Command
from tests.robustness.harness import Harness
from tests.robustness.lines import Line, candidate_lines, outputs, with_odd_words, with_options

MOST_SECONDS = 20.0


def discover(
    harness: Harness,
    commands: Sequence[Command],
    rng: random.Random,
    tries: int,
    most: int | None = None,
) -> list[Line]:
    """Return the lines that work, measured: every candidate, and some with more options.

    Args:
        harness: where they are tried.
        commands: whose lines.
        rng: draws the options.
        tries: how often each line that works is tried with more options.
        most: candidates that work after which a command has enough; None for all.
    """
    working: list[Line] = []
    found: Counter[str] = Counter()
    for line in candidate_lines(commands):
        if most is not None and found[line.command.name] >= most:
            continue
        harness.restore()
        measured = harness.measured(line)
        if measured is None:
            continue
        working.append(measured)
        found[line.command.name] += 1
        for _ in range(tries if measured.seconds < MOST_SECONDS / 10 else 0):
            harness.restore()
            richer = harness.measured(replace(line, arguments=with_options(line, rng)))
            if richer is not None:
                working.append(richer)
    harness.restore()
    return working


def chosen_line(lines: Sequence[Line], rng: random.Random) -> Line:
    """Draw a line: every command alike, but those that take long less often."""
    by_command: dict[str, list[Line]] = {}
    for line in lines:
        by_command.setdefault(line.command.name, []).append(line)
    names = sorted(by_command)
    costs = [min(line.seconds for line in by_command[name]) for name in names]
    weights = [1 / (0.1 + cost) for cost in costs]
    return rng.choice(by_command[rng.choices(names, weights)[0]])


def fuzz_case(harness: Harness, lines: Sequence[Line], rng: random.Random) -> Case:
    """Change the world and the words of one line, call it, and look at everything it did."""
    harness.restore()
    line = chosen_line(lines, rng)
    arguments = list(line.arguments)
    if rng.random() < 0.15:
        arguments = with_options(line, rng)
    changes = [harness.mutate(name, rng) for name in _chosen_files(line, rng)]
    if not changes or rng.random() < 0.06:
        arguments = with_odd_words(line.command, arguments, rng, harness.place.traps)
    # Where it was told to write it may write, unless it reads that very file.
    told = [word for word in outputs(line.command, arguments) if word not in line.read]
    allowed = replace(line, arguments=arguments, written=[*line.written, *told])
    return called("mutated", harness, allowed, changes)


def _chosen_files(line: Line, rng: random.Random) -> list[str]:
    if not line.read:
        return []
    weights = [_weight(name, line) for name in line.read]
    count = rng.choice((0, 1, 1, 1, 1, 1, 1, 2, 2, 3))
    return sorted(set(rng.choices(line.read, weights, k=count)))


def _weight(name: str, line: Line) -> float:
    if name in line.arguments:
        return 6.0
    return 0.3 if name.endswith((".jpg", ".png")) else 1.0
