"""Files full of the cases at which scores differ, and the score that other programs give them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tests.robustness.case import Case, called
from tests.robustness.commands import Command
from tests.robustness.figures import SCORE
from tests.robustness.forking import run_forked
from tests.robustness.harness import Harness
from tests.robustness.lines import Line
from tests.robustness.oracles import Finding
from tests.robustness.reference import Row

SCORED = ("out/scored.json", "out/scored.csv", "out/scored.parquet")


def json_words(command: Command) -> list[str]:
    """Return the words that make `submit score` give its figures as JSON, however it does."""
    for parameter in command.click_command.params:
        if isinstance(parameter, click.Option) and "--json" in parameter.opts:
            return ["--json"] if parameter.is_flag else ["--json", "out/figures.json"]
    return []


def samples_words(command: Command) -> list[str]:
    """Return the words that leave the interval out, which costs the most time."""
    for parameter in command.click_command.params:
        for name in ("--samples", "--bootstrap"):
            if name in parameter.opts:
                return [name, "0"]
    return []


def write_number_files(folder: Path, rng: random.Random) -> str:
    """Write truth and predictions with ties, doubles, rounded corners and IoUs on thresholds.

    Returns:
        What was drawn, in words.
    """
    decimals = rng.choice((0, 1, 2, 6))
    truth = _truth(rng, decimals)
    rows = _rows(truth, rng, decimals)
    folder.mkdir(exist_ok=True)
    (folder / "truth.json").write_text(json.dumps(truth))
    results = [
        {"image_id": image, "category_id": label, "score": score,
         "bbox": sides}
        for image, label, score, _, sides in rows
    ]  # fmt: skip
    (folder / "scored.json").write_text(json.dumps(results))
    text = "PredictionString,image_id\n"
    for image in truth["images"]:
        boxes = [row for row in rows if row[0] == image["id"]]
        words = [
            f"{label} {score!r} " + " ".join(map(repr, box)) for _, label, score, box, _ in boxes
        ]
        text += f"{' '.join(words)},{image['file_name']}\n"
    (folder / "scored.csv").write_text(text)
    return f"{len(truth['annotations'])} truth boxes, {len(rows)} boxes, {decimals} decimals"


def _truth(rng: random.Random, decimals: int) -> dict[str, Any]:
    categories = rng.choice(([1], [1, 2], [7, 3, 12], [0, 5]))
    images = rng.sample(range(1, 400), rng.randrange(1, 7))
    boxes = []
    for number in range(rng.randrange(1, 26)):
        x, y = (round(rng.uniform(0, 100), decimals) for _ in range(2))
        w, h = (
            max(
                round(
                    rng.choice((5, 10, 24, 32, 96)) * rng.choice((1, rng.uniform(0.8, 1.2))),
                    decimals,
                ),
                1,
            )
            for _ in range(2)
        )
        boxes.append(
            {"id": number + 1, "image_id": rng.choice(images),
             "category_id": rng.choice(categories), "bbox": [x, y, w, h], "area": w * h,
             "iscrowd": int(rng.random() < 0.05)}
        )  # fmt: skip
    return {
        "images": [
            {"id": image, "file_name": f"test/{image:04d}.jpg", "width": 220, "height": 220}
            for image in images
        ],
        "annotations": boxes,
        "categories": [{"id": number, "name": f"class {number}"} for number in categories],
    }


def _rows(truth: dict[str, Any], rng: random.Random, decimals: int) -> list[Row]:
    steps = rng.choice((1, 3, 10, 10_000))
    images = [image["id"] for image in truth["images"]]
    categories = [entry["id"] for entry in truth["categories"]]
    rows: list[Row] = []
    for _ in range(rng.randrange(1, 120)):
        box = rng.choice(truth["annotations"])
        x, y, w, h = box["bbox"]
        way = rng.random()
        if way < 0.35:
            # Exactly on a threshold: a part of the box as wide as the threshold says.
            part = rng.choice((0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95))
            w = round(w * part, 6) if rng.random() < 0.5 else w
            h = h if w != box["bbox"][2] else round(h * part, 6)
        elif way < 0.8:
            x, y = (max(round(v + rng.gauss(0, 3), decimals), 0) for v in (x, y))
            w, h = (max(round(v * rng.uniform(0.7, 1.3), decimals), 0.5) for v in (w, h))
        image = box["image_id"] if rng.random() < 0.9 else rng.choice(images)
        label = box["category_id"] if rng.random() < 0.85 else rng.choice(categories)
        score = round(rng.random() * steps) / steps
        rows.append(
            (
                image,
                label,
                score,
                [float(v) for v in (x, y, x + w, y + h)],
                [float(v) for v in (x, y, w, h)],
            )
        )
        if rng.random() < 0.1:
            rows.append(rows[-1])
    return rows


def number_case(harness: Harness, command: Command, rng: random.Random) -> Case:
    """Score drawn files and compare both metrics with the other programs'."""
    harness.restore()
    said = write_number_files(harness.place.world / "out", rng)
    name = rng.choice(SCORED)
    if name.endswith(".parquet"):
        # Its library starts threads.
        there = harness.place.world / "out"
        run_forked(lambda: write_parquet(there), folder=harness.place.world)
    for written in (*SCORED, "out/truth.json"):
        harness.keep(written)
    words = [name, "--truth", "out/truth.json", *samples_words(command), *json_words(command)]
    case = called("numbers", harness, Line(command, words), [said])
    if case.outcome.status == 0:
        return case
    detail = f"valid files are not scored: status {case.outcome.status}"
    refused = Finding("number", f"{detail}: {case.outcome.errors[-1500:]}", f"{SCORE} refused")
    return replace(case, findings=[*case.findings, refused])


def write_parquet(folder: Path) -> None:
    """Write the drawn results once more, as a prediction file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    truth, results = (json.loads((folder / f"{n}.json").read_text()) for n in ("truth", "scored"))
    boxes = [result["bbox"] for result in results]
    corners = zip(*((x, y, x + w, y + h) for x, y, w, h in boxes), strict=True)
    columns = {
        "image_id": [result["image_id"] for result in results],
        "label": [result["category_id"] for result in results],
        "score": [float(result["score"]) for result in results],
        **dict(zip(("xmin", "ymin", "xmax", "ymax"), map(list, corners), strict=True)),
        "view": [0] * len(results),
    }
    metadata = {"image_ids": [image["id"] for image in truth["images"]], "provenance": {}}
    table = pa.table(columns).replace_schema_metadata({"boxcamp": json.dumps(metadata)})
    pq.write_table(table, folder / "scored.parquet")
