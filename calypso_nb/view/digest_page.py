"""A digest as one small HTML page that needs no network and no script."""

from collections.abc import Iterable
from html import escape

from calypso_nb.history.digest import Digest, Line
from calypso_nb.visible import visible
from calypso_nb.workload.phrases import or_unknown

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #777; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; padding-left: .5rem; border-left: .3rem solid var(--line); }
h2[data-urgent="2"] { border-color: #c0392b; }
h2[data-urgent="1"] { border-color: #d68910; }
.about, .more, time, small { color: var(--quiet); }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; }
td { border-top: 1px solid var(--line); }
th { font-weight: normal; color: var(--quiet); font-size: .85rem; }
td { overflow-wrap: anywhere; }
td.text { white-space: pre-line; }
.when { width: 7.5rem; } .task { width: 4rem; } .agent { width: 9rem; } .title { width: 30%; }
.summary { font-weight: 600; margin: .6rem 0; }
@media (max-width: 40rem) {
  thead { display: none; }
  tr { display: block; border-top: 1px solid var(--line); padding: .3rem 0; }
  td { display: inline; width: auto; border: 0; padding: 0 .5rem 0 0; }
  td.title, td.text { display: block; width: auto; }
  td.text { color: var(--quiet); }
}
"""
_URGENT = {"asked": 2, "failed": 2, "bounced": 1, "blocked": 1}
_MOST = 200
_LONGEST = 1000
_LONGEST_TITLE = 200


def digest_page(digest: Digest) -> str:
    """Return a digest as an HTML page; nothing in it runs, and what agents wrote is text.

    At most 200 things of each kind are in it, of each title the first 200 letters, of each text 1,000.
    """
    lines = digest.lines
    sections = [
        _section(kind, number, [line for line in lines if line.what == kind])
        for kind, number in digest.counts.items()
    ]
    unknown = "".join(f"<li>{_shown(text)}</li>" for text in digest.unknown)
    if unknown:
        sections.append(f'<section><h2>Not known</h2>\n<ul class="about">{unknown}</ul></section>')
    title, body = f"Digest: {digest.summary}", "\n".join(sections)
    counts = [f"{number:,}\N{NO-BREAK SPACE}{kind}" for kind, number in digest.counts.items()] or ["nothing"]
    summary = " · ".join([*counts, *digest.doubts])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
base-uri 'none'; form-action 'none'">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Digest</h1>
<p class="about" dir="auto">{_shown(digest.heading)}<br>{_shown(digest.server)}</p>
<p class="summary">{summary}</p>
{body}
</body>
</html>
"""


def _section(kind: str, number: int, lines: list[Line]) -> str:
    heads = "".join(
        f'<th class="{name}">{head}</th>'
        for name, head in (
            ("when", "when (UTC)"),
            ("task", "task"),
            ("agent", "agent"),
            ("title", "title"),
            ("text", "what"),
        )
    )
    rows = "\n".join(map(_row, lines[:_MOST]))
    more = f'\n<p class="more">… and {number - _MOST:,} more.</p>' if number > _MOST else ""
    return (
        f'<section><h2 data-urgent="{_URGENT.get(kind, 0)}">{kind.capitalize()}: {number:,}</h2>\n'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table>{more}</section>"
    )


def _row(line: Line) -> str:
    cells: Iterable[tuple[str, str]] = (
        ("when", _shown(line.when)),
        ("task", _shown(f"#{line.task_id}")),
        ("agent", _shown(or_unknown(line.agent), _LONGEST_TITLE)),
        ("title", _shown(or_unknown(line.title), _LONGEST_TITLE)),
        ("text", _shown(line.text)),
    )
    return f"<tr>{''.join(f'<td class={name!r} dir=auto>{shown}</td>' for name, shown in cells)}</tr>"


def _shown(text: str, most: int = _LONGEST) -> str:
    """Return what agents wrote as HTML: line ends stay, and all else that is not seen is written out."""
    cut = f"{text[:most]}…" if len(text) > most else text
    return "\n".join(escape(visible(line)) for line in cut.split("\n"))
