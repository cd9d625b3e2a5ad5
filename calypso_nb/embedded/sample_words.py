"""The words of the sample project: its agents, queues, fixed scenes and notes."""

# Each agent: the share of the complete work, the share of the open work, and the queues it works in.
AGENTS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "product-owner": (10, 8, ("product",)),
    "architect": (12, 9, ("product", "dev")),
    "backend-dev": (26, 38, ("dev",)),
    "frontend-dev": (18, 9, ("dev",)),
    "api-dev": (14, 9, ("dev",)),
    "qa-lead": (14, 10, ("qa",)),
    "test-bot": (12, 7, ("qa",)),
    "docs-writer": (10, 7, ("docs",)),
    "ops-agent": (12, 8, ("ops",)),
    "researcher": (6, 0, ("product", "docs")),
}
MULTITASKER = "frontend-dev"
AUTHORS = ["product-owner", "product-owner", "architect", "qa-lead"]

# Each queue: the beginnings, subjects and endings that its titles are made of.
QUEUES = {
    "product": (
        ["Specify", "Write acceptance criteria for", "Interview users about", "Decide on", "Size", "Review"],
        ["the trial-to-paid flow", "invoice reminders", "team billing roles", "usage-based pricing",
         "refund requests", "the onboarding checklist", "tax settings for EU customers", "the cancel page"],
        ["", " for the beta", " from support's complaints", " before the pricing freeze", " (v2)"],
    ),
    "dev": (
        ["Fix", "Refactor", "Add retries to", "Implement", "Speed up", "Replace", "Type-check",
         "Handle time zones in"],
        ["the invoice PDF export", "the Stripe webhook handler", "the usage aggregation job",
         "the subscription state machine", "the dunning scheduler", "the customer import",
         "the audit log query", "the currency converter", "the credit note endpoint", "the plan picker",
         "the login session refresh"],
        ["", " under concurrent writes", " for large tenants", " in the EU region",
         " after the schema change", " behind a feature flag"],
    ),
    "qa": (
        ["Write regression tests for", "Reproduce the failure in", "Explore corner cases of",
         "Automate the checks of", "Verify the fix for", "Load-test"],
        ["proration on plan change", "double webhook delivery", "the checkout on Safari", "invoice numbering",
         "the refund flow", "role permissions", "e-mails with <b>markup</b> & ünïcode names", "CSV import"],
        ["", " with 10k subscriptions", " on staging", " after the last deploy", " for suspended accounts"],
    ),
    "docs": (
        ["Document", "Rewrite", "Add examples to", "Proofread", "Screenshot", "Restructure"],
        ["the webhooks guide", "the API quickstart", "the refund policy page", "the migration notes",
         "the error reference", "the admin handbook", "the changelog"],
        ["", " for 2.0", " after the rename", " from support's questions", " with runnable snippets"],
    ),
    "ops": (
        ["Upgrade", "Set up alerts for", "Rotate keys of", "Back up", "Tune", "Investigate the cost of"],
        ["the PostgreSQL cluster", "the job queue", "the staging environment", "the metrics pipeline",
         "the e-mail provider", "the CI runners", "the object storage"],
        ["", " before the launch", " in eu-west", " after last week's incident", " without downtime"],
    ),
}  # fmt: skip

# Title, queue, age in hours, priority.
URGENT_UNASSIGNED = [
    ("Production: webhooks time out for the two largest tenants", "ops", 0.4, 10),
    ("Customers see another team's invoice for a second after login", "dev", 1.2, 10),
    ("Security review found a token in the build log", "ops", 3.0, 9),
    ("Checkout refuses all Maestro cards since noon", "dev", 5.5, 9),
]

# Title, queue, agent, days without an update.
STUCK = [
    ("Migrate invoice history to the partitioned table", "dev", "backend-dev", 8),
    ("Find out why nightly usage totals drift", "dev", "backend-dev", 5),
    ("Replace the flaky browser runner", "qa", "test-bot", 4),
    ("Draft the data-retention policy", "product", "architect", 6),
    ("Move cron jobs to the new scheduler", "ops", "ops-agent", 9),
]

# Title, queue, agent, age in days; nobody has touched them since.
UNTOUCHED = [
    ("Evaluate a second payment provider", "product", None, 41),
    ("Archive screenshots of the old console", "docs", "docs-writer", 39),
    ("Drop support for the v0 API keys", "dev", "api-dev", 37),
    ("Measure accessibility of the invoice page", "qa", "qa-lead", 35),
    ("Rename the 'account' concept to 'workspace'", "product", "product-owner", 33),
]

# What one agent does all at once.
JUGGLED = [
    "Rebuild the plan comparison table",
    "Fix focus order in the payment dialog",
    "Show tax breakdown in the cart",
    "Virtualise the invoice list",
]

# Title, queue, agent, status, days since the last update.
ARCHIVED = [
    ("Prototype crypto payments", "product", "researcher", "idle", 20),
    ("Compare three PDF libraries", "dev", "backend-dev", "complete", 25),
    ("Print styles for the legacy invoice", "dev", "frontend-dev", "idle", 16),
    ("Trial of the hosted log search", "ops", "ops-agent", "complete", 12),
]

# Chains of blockers, the first blocks the second and so on: title, queue, agent, status, archived.
BLOCKED_CHAINS = [
    [
        ("Agree on the ledger schema with finance", "product", "architect", "working", False),
        ("Implement the double-entry ledger", "dev", "backend-dev", "idle", False),
        ("Move refunds onto the ledger", "dev", "api-dev", "idle", False),
        ("Reconcile ledger and Stripe balances every night", "qa", "qa-lead", "idle", False),
        ("Publish the finance export guide", "docs", "docs-writer", "idle", False),
    ],
    [
        ("Upgrade the PDF renderer to 4.2", "ops", "ops-agent", "complete", False),
        ("Embed fonts in right-to-left invoices", "dev", "frontend-dev", "idle", False),
    ],
    [
        ("Buy the address validation service", "product", "product-owner", "idle", True),
        ("Validate billing addresses at checkout", "dev", "api-dev", "idle", False),
    ],
    [
        ("Get sandbox access to the SEPA gateway", "ops", "ops-agent", "idle", False),
        ("Record SEPA mandates", "dev", "backend-dev", "working", False),
    ],
]

# Title, queue, lead, age in days, and stories: title, agent, status, steps (title, status).
EPICS = [
    (
        "Self-service plan changes", "dev", "architect", 24,
        [
            ("Preview the prorated price", "backend-dev", "", [
                ("Compute proration for seats added mid-cycle", "complete"),
                ("Expose the preview endpoint", "complete"),
                ("Cache previews for a minute", "working"),
            ]),
            ("Confirm and apply the change", "api-dev", "", [
                ("Lock the subscription while it changes", "complete"),
                ("Roll back when the charge fails", "idle"),
            ]),
            ("Tell the customer by e-mail", "frontend-dev", "idle", []),
        ],
    ),
    (
        "Launch readiness for the billing beta", "ops", "product-owner", 18,
        [
            ("Runbooks for the on-call agent", "docs-writer", "", [
                ("Runbook: webhook backlog", "complete"),
                ("Runbook: failed payout", "complete"),
            ]),
            ("Rehearse a restore from backup", "ops-agent", "complete", []),
            ("Dashboards for payment failures", "ops-agent", "idle", []),
        ],
    ),
    (
        "API error messages that agents can act on", "dev", "api-dev", 30,
        [
            ("Inventory of today's error texts", "docs-writer", "complete", []),
            ("One error format for all endpoints", "api-dev", "", [
                ("Map validation errors to fields", "complete"),
                ("Keep old codes for v1 clients", "complete"),
            ]),
        ],
    ),
]  # fmt: skip

DESCRIPTIONS = [
    "Acceptance: covered by a test, documented in the changelog, no new warnings in the log.",
    "Reported twice this week. Start from the failing request in the linked trace and keep the fix small.",
    "Out of scope: the legacy console. Ask the architect before touching shared tables.",
    "See the design note for the decision. Both currencies with and without minor units must work.",
    "Keep the public behaviour. Split the change so that each step can be reviewed alone.",
    "Definition of done:\n- works for suspended accounts\n- p95 below 300 ms\n- reviewed by qa-lead",
]

TAGS = {
    "product": ["research", "pricing", "ux", "scope"],
    "dev": ["backend", "frontend", "api", "bug", "tech-debt", "payments"],
    "qa": ["regression", "flaky", "e2e", "performance"],
    "docs": ["guide", "reference", "examples"],
    "ops": ["infra", "security", "monitoring", "cost"],
}

NOTES = {
    "idle": [
        "Read through it; needs the schema change first, otherwise half a day of work.",
        "Cannot reproduce on staging with the given account. Which tenant was it?",
        "Reprioritised after the planning session.",
        "Same root cause as the retry issue? Left it separate until confirmed.",
    ],
    "working": [
        "Starting: reading the handler and its tests.",
        "Failing test written, it fails for the reason we thought.",
        "Half done. The happy path works; the expiry case still double-charges in the test.",
        "PR #{pr} is up as a draft, CI is red on the type check.",
        "Waiting for the sandbox credentials, continuing with the mocks meanwhile.",
    ],
    "complete": [
        "Plan: 1) reproduce 2) pin with a test 3) fix 4) update the docs.",
        "Root cause: the lock was taken after the read. Fixed by moving it up.",
        "PR #{pr} merged, all 412 tests green, deployed to staging.",
        "Review remarks addressed: renamed the flag, removed the second query.",
        "Verified with a 10k-row fixture: 2.1 s before, 0.3 s after.",
        "Done. Left the cleanup of the old table for a follow-up.",
    ],
}

HANDOFFS = [
    "@{agent} handing over: branch is pushed, two tests still red, see the TODO at the top of the file.",
    "@{agent} this one is for your queue. Context is in the description, the migration is not started.",
    "Out of budget for this one. @{agent} please take it from the failing test.",
]

_PULL_REQUEST = ("https://github.com/acme/billing/pull/{pr}", "Pull request")
LINKS: dict[str, list[tuple[str, str | None]]] = {
    "product": [
        ("docs/product/decisions/{id:04d}.md", "Decision record"),
        ("https://acme.example/figma/flow-{id}", None),
    ],
    "dev": [
        _PULL_REQUEST,
        ("docs/design/note-{id}.md", "Design note"),
        ("https://ci.acme.example/runs/{pr}?view=log&attempt=1", "CI run"),
    ],
    "qa": [("tests/regression/case_{id}.py", "Test"), ("https://ci.acme.example/runs/{pr}", "Failing run")],
    "docs": [_PULL_REQUEST, ("docs/guides/draft-{id}.md", "Draft")],
    "ops": [("runbooks/{id}.md", "Runbook"), ("https://grafana.acme.example/d/{id}", "Dashboard")],
}
