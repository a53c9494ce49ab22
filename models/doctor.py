"""What this machine has, what is missing, and the command that fixes it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data_tools.ground.findings import Finding, Level

GIB = 2**30
INSTALL = "python -m pip install -r requirements.txt -c constraints.txt"

# Distribution names; the forks import as mmdet, mmcv and mmengine.
NEEDED = (
    "torch", "torchvision", "onedl-mmdetection", "onedl-mmcv", "onedl-mmengine", "ultralytics",
    "numpy", "pandas", "polars", "pyarrow", "numba", "pycocotools", "faster-coco-eval",
    "scikit-learn", "tensorboard", "psutil",
)  # fmt: skip
# All of these install the module cv2 into the same folder, the last one wins.
OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
# Several workers hand images over through shared memory: two batches of 1024 px images each.
ENOUGH_SHARED_MEMORY = 1 * GIB
ENOUGH_DISK = 10 * GIB
ENOUGH_MEMORY = 4 * GIB


def doctor() -> list[Finding]:
    """Look at everything that training and predicting need."""
    installed = installed_versions((*NEEDED, *OPENCV))
    return [
        python_finding(sys.version_info[:2]),
        *package_findings(installed),
        opencv_finding(installed),
        _operators_finding(),
        _gpu_finding(),
        memory_finding(_available_memory()),
        shared_memory_finding(_free_bytes(Path("/dev/shm"))),
        disk_finding(_free_bytes(Path.cwd())),
        weights_finding(),
        licence_finding("ultralytics" in installed),
    ]


def examine() -> dict[str, Any]:
    """Return the findings as plain JSON values, with the machine's description."""
    findings = doctor()
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "healthy": all(finding.level != "error" for finding in findings),
        "findings": [
            {**asdict(finding), "examples": list(finding.examples)} for finding in findings
        ],
    }


def format_report(report: Mapping[str, Any]) -> str:
    """Return the report of `examine` as lines for the terminal."""
    lines = [f"{report['machine']}, Python {report['python']}"]
    for finding in report["findings"]:
        lines.append(f"{finding['level']:8}{finding['check']}: {finding['message']}")
        if finding["fix"]:
            lines.append(f"{'':8}fix: {finding['fix']}")
    errors = sum(finding["level"] == "error" for finding in report["findings"])
    lines.append(f"{errors} errors" if errors else "everything that is needed is there")
    return "\n".join(lines)


def installed_versions(distributions: Sequence[str]) -> dict[str, str]:
    """Return the version of each distribution that is installed."""
    found = {name: _version_or_none(name) for name in distributions}
    return {name: value for name, value in found.items() if value is not None}


def _version_or_none(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def python_finding(running: tuple[int, int]) -> Finding:
    """Judge the Python version (major, minor)."""
    text = f"{running[0]}.{running[1]}"
    if (3, 11) <= running <= (3, 14):
        return Finding("ok", "python", text)
    return Finding(
        "error", "python", f"{text} is not supported", fix="use Python 3.11, 3.12, 3.13 or 3.14"
    )


def package_findings(installed: Mapping[str, str]) -> list[Finding]:
    """Judge the packages, from the versions of those that are installed."""
    missing = [name for name in NEEDED if name not in installed]
    present = ", ".join(f"{name} {installed[name]}" for name in NEEDED if name in installed)
    findings = [Finding("ok", "packages", present)] if present else []
    if missing:
        findings.append(Finding("error", "packages", f"missing: {', '.join(missing)}", fix=INSTALL))
    return findings


def opencv_finding(installed: Mapping[str, str]) -> Finding:
    """Judge the OpenCV distributions, from the versions of those that are installed."""
    present = [name for name in OPENCV if name in installed]
    if not present:
        return Finding("error", "opencv", "not installed", fix=INSTALL)
    text = ", ".join(f"{name} {installed[name]}" for name in present)
    if present == ["opencv-python-headless"]:
        return Finding("ok", "opencv", text)
    fix = (
        f"python -m pip uninstall -y {' '.join(present)} && "
        "python -m pip install --force-reinstall --no-deps opencv-python-headless "
        "-c constraints.txt"
    )
    if len(present) > 1:
        return Finding("error", "opencv", f"{text} overwrite each other", fix=fix)
    return Finding("note", "opencv", f"{text} needs libGL, the headless one does not", fix=fix)


def _operators_finding() -> Finding:
    from models.engine.ops import mmcv_extension

    try:
        mmcv_extension.install()
    except ImportError as error:
        return Finding("error", "operators", f"mmcv cannot be imported ({error})", fix=INSTALL)
    if mmcv_extension.is_substituted():
        text = "mmcv's compiled module is absent, Boxcamp's PyTorch operators stand in"
    else:
        text = "mmcv's own compiled module is used"
    return Finding("ok", "operators", text)


def _gpu_finding() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("error", "gpu", f"torch cannot be imported ({error})", fix=INSTALL)
    if not torch.cuda.is_available():
        return no_gpu_finding(has_driver=shutil.which("nvidia-smi") is not None)
    names = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        names.append(f"{properties.name}, {properties.total_memory / GIB:.0f} GiB")
    return Finding("ok", "gpu", f"{'; '.join(names)}; CUDA {torch.version.cuda}")


def no_gpu_finding(*, has_driver: bool) -> Finding:
    """Say what it means that torch sees no GPU."""
    if has_driver:
        return Finding(
            "error",
            "gpu",
            "there is an NVIDIA driver, but torch cannot use it",
            fix="compare `nvidia-smi` (CUDA version of the driver) with torch's build, "
            "or install torch for that CUDA version",
        )
    return Finding("note", "gpu", "none: training defaults to smoke scale on the CPU")


def memory_finding(available: int | None) -> Finding:
    """Judge the available memory in bytes; None means unknown."""
    if available is None:
        return Finding("note", "memory", "unknown")
    text = f"{available / GIB:.1f} GiB available"
    if available >= ENOUGH_MEMORY:
        return Finding("ok", "memory", text)
    return Finding("note", "memory", text, fix="train with --workers 0 --batch 2 if it runs out")


def _available_memory() -> int | None:
    try:
        import psutil  # type: ignore[import-untyped]  # its types are another package
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def shared_memory_finding(free: int | None) -> Finding:
    """Judge the free shared memory in bytes; None where the system has no /dev/shm."""
    if free is None:
        return Finding("ok", "shared memory", "no /dev/shm on this system")
    text = f"{free / GIB:.1f} GiB free in /dev/shm"
    if free >= ENOUGH_SHARED_MEMORY:
        return Finding("ok", "shared memory", text)
    return Finding(
        "error",
        "shared memory",
        f"{text}: several processes that load large pictures need more; training takes fewer",
        fix="start the container with --shm-size=8g, or train with --workers 0",
    )


def disk_finding(free: int | None) -> Finding:
    """Judge the free bytes where the kit works."""
    text = "unknown" if free is None else f"{free / GIB:.1f} GiB free here"
    if free is None or free >= ENOUGH_DISK:
        return Finding("ok", "disk", text)
    return Finding(
        "note",
        "disk",
        text,
        fix="give another disk with --work; checkpoints take up to 1 GiB a run",
    )


def _free_bytes(folder: Path) -> int | None:
    return shutil.disk_usage(folder).free if folder.is_dir() else None


def weights_finding() -> Finding:
    """Say which published weights are in the cache."""
    from models.engine.weights.published import COCO_FILES, IMAGENET_FILES, cache_folder

    files = {file.file_name for file in (*IMAGENET_FILES.values(), *COCO_FILES.values())}
    present = sorted(name for name in files if (cache_folder() / name).is_file())
    text = f"{len(present)} of {len(files)} published files in {cache_folder()}"
    level: Level = "ok" if present else "note"
    return Finding(level, "weights", text + _weights_advice(len(present)))


def _weights_advice(present: int) -> str:
    return "" if present else "; fetched when --init needs them"


def licence_finding(has_ultralytics: bool) -> Finding:
    """Say which licences the detectors bring along."""
    text = "mmdet's detectors are Apache-2.0"
    if not has_ultralytics:
        return Finding("ok", "licences", text)
    return Finding(
        "note",
        "licences",
        f"{text}; yolo11 runs ultralytics (AGPL-3.0) in a process of its own: sharing or serving "
        "its weights has conditions",
    )
