"""What is cut out of a text that others read, how it may be written there, and how long that takes."""

from __future__ import annotations

import html
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from calypso_nb.redaction import redacted, secrets_of_environment, without_secrets

ODD = "p&ss<w>o\"r'd\\-é\N{OWL}"
LONG = "very-long-" + "0123456789" * 8


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("File /home/alice/work/x.py:12", "File …/x.py:12"),
        ("\x1b[32m/home/alice/x.py\x1b[0m", "\x1b[32m…/x.py\x1b[0m"),
        ("\x1b[35m/home/alice/\x1b[1mx.py\x1b[0m:3", "\x1b[35m…/x.py\x1b[1m\x1b[0m:3"),
        ("/tmp/ipykernel_12/123.py", "…/123.py"),
        ("'C:\\Users\\bob\\x.py'", "'…/x.py'"),
        ("at /elsewhere/project/a.py", "at …/a.py"),
        ("see file:///data/runs/7/x.ipynb, again", "see …/x.ipynb, again"),
        ("http://me:hunter22@host:3000/a", "http://host:3000/a"),
        ("http://me:hunt/r22@host:3000/a", "http://host:3000/a"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer …"),
        ("?token=abcdef12&b=1", "?token=…&b=1"),
        ("{'api_key': 'abcd1234'}", "{'api_key': '…'}"),
        ('{"AWS_SECRET_ACCESS_KEY": "wJalr+UtnFEMI/K7, MDENG"}', '{"AWS_SECRET_ACCESS_KEY": "…"}'),
        ('{\\"token\\": \\"abcd, efgh\\"}', '{\\"token\\": \\"…\\"}'),
        ("token=&quot;abcdefgh&quot;", "token=&quot;…&quot;"),
        ("password = 20261123", "password = …"),
        ("a.eyJhbGciOiJ.eyJzdWIiOiI.abc-def", "a.…"),
        ("github_pat_11ABCDEFGHIJKLMN", "…"),
        ("very-own-secret!", "…!"),
        ("very-\x1b[31mown\x1b[0m-secret!", "…\x1b[31m\x1b[0m!"),
        ("\x1b[33mtoken\x1b[39m=\x1b[33m'abcd1234'\x1b[0m", "\x1b[33mtoken\x1b[39m=\x1b[33m'…'\x1b[0m"),
    ],
)
def test_credentials_and_paths_are_cut_out(told: str, kept: str) -> None:
    """A file's name stays, for it says where something happened, and so does every colour."""
    assert redacted(told, ["very-own-secret"], ["/elsewhere/project"]) == kept


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/home/alice",
        "https://example.org:3000/@scope/package",
        "a/tmp/b",
        "~ 5 tasks",
        "token=None",
        "tokens: 12,345",
        "1/2 and 3 / 4",
        "\x1b[1mbold\x1b[0m and \x1b[",
        "",
    ],
)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    """Addresses, numbers of tokens, fractions."""
    assert redacted(text) == text


@pytest.mark.parametrize("secret", [ODD, LONG, f"{ODD}/{LONG}"])
def test_a_secret_is_found_however_it_is_written(secret: str) -> None:
    """In HTML, JSON, reprs, frames, which cut a long text short, and in any of these inside another."""
    frame = pd.DataFrame({"answer": [f"it is {secret}", secret], "n": [1, 2]})
    texts = [
        frame.to_html(),
        repr(frame),
        repr({"it": secret}),
        ascii([secret, '"']),
        json.dumps({"it": secret}),
        json.dumps({"it": secret}, ensure_ascii=False),
        html.escape(json.dumps([secret])),
        json.dumps(html.escape(secret)),
        repr(json.dumps(secret)),
    ]
    for text in texts:
        for left in (redacted(text, [secret]), without_secrets(text, [secret])):
            assert "…" in left
            assert not any(
                part in left for part in ("ss<w", "ss&lt;w", "ss\\u003cw", "very-long", "0123456")
            ), left


def test_what_is_left_of_json_is_still_json() -> None:
    """Nothing but the secret goes."""
    text = json.dumps({"one": ODD, "two": [f"a {ODD} b", "c"]})
    assert json.loads(without_secrets(text, [ODD])) == {"one": "…", "two": ["a … b", "c"]}


def test_the_environments_secrets_are_known_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """With passwords in addresses and what stands in JSON; and paths such as PWD are none."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    values = {
        "TINYTASK_TOKEN": "very-own-secret",
        "TINYTASK_HEADERS": '{"X-Key": "header-secret"}',
        "TINYTASK_ENDPOINT": "http://me:p%40ss-word@host:3000",
        "AWS_SECRET_ACCESS_KEY": "cloud-secret",
        "OPENAI_KEY": "sk-something",
        "SSH_PASSPHRASE": "correct horse",
        "STORAGE_CONNECTION_STRING": "AccountKey=account-key;EndpointSuffix=x",
        "SSH_AUTH_SOCK": "/tmp/ssh-1/agent.2",
        "PWD": str(Path.cwd()),
        "SHORT_TOKEN": "abc",
        "LANG": "en_GB.UTF-8",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert set(secrets_of_environment()) == {
        "very-own-secret",
        '{"X-Key": "header-secret"}',
        "header-secret",
        "p%40ss-word",
        "p@ss-word",
        "cloud-secret",
        "sk-something",
        "correct horse",
        "AccountKey=account-key;EndpointSuffix=x",
    }
    left = redacted(repr(os.environ), secrets_of_environment())
    assert not any(word in left for word in ("own-secret", "header-secret", "ss-word", "cloud", "something"))
    assert "en_GB.UTF-8" in left
