"""Values that programs trip over: names, numbers and texts, and code that must never run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Traps:
    """Places outside a case's folder; nothing may ever appear in them.

    Attributes:
        executed: a file that only executed input would create.
        outside: a folder beside the case's that nothing may write to; absolute.
        outside_relative: the same, as seen from inside the case's folder.
    """

    executed: str
    outside: str
    outside_relative: str

    def payloads(self) -> list[str]:
        """Texts that create `executed` if anything runs them."""
        touch = f"touch {self.executed}"
        return [
            f"$({touch})",
            f"`{touch}`",
            f"; {touch} #",
            f"x\n{touch}\n",
            f"| {touch}",
            f"__import__('os').system('{touch}')",
            f"{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}{{{{ '{touch}' }}}}",
            "subprocess.check_output",
            "os.system",
            "builtins.exec",
            f"!!python/object/apply:os.system ['{touch}']",
            f"=cmd|'/c {touch}'!A0",
        ]

    def names(self) -> list[str]:
        """File names that lead out of the folder they are read in."""
        return [
            f"{self.outside}/written.jpg",
            f"{self.outside}/precious.txt",
            f"{self.outside_relative}/written.jpg",
            f"train/../{self.outside_relative}/precious.txt",
            "../../../../../../../../etc/hostname",
            "/etc/hostname",
            "/dev/null",
            "/dev/zero",
            "..",
            ".",
            "~/written.jpg",
            "C:\\written.jpg",
            "..\\..\\written.jpg",
            "train\\0000.jpg",
            "train//0000.jpg",
            "./train/0000.jpg",
            "train/0000.jpg\x00.png",
            "nul\x00",
            "CON",
            "-rf",
            "a" * 300,
            "d/" * 2000 + "x.jpg",
        ]


NUMBERS: tuple[Any, ...] = (
    0, -1, 1, -0.0, 0.5, 1.5, 2, 255, 256, -(2**31), 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63,
    -(2**63) - 1, 2**64, 10**40, 10**400, 1e-320, 1e-7, 1e7, 1e15, 1e38, 3.5e38, 1e308,
    float("inf"), float("-inf"), float("nan"), 0.1 + 0.2, 99999999999, True, False,
)  # fmt: skip

TEXTS: tuple[str, ...] = (
    "", " ", "  x  ", "\ufeff", "nan", "NaN", "null", "None", "-", "=1+1", "@x", "+1", "0", "7.0",
    "1e5", "1_000", "０", "\t", "a\tb", "a\nb", "a\r\nb", "a,b", 'a"b', "a;b", "a b", "<b>&amp;",
    "<script>alert(1)</script>", "\x1b[31mred\x1b[0m", "\x07", "\x00", "a\u202eb", "e\u0301",
    "\u2028", "\ud800", "日本語", "🗑", "é" * 200, "x" * 100_000, "%s%n%x", "{0}", "${HOME}", "../x",
    "plain", "train", "val", "test", "true", "yes", "[]", "{}", "1" * 5000,
)  # fmt: skip


def odd_number(rng: random.Random) -> Any:
    """Return a number that is seldom meant."""
    return rng.choice(NUMBERS)


def odd_text(rng: random.Random, traps: Traps) -> str:
    """Return a text that is seldom meant."""
    pool = rng.choice((TEXTS, TEXTS, traps.payloads(), traps.names()))
    return rng.choice(pool)


def odd_value(rng: random.Random, traps: Traps, like: Any = None) -> Any:
    """Return a value in the place of `like`: the same type made odd, or another type."""
    if rng.random() < 0.5 and isinstance(like, (int, float)):
        near = (like + 1, like - 1, -like, like * 1000, like / 1000, str(like), float(like))
        return rng.choice((*near, odd_number(rng)))
    if rng.random() < 0.5 and isinstance(like, str):
        near = (like + " ", like.upper(), like + "\x00", like[:-1], like * 2, like.encode().hex())
        return rng.choice((*near, odd_text(rng, traps)))
    kind = rng.randrange(7)
    if kind == 0:
        return None
    if kind == 1:
        return odd_number(rng)
    if kind == 2:
        return odd_text(rng, traps)
    if kind == 3:
        return []
    if kind == 4:
        return {}
    if kind == 5:
        return [like] * rng.choice((1, 2, 5))
    return {rng.choice(("type", "x", "", "0")): like}


def nested(depth: int) -> list:
    """Return lists in lists, `depth` of them."""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value
