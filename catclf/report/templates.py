"""Templates → one self-contained HTML page that asks for nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from catclf.printable import printable


def rendered(template: str, **values: Any) -> str:
    """Fill in a template; names stay text, and the page runs no script but ours."""
    environment = Environment(
        loader=PackageLoader("catclf.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["printable"] = printable
    style, script = _file("page.css"), _file("review.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(template).render(
        **values, style=Markup(style), script=Markup(script), script_hash=digest
    )


def data_uri(data: bytes) -> str:
    """A PNG or JPEG file as an address."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")


def _file(name: str) -> str:
    return resources.files("catclf.report").joinpath(name).read_text("utf-8")
