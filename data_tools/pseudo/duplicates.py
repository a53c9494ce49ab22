"""Test pictures that are training or validation pictures too: reported, and not used as labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_tools.pictures.facts import ImageFacts, near_duplicates, read_image_facts

EXAMPLES = 5


@dataclass(frozen=True)
class DuplicateReport:
    """Which test images repeat a training or validation image.

    Attributes:
        checked: False when pictures were not compared, with the reason in `why_not`.
        pairs: (test file name, other file name) with equal names, equal bytes or equal looks.
        why_not: why pictures were not compared.
        broken_tests: test file name -> why it does not decode; no labels come from these.
        broken_others: the same of training and validation pictures, which nothing is compared to.
    """

    checked: bool
    pairs: tuple[tuple[str, str], ...] = field(default_factory=tuple)
    why_not: str | None = None
    broken_tests: Mapping[str, str] = field(default_factory=dict)
    broken_others: Mapping[str, str] = field(default_factory=dict)

    @property
    def test_file_names(self) -> frozenset[str]:
        """The test images that repeat another."""
        return frozenset(pair[0] for pair in self.pairs)

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "checked": self.checked,
            "why_not": self.why_not,
            "images": len(self.test_file_names),
            "examples": [list(pair) for pair in self.pairs[:EXAMPLES]],
            "broken_test_images": dict(self.broken_tests),
            "broken_other_images": dict(self.broken_others),
        }


def find_test_duplicates(
    image_root: Path,
    test_file_names: Sequence[str],
    other_file_names: Sequence[str],
    *,
    enabled: bool = True,
    known: dict[Path, ImageFacts] | None = None,
    tick: Callable[[int], None] = lambda total: None,
) -> DuplicateReport:
    """Compare every test picture with every training and validation picture.

    Args:
        image_root: what the names are relative to.
        test_file_names: pictures to be labelled.
        other_file_names: pictures with truth.
        enabled: False compares names only.
        known: facts of pictures that were read before, by path; what is read is added.
        tick: called after each picture that is read, with the number to read.
    """
    same_name = [(name, name) for name in sorted(set(test_file_names) & set(other_file_names))]
    if not enabled:
        return DuplicateReport(False, tuple(same_name), "switched off")
    names = [*test_file_names, *other_file_names]
    missing = [name for name in names if not (image_root / name).is_file()]
    if missing:
        why_not = f"{len(missing)} of {len(names)} images are not in {image_root}"
        return DuplicateReport(False, tuple(same_name), why_not)
    known = {} if known is None else known
    new = [name for name in dict.fromkeys(names) if image_root / name not in known]
    found = read_image_facts(image_root, new, pixels="reduced", tick=lambda: tick(len(new)))
    known.update({image_root / fact.file_name: fact for fact in found})
    facts = [known[image_root / name] for name in names]
    tests = len(test_file_names)
    across = [
        (names[first], names[second])
        for first, second in near_duplicates(facts)
        if first < tests <= second
    ]
    return DuplicateReport(
        True,
        tuple(dict.fromkeys([*same_name, *across])),
        broken_tests=_broken(facts[:tests]),
        broken_others=_broken(facts[tests:]),
    )


def _broken(facts: Sequence[ImageFacts]) -> dict[str, str]:
    return {fact.file_name: fact.problem for fact in facts if fact.problem is not None}
