"""HTML from the templates of this folder, in which text from data is text."""

import importlib.resources
import json
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from markupsafe import Markup
from plotly.utils import PlotlyJSONEncoder

from isthmus.errors import printable
from isthmus.saving.atomic import replacing


def write_page(page: str, path: str | Path) -> None:
    """Write a page, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")  # halves of a pair, in a file's name


def rendered(template: str, **values: object) -> str:
    """Fill a template of this folder in; text is text in it, whatever it holds."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template), autoescape=True, undefined=jinja2.StrictUndefined, finalize=_as_text
    )
    environment.filters["in_script"] = in_script
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template(template).render(date=date, **values)


def _template(name: str) -> str:
    return importlib.resources.files("isthmus.report").joinpath(name).read_text(encoding="utf-8")


def _as_text(value: object) -> object:
    """Show control characters of a text instead of having them work on the page; what is markup already stays."""
    return printable(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value


def in_script(value: object) -> Markup:
    r"""Return a value as JSON that neither ends the script that it stands in, nor begins a comment in it.

    Examples
    --------
    >>> print(in_script({"</script>": "<!--<script>"}))
    {"\u003c/script\u003e": "\u003c!--\u003cscript\u003e"}
    """
    text = json.dumps(value, cls=PlotlyJSONEncoder)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)
