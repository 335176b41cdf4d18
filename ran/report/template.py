"""The pages of every package: their templates and the style that they share."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from ran.stats import Notation, percent


def page_template(package: str) -> Template:
    """The template page.html.j2 of a package, such as "ran.report". A name that is not given is an error there."""
    environment = Environment(
        loader=DictLoader({"page": _text(package, "page.html.j2")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.globals["in_db"] = Notation()
    environment.globals["as_rate"] = Notation(3, "significant")
    environment.globals["zip"] = zip
    return environment.get_template("page")


def page_part(name: str) -> Markup:
    """A file that pages hold as it is: "page.css", the style of all, or "page.js"."""
    return Markup(_text("ran.report", name))


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
