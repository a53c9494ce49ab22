"""What was run, with what, on what: commands, versions and hashes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from data_tools.ground.version import VERSION
from experiments.leaks import run_leaks
from experiments.report.gathered.gather import Material, ScoredPredictions
from experiments.run_folder import Run


def run_records(material: Material) -> list[dict[str, Any]]:
    """Return one entry per run: state, command, versions, data hashes, leaks."""
    records = []
    for run in material.runs:
        truth = material.truth if run.fold == material.fold else None
        records.append(_record(run, run_leaks(run, truth)))
    return records


def _record(run: Run, leaks: Sequence[str]) -> dict[str, Any]:
    info = run.info
    score = run.best_score
    minutes = info.get("minutes_per_epoch")
    return {
        "name": run.name,
        "state": run.state,
        "leaked": list(leaks),
        "command": info.get("command", "-"),
        "epochs": f"{run.last_epoch} of {run.config.get('epochs', '?')}",
        "seed": run.seed,
        "scale": info.get("scale", "-"),
        "device": info.get("device", "-"),
        "score": "-" if score is None else f"{score:.4f}",
        "minutes_per_epoch": f"{minutes:.2f}" if minutes else "-",
        "parameters": f"{info['parameters']:,}" if info.get("parameters") else "-",
        "started": info.get("started") or "-",
        "finished": info.get("finished") or "-",
        "versions": ", ".join(f"{k} {v}" for k, v in (info.get("versions") or {}).items()),
        "files": [
            (name, file["path"], file.get("sha256", "-"))
            for name, file in (info.get("data") or {}).items()
            if isinstance(file, dict)
        ],
        "torn": run.torn_lines,
    }


def file_records(scored: Sequence[ScoredPredictions]) -> list[tuple[str, str, str]]:
    """Return name, path and hash of each prediction file shown."""
    return [(each.name, str(each.path), each.sha256) for each in scored]


def kit_record(material: Material) -> str:
    """Return the versions that wrote the report, and the fold it is about."""
    return f"boxcamp {VERSION}, Python {platform.python_version()}, fold {material.fold}"
