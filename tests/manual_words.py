"""The words of a simulated team that keeps its process manual: titles, descriptions and comments."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

OBJECTS = (
    "the invoice export", "the price list import", "the customer search", "the login form",
    "the session refresh", "the refund endpoint", "the webhook delivery", "the audit trail",
    "the currency rounding", "the order archive", "the coupon checks", "the stock forecast",
    "the address book", "the mail templates", "the rate limits", "the payment retries",
    "the monthly statement", "the upload service", "the report cache", "the tax tables",
    "the feature flags", "the user settings", "the delivery notes", "the data retention",
)  # fmt: skip
PLACES = (
    "for mobile clients", "for large accounts", "in the public API", "in the admin console",
    "for guest users", "in the nightly batch", "for the new region", "in the web shop",
    "for resellers", "in the test environment", "for long sessions", "in the partner portal",
    "for slow networks", "in the event stream", "for archived orders", "for several currencies",
)  # fmt: skip
FAULTS = (
    "loses the last row", "fails on empty input", "repeats an entry", "is slow",
    "ignores the time zone", "rejects umlauts", "shows an old value", "times out",
)  # fmt: skip
OPENINGS = {
    "feature": ("Add", "Implement", "Improve", "Refactor", "Validate", "Support", "Migrate", "Test"),
    "parent": ("Redesign",),
    "decision": ("DECISION: Choose an approach to",),
    "docs": ("Document", "Update the guide to"),
    "design": ("Design",),
    "ops": ("Deploy", "Configure"),
}
COMPONENTS = ("api", "web", "billing", "search", "auth", "storage", "import", "export", "mail-service")
MORE_TAGS = ("customer-request", "tech-debt", "performance", "security", "accessibility")

PROGRESS = (
    "Progress: {share} % done, the main path works and its tests pass.",
    "Progress: {share} % done; next come the error cases of the acceptance criteria.",
    "Progress: {share} % done, no obstacles so far.",
    "Progress: {share} % done; the remaining part is smaller than planned.",
    "Progress: {share} % done, cleaning up before going on to the edge cases.",
)
REASONS = (
    "Returned: the second acceptance criterion is not met, an empty list still ends in an error page.",
    "Returned: with 10,000 rows it takes 14 s where the criteria allow 2 s; the log is attached to the PR.",
    "Returned: the new tests pass alone, but fail when they are run after the import tests.",
    "Returned: the message for a wrong date is missing, which the acceptance criteria ask for.",
)
QUESTIONS = (
    "DECISION: @supervisor may the old format go, or do we keep both until the end of the year?",
    "DECISION: @supervisor is it fine to add one more column to the export?",
)
ANSWERS = (
    "Keep both for now, please; the old one goes with the next major version.",
    "Yes, go ahead, and note it in the changelog.",
)


def titles(kind: str, draw: random.Random) -> Iterator[str]:
    """Yield titles of a kind of task in random order, no two of them alike."""
    if kind == "defect":
        found = [f"BUG: {subject.capitalize()} {fault} {place}"
                 for subject, fault, place in product(OBJECTS, FAULTS, PLACES)]  # fmt: skip
    else:
        found = [" ".join(parts) for parts in product(OPENINGS[kind], OBJECTS, PLACES)]
    draw.shuffle(found)
    return iter(found)


def description(kind: str, title: str) -> str:
    """Return what a task of such a title is about, with its acceptance criteria."""
    about = f"{title}, as agreed with the product owner."
    if kind == "defect":
        about = (
            "Steps: open the page, enter a usual order, and save it twice.\n"
            "Expected: what was saved is shown once.\n"
            f"Actual: {title.removeprefix('BUG: ')}.\n"
            "Environment: staging, release 4.2, Firefox 128."
        )
    return f"{about}\n\nAcceptance criteria:\n- [ ] It works as described\n- [ ] Automated tests cover it"
