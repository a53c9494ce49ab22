"""The page: a Jinja template with plotly.js, the kit's script and style sheet embedded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

HERE = Path(__file__).resolve().parent
SCRIPTS = ("figures.js", "precision_recall.js", "confusion.js", "viewer.js", "page.js")


def render_page(*, data: dict[str, Any], **parts: Any) -> str:
    """Return the HTML of the report.

    Args:
        data: what the scripts draw; embedded as JSON.
        parts: variables of `templates/report.html.j2`.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        **parts,
        data=data,
        data_json=Markup(json_for_script(data)),
        style=Markup(_static("report.css")),
        plotly=Markup(get_plotlyjs()),
        scripts=[Markup(_static(name)) for name in SCRIPTS],
    )


def json_for_script(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _static(name: str) -> str:
    return (HERE / "static" / name).read_text(encoding="utf-8")
