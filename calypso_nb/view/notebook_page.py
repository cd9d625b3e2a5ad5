"""An executed notebook as one self-contained HTML page for readers: `jupyter nbconvert --to calypso_html`."""

import copy
import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

from nbconvert.exporters.html import HTMLExporter
from nbformat import NotebookNode, from_dict
from traitlets import Bool, default

from calypso_nb.redaction import redacted, secrets_of_environment
from calypso_nb.view.page import BELOW, json_for_html, page_of

_VEGA = re.compile(r"application/vnd\.vega(lite)?\.v\d+[.+]json")
_WIDGET = "application/vnd.jupyter.widget-view+json"
# Elements that could send a reader elsewhere or fetch something, with no script at all.
_LEADS_AWAY = re.compile(r"<(?=/?\s*(?:meta|base|link|iframe|frame|object|embed|portal)\b)", re.IGNORECASE)
_HEADING = re.compile(
    r'<h([123])\b[^<>]*?\bid="([^"<>]+)"[^<>]*+>'
    r'((?:(?!</?h[1-6]\b|<a class="anchor-link").)*+)<a class="anchor-link"',
    re.DOTALL,
)
_LONG = 4  # headings or more, and a page has a table of contents
_STATIC = (
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/plain",
    "text/latex",
)


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
        secrets = secrets_of_environment()
        redaction = _Redaction(secrets, [Path.cwd(), *filter(None, [metadata.get("path")])])
        for cell in reduced.cells:
            if cell.cell_type == "code":
                cell.source = redaction.text(cell.source)
            for output in cell.get("outputs", []):
                redaction.output(output)
                if "data" in output:
                    output.data = from_dict(_one_form(output.data))
        body, resources = super().from_notebook_node(reduced, resources, **kw)
        for secret in secrets:
            body = body.replace(secret, "\N{HORIZONTAL ELLIPSIS}")
        if not self.allow_scripts:
            body = _LEADS_AWAY.sub("&lt;", body)
        title = _title(nb, resources.get("metadata", {}).get("name", ""))
        main = f'<main class="page notebook">\n{_heading(body, title)}{_contents(body)}{body}\n</main>'
        return page_of(title, main, self.allow_scripts), resources


class _Redaction:
    """Cut credentials and paths out of code and outputs, but not out of our own views."""

    def __init__(self, secrets: list[str], folders: list[Path | str]) -> None:
        self._secrets, self._folders = secrets, folders

    def text(self, text: str) -> str:
        return redacted(text, self._secrets, self._folders)

    def output(self, output: NotebookNode) -> None:
        for name in ("text", "evalue"):
            if name in output:
                output[name] = self.text(output[name])
        if "traceback" in output:
            output.traceback = [self.text(line) for line in output.traceback]
        for kind, value in output.get("data", {}).items():
            if kind.startswith("text/") and isinstance(value, str) and not _is_ours(value):
                output.data[kind] = self.text(value)


def _is_ours(html: str) -> bool:
    return 'class="calypso-view"' in html


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


def _one_form(data: dict[str, Any]) -> dict[str, Any]:
    html = str(data.get("text/html", ""))
    if _is_ours(html) or html == BELOW:
        return {"text/html": html}
    spec = next((data[kind] for kind in data if _VEGA.fullmatch(kind)), None) or _spec_in(html)
    if spec is not None:
        script = f'<script type="application/json">{json_for_html(spec)}</script>'
        return {"text/html": f'<figure class="plain-chart">{script}</figure>'}
    forms = [kind for kind in _STATIC if kind in data and not (_WIDGET in data and kind == "text/plain")]
    if not forms:
        what = "An interactive widget" if _WIDGET in data else f"An output of type {', '.join(data)}"
        line = f"{escape(what)} has no static form and is left out here."
        return {"text/html": f'<p class="left-out">{line}</p>'}
    return {forms[0]: data[forms[0]]}


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
