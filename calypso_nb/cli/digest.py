"""What the command `digest` does: tell, and only then move the mark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calypso_nb.cli.report import again, saved
from calypso_nb.cli.terminal import say, show
from calypso_nb.errors import UsageError
from calypso_nb.history.digest import LAST, Digest, digest_between
from calypso_nb.report import History, WorkloadReporter
from calypso_nb.settings import Settings
from calypso_nb.text.console import digest_to_console
from calypso_nb.text.json import digest_document, digest_to_json
from calypso_nb.text.markdown import digest_to_chat, digest_to_markdown

# What a webhook gets at most: one that refuses what is too long would refuse each further digest, too.
_MOST_POSTED = 200
_LONGEST_POSTED = {"title": 200, "agent": 200, "by": 200, "text": 500}


@dataclass(frozen=True)
class Options:
    """What the user asked `digest` for.

    - since: `last`, or a moment in words
    - keep: leave the mark where it is
    - person: whose mark, None for the settings'
    - before, after: two saved reports instead of a history
    - webhook: send it there
    """

    since: str
    keep: bool
    person: str | None
    before: Path | None
    after: Path | None
    webhook: bool
    format: str
    output: Path | None
    color: bool


def run(reporter: WorkloadReporter, settings: Settings, options: Options) -> None:
    """Tell what happened, and then move the person's mark; if it can't be told, the mark stays."""
    if options.webhook:  # What is set wrongly is found out before anything is read.
        from calypso_nb.wire.webhook import address

        address(settings)
    digest = _between(reporter, options) if options.before is not None else _since(reporter, options)
    if digest.silent is not None:  # Also to whoever reads no more than the errors of a cron job.
        say(digest.silent)
    if not _told(digest, settings, options):
        return
    if digest.basis in ("mark", "first") and not options.keep:
        digest.seen()


def _since(reporter: WorkloadReporter, options: Options) -> Digest:
    if options.after is not None:
        raise UsageError("--after is the second of two saved reports: give --before too")
    history = reporter.recorded()
    if history is None:  # The usual file, which says what is missing.
        history = _missing(reporter)
    try:
        return history.digest(None if options.since == LAST else options.since, options.person)
    finally:
        history.close()


def _missing(reporter: WorkloadReporter) -> History:
    try:
        return History(None, reporter.client.endpoint)
    except UsageError as error:
        raise UsageError(
            f"{error}; without one, `--before SAVED.json` compares with a report that was saved"
        ) from None


def _between(reporter: WorkloadReporter, options: Options) -> Digest:
    if options.since != LAST:
        raise UsageError("a digest is of a history, --since, or of saved reports, --before")
    assert options.before is not None
    before = saved(options.before)
    after = again(reporter, before) if options.after is None else saved(options.after)
    return digest_between(before, after)


def _told(digest: Digest, settings: Settings, options: Options) -> bool:
    """Write or send a digest; return False if nobody reads the pipe any more."""
    if options.output is not None or not options.webhook:
        plain = {"json": digest_to_json, "markdown": digest_to_markdown, "html": _page}
        read_on = show(digest, plain, digest_to_console, options.format, options.output, options.color)
        if not options.webhook:
            return read_on
    _send(digest, settings)  # Last: what can't be written would be sent again.
    return True


def _send(digest: Digest, settings: Settings) -> None:
    from calypso_nb.wire.webhook import post

    if digest.items.empty and digest.silent is None:  # Else it would look like a quiet team for ever.
        say("; ".join(["nothing happened, so nothing was sent", *digest.doubts]))
        return
    document = digest_document(digest, _MOST_POSTED)
    for item in document["items"]:
        for name, most in _LONGEST_POSTED.items():
            item[name] = item[name] and item[name][:most]
    post(settings, {"text": digest_to_chat(digest), "digest": document})
    say(f"sent: {digest.summary}")


def _page(digest: Digest) -> str:
    from calypso_nb.view.digest_page import digest_page  # Which the other formats don't need.

    return digest_page(digest)
