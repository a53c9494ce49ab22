"""The doctor: every state of every finding, and the report."""

from __future__ import annotations

import json

import pytest

from data_tools.ground.findings import Finding
from models import doctor
from models.doctor import GIB, NEEDED

ALL = dict.fromkeys(NEEDED, "1.0")


def test_python_versions():
    assert doctor.python_finding((3, 11)).level == "ok"
    assert doctor.python_finding((3, 14)).level == "ok"
    for unsupported in ((3, 10), (3, 15)):
        finding = doctor.python_finding(unsupported)
        assert finding.level == "error"
        assert "3.11, 3.12, 3.13 or 3.14" in finding.fix


def test_missing_packages_are_named_with_the_command():
    (ok,) = doctor.package_findings(ALL)
    assert ok.level == "ok"
    assert "torch 1.0" in ok.message
    without = {name: value for name, value in ALL.items() if name not in ("torch", "polars")}
    findings = doctor.package_findings(without)
    assert [finding.level for finding in findings] == ["ok", "error"]
    assert findings[1].message == "missing: torch, polars"
    assert "requirements.txt" in findings[1].fix
    (nothing,) = doctor.package_findings({})
    assert nothing.level == "error"


@pytest.mark.parametrize(
    ("present", "state"),
    [
        ([], "error"),
        (["opencv-python-headless"], "ok"),
        (["opencv-python"], "note"),
        (["opencv-python", "opencv-python-headless"], "error"),
    ],
)
def test_exactly_one_opencv_the_headless(present, state):
    finding = doctor.opencv_finding(dict.fromkeys(present, "4.12"))
    assert finding.level == state
    assert bool(finding.fix) == (state != "ok")
    if len(present) == 2:
        assert "uninstall -y opencv-python-headless opencv-python " in finding.fix + " "


def test_gpu_states():
    assert doctor.no_gpu_finding(has_driver=False).level == "note"
    assert "smoke" in doctor.no_gpu_finding(has_driver=False).message
    assert doctor.no_gpu_finding(has_driver=True).level == "error"


def test_limits_of_memory_and_disk():
    assert doctor.shared_memory_finding(None).level == "ok"
    assert doctor.shared_memory_finding(64 * 2**20).level == "error"  # a container's default
    assert "--shm-size" in doctor.shared_memory_finding(64 * 2**20).fix
    assert doctor.shared_memory_finding(GIB).level == "ok"
    assert doctor.memory_finding(None).level == "note"
    assert doctor.memory_finding(GIB).level == "note"
    assert doctor.memory_finding(8 * GIB).level == "ok"
    assert doctor.disk_finding(None).level == "ok"
    assert doctor.disk_finding(GIB).level == "note"
    assert doctor.disk_finding(20 * GIB).level == "ok"


def test_the_agpl_is_named_only_where_it_applies():
    assert "AGPL-3.0" in doctor.licence_finding(True).message
    assert "AGPL" not in doctor.licence_finding(False).message


def test_weights_in_the_cache_are_counted(tmp_path, monkeypatch):
    from models.engine.weights.published import IMAGENET_FILES

    monkeypatch.setenv("BOXCAMP_WEIGHTS", str(tmp_path))
    assert doctor.weights_finding().message.startswith("0 of 6 ")
    (tmp_path / IMAGENET_FILES["ssd"].file_name).write_bytes(b"")
    assert doctor.weights_finding().message.startswith(f"1 of 6 published files in {tmp_path}")


def test_report_of_nothing_is_healthy():
    report = {"machine": "m", "python": "3.11", "findings": []}
    assert doctor.format_report(report).splitlines() == [
        "m, Python 3.11",
        "everything that is needed is there",
    ]


def test_report_shows_fixes_and_counts_errors():
    findings = [Finding("ok", "disk", "20 GiB"), Finding("error", "gpu", "broken", fix="fix it")]
    report = {"machine": "m", "python": "3.11", "findings": [vars(each) for each in findings]}
    lines = doctor.format_report(report).splitlines()
    assert lines[1:] == [
        "ok      disk: 20 GiB",
        "error   gpu: broken",
        "        fix: fix it",
        "1 errors",
    ]


def test_this_machine_can_be_examined():
    report = doctor.examine()
    assert json.loads(json.dumps(report)) == report
    topics = [finding["check"] for finding in report["findings"]]
    for topic in ("python", "packages", "opencv", "operators", "gpu", "disk", "licences"):
        assert topic in topics
    problems = [each for each in report["findings"] if each["level"] == "error"]
    assert report["healthy"] == (not problems)
