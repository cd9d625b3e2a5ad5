"""An executed notebook as one self-contained HTML page for readers: `jupyter nbconvert --to calypso_html`."""

import copy
import json
import re
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any

from nbconvert.exporters.html import HTMLExporter
from nbformat import NotebookNode, from_dict
from traitlets import Bool, default

from calypso_nb.redaction import SHORTEST, redacted, secrets_of_environment, without_secrets
from calypso_nb.settings import own_secrets
from calypso_nb.view.bundle import packed_text, unpacked_text
from calypso_nb.view.page import BELOW, VIEW, Drawings, page_of

_VEGA = re.compile(r"application/vnd\.vega(lite)?\.v\d+[.+]json")
_ALTAIR = re.compile(r"alt\.\w*Chart\(\.\.\.\)")
_WIDGET = "application/vnd.jupyter.widget-view+json"
# Elements that could send a reader elsewhere or fetch something, with no script at all.
_LEADS_AWAY = re.compile(r"<(?=/?\s*(?:meta|base|link|iframe|frame|object|embed|portal)\b)", re.IGNORECASE)
_HEADING = re.compile(
    r'<h([123])\b(?>[^<>]*?\bid=")([^"<>]++)"[^<>]*+>'
    r'((?:(?!</?h[1-6]\b|<a class="anchor-link").)*+)<a class="anchor-link"',
    re.DOTALL,
)
_LONG = 4  # headings or more, and a page has a table of contents
_PICTURES = ("image/png", "image/jpeg")
_STATIC = ("text/html", "text/markdown", "image/svg+xml", *_PICTURES, "text/plain", "text/latex")


class CalypsoHTMLExporter(HTMLExporter):
    """Export a notebook for its readers: text, tables and interactive charts, without kernel or network.

    Each output keeps one form: our interactive view, an Altair chart, or the best static one. A widget
    without a static form leaves a line that says so, and errors stay visible. Scripts in other outputs do
    not run unless `allow_scripts` is set, because tasks carry text that agents wrote. Credentials and local
    paths are cut out of outputs and code.
    """

    export_from_notebook = "Calypso HTML"

    show_code = Bool(False, help="Show the input of code cells too.").tag(config=True)
    allow_scripts = Bool(False, help="Let scripts in the notebook's own HTML outputs run.").tag(config=True)

    exclude_input_prompt = Bool(True).tag(config=True)
    exclude_output_prompt = Bool(True).tag(config=True)

    @default("exclude_input")
    def _hides_code(self) -> bool:
        return not self.show_code

    @default("template_file")
    def _body_only(self) -> str:
        return "base.html.j2"

    @property
    def default_config(self) -> Any:
        """nbconvert's configuration, without forms of an output that need a kernel or a script."""
        config = super().default_config
        config.NbConvertBase.display_data_priority = list(_STATIC)
        return config

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return the page of a notebook and nbconvert's resources."""
        reduced = copy.deepcopy(nb)
        reduced.metadata.pop("widgets", None)
        metadata = (resources or {}).get("metadata", {})
        redaction = _Redaction([Path.cwd(), *filter(None, [metadata.get("path")])])
        drawings = Drawings()
        for cell in reduced.cells:
            redaction.source(cell)
            for output in cell.get("outputs", []):
                for name in {"text", "evalue", "traceback"} & output.keys():
                    output[name] = redaction.each(output[name])
                if "data" in output:
                    output.data = from_dict(_one_form(output.data, drawings, redaction))
        body, resources = super().from_notebook_node(reduced, resources, **kw)
        body = redaction.secrets(body)
        if not self.allow_scripts:
            body = _LEADS_AWAY.sub("&lt;", body)
        title = redaction.secrets(_title(nb, resources.get("metadata", {}).get("name", "")))
        main = f'<main class="page notebook">\n{_heading(body, title)}{_contents(body)}{body}\n</main>'
        return page_of(title, main, drawings, self.allow_scripts), resources


class _Redaction:
    """Cut credentials and paths out of code and outputs; out of text and our own views only known secrets."""

    def __init__(self, folders: list[Path | str]) -> None:
        own = [secret for secret in own_secrets() if len(secret) >= SHORTEST]
        self._secrets, self._folders = [*own, *secrets_of_environment()], folders

    def text(self, text: str) -> str:
        return redacted(text, self._secrets, self._folders)

    def secrets(self, text: str) -> str:
        return without_secrets(text, self._secrets)

    def source(self, cell: NotebookNode) -> None:
        cell.source = (self.text if cell.cell_type == "code" else self.secrets)(cell.source)

    def each(self, value: Any, change: Callable[[str], str] | None = None) -> Any:
        """Return a value of JSON with each text in it redacted, or changed as told."""
        change = change or self.text
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list):
            return [self.each(part, change) for part in value]
        if isinstance(value, dict):
            return {change(name): self.each(part, change) for name, part in value.items()}
        return value


def _heading(body: str, title: str) -> str:
    return "" if "<h1" in body else f'<h1 dir="auto">{escape(title)}</h1>\n'


def _contents(body: str) -> str:
    """Return a table of contents from the headings of the notebook's own text; of a short page, nothing."""
    headings = [
        (level, anchor, unescape(re.sub(r"<[^<>]+>", "", words)).strip())
        for level, anchor, words in _HEADING.findall(body)
        if level != "1"
    ]
    if len(headings) < _LONG:
        return ""
    entries = "\n".join(
        f'<li class="level-{level}"><a href="#{anchor}" dir="auto">{escape(words)}</a></li>'
        for level, anchor, words in headings
    )
    heading = '<h2 id="contents">Contents</h2>'
    return f'<nav class="contents" aria-labelledby="contents">{heading}<ul>\n{entries}\n</ul></nav>\n'


def _one_form(data: dict[str, Any], drawings: Drawings, redaction: _Redaction) -> dict[str, Any]:
    html = str(data.get("text/html", ""))
    if html == BELOW:
        return {"text/html": html}
    if "packed" in data.get(VIEW, ()):  # Earlier versions have packed nothing.
        payload = redaction.each(unpacked_text(data[VIEW]["packed"]), redaction.secrets)
        view = {"text/html": redaction.secrets(html), VIEW: {"packed": packed_text(payload)}}
        return {"text/html": drawings.view(view)}
    spec = next((data[kind] for kind in data if _VEGA.fullmatch(kind)), None)
    # What is shown as HTML is somebody's text unless Altair says that it is its own.
    if spec is None and _ALTAIR.fullmatch(str(data.get("text/plain", ""))):
        spec = _spec_in(html)
    if spec is not None:
        return {"text/html": drawings.chart(redaction.each(spec))}
    forms = [kind for kind in _STATIC if kind in data and not (_WIDGET in data and kind == "text/plain")]
    if forms:
        form = forms[0]
        return {form: data[form] if form in _PICTURES else redaction.each(data[form])}
    what = "An interactive widget" if _WIDGET in data else f"An output of type {', '.join(data)}"
    line = f"{escape(what)} has no static form and is left out here."
    return {"text/html": f'<p class="left-out">{line}</p>'}


def _spec_in(html: str) -> dict[str, Any] | None:
    """Return the spec in the HTML of Altair's own renderers, which needs the network."""
    start = html.rfind("})({") + len("})(")
    if "vegaEmbed(" not in html or start < len("})("):
        return None
    try:
        spec, _ = json.JSONDecoder().raw_decode(html, start)
    except ValueError:
        return None
    return spec if isinstance(spec, dict) else None


def _title(nb: NotebookNode, name: str) -> str:
    if nb.metadata.get("title"):
        return str(nb.metadata["title"])
    texts = (cell.source for cell in nb.cells if cell.cell_type == "markdown")
    heading = next(filter(None, (re.search(r"^#+ +(.+)$", text, re.MULTILINE) for text in texts)), None)
    return heading.group(1).strip() if heading else name
