"""The pages of every package: their templates, the frame and the parts that they share, and their style."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from ran.config.host import made_here
from ran.report.palette import COLORS_LIGHT, css_variables
from ran.stats import Notation, percent


def page_template(package: str) -> Template:
    """The template page.html.j2 of a package, such as "ran.report", which extends base.html.j2 and has the macros of
    parts.html.j2. A name that is not given is an error there."""
    shared = {name: _text("ran.report", name) for name in ("base.html.j2", "parts.html.j2")}
    environment = Environment(
        loader=DictLoader({"page": _text(package, "page.html.j2"), **shared}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.globals["in_db"] = Notation()
    environment.globals["as_rate"] = Notation(3, "significant")
    environment.globals["zip"] = zip
    environment.globals["made_here"] = made_here
    environment.globals["style"] = _style()
    environment.globals["script"] = page_part("save.js")
    return environment.get_template("page")


def page_part(name: str) -> Markup:
    """A file that pages hold as it is: "page.css", the style of all, or "page.js"."""
    return Markup(_text("ran.report", name))


def plotly_script() -> Markup:
    """The drawing library of the pages in which people zoom: plotly.js, without the kinds of figures that none has."""
    text = files("ran.report").joinpath("plotly-basic.min.js").read_text(encoding="utf-8")
    return Markup(text)


def _style() -> Markup:
    swatches = "\n".join(f".swatch.s{place} {{ --swatch: var(--c{place}); }}" for place in range(len(COLORS_LIGHT)))
    return Markup(f"{css_variables()}\n{_text('ran.report', 'page.css')}{swatches}")


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
