"""Where the server is and how long to wait: argument, then environment, then `.env`, then default."""

import base64
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from calypso_nb.errors import UsageError

DEFAULT_ENDPOINT = "http://localhost:3000"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Endpoint:
    """What a user gives as an endpoint, taken apart; only an address of HTTP has URLs, user and password."""

    text: str = field(repr=False)  # It may hold a password.

    @cached_property
    def _parts(self) -> SplitResult | None:
        try:
            parts = urlsplit(self.text)
            port = parts.port
        except ValueError:
            return None
        # An @ further on is the end of a password that holds a slash.
        misread = "@" in parts.path + parts.query + parts.fragment
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or misread:
            return None
        return parts

    @property
    def is_url(self) -> bool:
        """Whether it is an address that HTTP can connect to."""
        return self._parts is not None

    @property
    def has_query(self) -> bool:
        """Whether it is an address with a query, which may be a key."""
        return self._parts is not None and bool(self._parts.query)

    @property
    def shown(self) -> str:
        """The endpoint without what may be secret: user and password, query and fragment."""
        if self._parts is not None:
            host = self._parts.netloc.rpartition("@")[2]
            return f"{self._parts.scheme}://{host}{self._parts.path.rstrip('/')}"
        # It can't be taken apart: anything before the last @ may be a password.
        scheme, mark, rest = self.text.rpartition("://")
        return scheme + mark + rest.rpartition("@")[2].partition("?")[0].partition("#")[0]

    @property
    def credentials(self) -> tuple[str, ...]:
        """What of it is secret, in clear: user, password, and both as they are sent. Never to be shown."""
        before = self.text.rpartition("://")[2].rpartition("@")[0]
        user, _, password = before.partition(":")
        return (before, unquote(before), user, unquote(user), password, unquote(password))

    @property
    def mcp(self) -> str:
        """The URL at which the server speaks MCP, whether the endpoint ends in `/mcp` or not."""
        return f"{self.shown.removesuffix('/mcp')}/mcp"

    @property
    def rest(self) -> str:
        """The URL of TinyTask v2's REST API."""
        return f"{self.mcp.removesuffix('/mcp')}/api/v1"

    @property
    def health(self) -> str:
        """The URL of the server's health check."""
        return f"{self.mcp.removesuffix('/mcp')}/health"

    @property
    def basic_authorization(self) -> str | None:
        """The value of the Authorization header for the user and password, if there are any."""
        if self._parts is None or not (self._parts.username or self._parts.password):
            return None
        pair = f"{unquote(self._parts.username or '')}:{unquote(self._parts.password or '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


class Settings(BaseSettings):
    """How to reach one TinyTask server; each field is also an environment variable, `TINYTASK_` before it.

    - timeout: how long a call may take, retries and connecting included, in seconds
    - connect_timeout: how long each connecting may take, in seconds
    - token: sent as a bearer token
    - headers: sent with every HTTP request; JSON in the environment
    """

    model_config = SettingsConfigDict(
        env_prefix="TINYTASK_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    endpoint: str = Field(DEFAULT_ENDPOINT, repr=False)  # A URL may hold a password.
    timeout: Seconds = 30.0
    connect_timeout: Seconds = 10.0
    token: SecretStr | None = None
    headers: dict[str, SecretStr] = {}

    def secret_headers(self, endpoint: Endpoint | None = None) -> dict[str, str]:
        """Return the HTTP headers to send, secrets in clear: never to be printed.

        A token comes before a header `Authorization`, and that before the endpoint's user and password.
        """
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.token is not None:
            return headers | {"Authorization": f"Bearer {self.token.get_secret_value()}"}
        basic = endpoint.basic_authorization if endpoint is not None else None
        if basic is None or "authorization" in {name.lower() for name in headers}:
            return headers
        return headers | {"Authorization": basic}


def load_settings(env_file: str | os.PathLike[str] | None = None, **given: Any) -> Settings:
    """Read the settings: the arguments that are not None, then `TINYTASK_…` in the environment, then files.

    - env_file: a file that is read before the first `.env` from the working directory upwards

    Raise ValueError that names what is wrong.
    """
    arguments = {name: value for name, value in given.items() if value is not None}
    here = Path.cwd()
    places = (folder / ".env" for folder in (here, *here.parents))
    found = next((place for place in places if place.is_file()), None)
    files = [Path(file) for file in (found, env_file) if file is not None]  # The last one wins.
    try:
        settings = Settings(**{"_env_file": files, **arguments})
    except (SettingsError, UnicodeDecodeError) as error:
        sources = " or in ".join(["the environment", *map(str, files)])
        raise UsageError(f"invalid settings in {sources}: {error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, at))} (or TINYTASK_{str(at[0]).upper()}): {problem['msg']}"
            for problem in error.errors(include_input=False)
            if (at := problem["loc"])
        )
        raise UsageError(f"invalid settings: {problems}") from None
    for name, value in settings.secret_headers().items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise UsageError(f"{name!r} is not a valid name of an HTTP header")
        # HTTP would refuse it too, and show it.
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise UsageError(
                f"the header {name} has blanks at an end, line ends, or letters that are not ASCII"
            )
    return settings
