"""Where the server is and how long to wait: argument, then environment, then `.env`, then default."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from dotenv import find_dotenv
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

__all__ = ["DEFAULT_ENDPOINT", "Settings", "is_url", "load_settings", "public_endpoint"]

DEFAULT_ENDPOINT = "http://localhost:3000"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """How to reach one TinyTask server; each field is also an environment variable, `TINYTASK_` before it.

    `timeout` bounds every call, retries and connecting included, and `connect_timeout` the connecting
    alone, both in seconds. `token` is sent as a bearer token, `headers` (JSON in the environment) as given.

    Example: `load_settings(timeout=5).endpoint`
    """

    model_config = SettingsConfigDict(
        env_prefix="TINYTASK_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    endpoint: str = Field(DEFAULT_ENDPOINT, repr=False)  # A URL may hold a password.
    timeout: Seconds = 30.0
    connect_timeout: Seconds = 10.0
    token: SecretStr | None = None
    headers: dict[str, SecretStr] = {}

    def secret_headers(self, url: str = "") -> dict[str, str]:
        """The HTTP headers to send, secrets in clear: never to be printed.

        A token goes before the user and password that `url` may hold.
        Example: `load_settings(token="t").secret_headers()`
        """
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        user, password = urlsplit(url).username, urlsplit(url).password
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        elif (user or password) and "authorization" not in {name.lower() for name in headers}:
            pair = f"{unquote(user or '')}:{unquote(password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return headers


def load_settings(**given: Any) -> Settings:
    """Read the settings; an argument that is not None wins over `TINYTASK_…` in the environment and `.env`.

    `.env` is looked for from the working directory upwards. Raises ValueError that names what is wrong.

    Example: `load_settings(endpoint="demo", timeout=5)`
    """
    arguments = {name: value for name, value in given.items() if value is not None}
    dotenv = find_dotenv(usecwd=True) or None
    try:
        settings = Settings(**{"_env_file": dotenv, **arguments})
    except (SettingsError, UnicodeDecodeError) as error:
        raise ValueError(
            f"settings that cannot be used, of the environment or of {dotenv or '.env'}: {error}"
        ) from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, at))} (or TINYTASK_{str(at[0]).upper()}): {problem['msg']}"
            for problem in error.errors(include_input=False)
            if (at := problem["loc"])
        )
        raise ValueError(f"settings that cannot be used: {problems}") from None
    for name, value in settings.secret_headers().items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ValueError(f"{name!r} is no name of an HTTP header")
        # HTTP would refuse it too, and show it.
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(
                f"the header {name} has blanks at an end, line ends, or letters that are not ASCII"
            )
    return settings


def public_endpoint(endpoint: str) -> str:
    """The endpoint as it may be shown: without user, password, query and fragment, which can be secrets.

    Example: `public_endpoint("http://me:secret@host:3000/?key=1")` is `"http://host:3000"`
    """
    if is_url(endpoint):
        parts = urlsplit(endpoint)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    # Where it cannot be taken apart, anything before the last @ may be a password.
    scheme, mark, rest = endpoint.rpartition("://")
    return scheme + mark + rest.rpartition("@")[2].partition("?")[0].partition("#")[0]


def is_url(endpoint: str) -> bool:
    """Whether an endpoint is an address that HTTP can connect to.

    Example: `is_url("localhost:3000")` is False
    """
    try:
        parts = urlsplit(endpoint)
        # An @ further on is the end of a password that holds a slash.
        misread = "@" in parts.path + parts.query + parts.fragment
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not misread
    except ValueError:
        return False
