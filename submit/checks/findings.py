"""The result of a preflight."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from data_tools.ground.findings import Finding, of_level


@dataclass(frozen=True)
class CheckResult:
    """Outcome of a preflight; `as_dict` is what `--json` prints."""

    file: str
    format: str
    images: int
    empty_images: int
    boxes: int
    file_bytes: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that must be fixed."""
        return of_level(self.findings, "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings worth a look."""
        return of_level(self.findings, "warning")

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object with errors and warnings apart."""
        summary = {key: value for key, value in asdict(self).items() if key != "findings"}
        return {
            **summary,
            "ok": not self.errors,
            "errors": [asdict(finding) for finding in self.errors],
            "warnings": [asdict(finding) for finding in self.warnings],
        }
