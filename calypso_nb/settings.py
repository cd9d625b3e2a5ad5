"""Where the server is and how long to wait: argument, then environment, then `.env`, then default.

What TinyTask's own command line is set up by counts too, below that: its variables and its file of profiles.
"""

import base64
import getpass
import json
import os
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from calypso_nb.errors import UsageError

DEFAULT_ENDPOINT = "http://localhost:3000"

# How the name of the file goes on that holds the secret in the URL of a recorder's hub.
HUB_TOKEN = ".hub-token"

# Nobody waits so many seconds for a call: TinyTask's own command line reads milliseconds.
MILLISECONDS_FROM = 1000

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
        """What of it is secret, in clear, as it is written and as it is sent: never to be shown."""
        before = self.text.rpartition("://")[2].rpartition("@")[0]
        password = before.partition(":")[2]
        return (before, unquote(before), password, unquote(password))

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
    - max_retries: how often a call is repeated that may be: a read, or a write that certainly was not sent
    - retry_delay: how long to wait before the first repetition, in seconds
    - backoff_factor: how many times as long as the wait before it each further wait is
    - token: sent as a bearer token
    - headers: sent with every HTTP request; JSON in the environment
    - url, config_path: what TinyTask's own command line calls its server, and its file, `~/.tinytaskrc.json`
    - history: the file that `calypso-nb record` writes and everything else reads what happened from
    - hub_token: the secret in the URL of a recorder's hub
    - digest_webhook: where `calypso-nb digest --webhook` posts to, a secret
    - agent: who I am; `TKO_AGENT` comes before `TINYTASK_AGENT`
    """

    model_config = SettingsConfigDict(
        env_prefix="TINYTASK_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    endpoint: str = Field(DEFAULT_ENDPOINT, repr=False)  # A URL may hold a password.
    timeout: Seconds = 30.0
    connect_timeout: Seconds = 10.0
    max_retries: int = Field(3, ge=0)
    retry_delay: float = Field(0.1, ge=0, allow_inf_nan=False)
    backoff_factor: float = Field(2.0, ge=1, allow_inf_nan=False)
    url: str | None = Field(None, repr=False)
    config_path: Path = Path("~/.tinytaskrc.json")
    agent: str | None = Field(None, validation_alias=AliasChoices("TKO_AGENT", "TINYTASK_AGENT"))
    token: SecretStr | None = None
    headers: dict[str, SecretStr] = {}
    history: Path = Path("history.db")
    hub_token: SecretStr | None = None
    digest_webhook: SecretStr | None = None

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


class _Profile(BaseModel):
    """What TinyTask's own command line keeps for one server."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: str | None = None
    agent: str | None = None


class _CommandLineFile(_Profile):
    """Its file: values for all, profiles by name, and which of them is in use."""

    profiles: Annotated[dict[str, _Profile], BeforeValidator(lambda profiles: profiles or {})] = {}
    active: str | None = Field(None, alias="activeProfile")


def load_settings(env_file: str | os.PathLike[str] | None = None, **given: Any) -> Settings:
    """Read the settings: the arguments that are not None, then `TINYTASK_…` in the environment, then files.

    - env_file: a file that is read before the first `.env` from the working directory upwards

    An endpoint may be the name of a profile of TinyTask's own command line. Raise ValueError that names what
    is wrong; warn if a timeout is taken for milliseconds.
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
    settings = settings.model_copy(update=_from_command_line(settings))
    if settings.timeout >= MILLISECONDS_FROM and "timeout" not in arguments:
        seconds = settings.timeout / 1000
        warnings.warn(
            f"TINYTASK_TIMEOUT of {settings.timeout:g} is taken for milliseconds, as TinyTask's own command "
            f"line does: {seconds:g} s",
            stacklevel=1,  # One place for all, so that Python says it once.
        )
        settings = settings.model_copy(update={"timeout": seconds})
    for name, value in settings.secret_headers().items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise UsageError(f"{name!r} is not a valid name of an HTTP header")
        # HTTP would refuse it too, and show it.
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise UsageError(
                f"the header {name} has blanks at an end, line ends, or letters that are not ASCII"
            )
    return settings


def login() -> str:
    """Return the name of the user, for what is theirs if `agent` is not set."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # A container's user has no name.
        return "supervisor"


def own_secrets() -> list[str]:
    """Return what is secret in the settings, from wherever, whole and in parts: never to be shown."""
    settings = load_settings()
    sent = list(settings.secret_headers().values())
    if settings.hub_token is not None:
        sent.append(settings.hub_token.get_secret_value())
    for place in settings.history.expanduser().parent.glob(f"*{HUB_TOKEN}"):
        with suppress(OSError, ValueError):
            sent.append(place.read_text("utf-8").strip())
    if settings.digest_webhook is not None:
        sent += _secrets_in(settings.digest_webhook.get_secret_value())
    sent += re.findall(r"/hub/([^/?#\s]+)", os.environ.get("TINYTASK_SIGNALR_HUB_URL", ""))
    parts = [part for value in sent for part in re.findall(r"[^\s;,=]{8,}", value)]
    return [secret for secret in (*Endpoint(settings.endpoint).credentials, *sent, *parts) if secret]


def _secrets_in(url: str) -> list[str]:
    """Return what of the address of a webhook is secret: all but the host, and each part that is no word."""
    path = url.partition("://")[2].partition("/")[2]
    words = [path, *re.findall(r"[^/?&=#]{8,}", path)]
    return [url, *(word for word in words if not word.isalpha() or not word.islower())]


def _from_command_line(settings: Settings) -> dict[str, Any]:
    """Return what the variables and the file of TinyTask's own command line say where our settings don't."""
    try:
        file = _command_line_file(settings.config_path.expanduser())
    except UsageError as problem:
        if "endpoint" not in settings.model_fields_set:
            raise
        # The endpoint need not be one of its profiles.
        warnings.warn(f"{problem}; it is left out", stacklevel=1)
        file = _CommandLineFile.model_validate({})
    named = file.profiles.get(settings.endpoint)
    profile = named or file.profiles.get(file.active or "", _Profile())
    found: dict[str, Any] = {"agent": settings.agent or profile.agent or file.agent}
    if named is not None and named.url is not None:
        return found | {"endpoint": named.url}
    if "endpoint" in settings.model_fields_set:
        return found
    if settings.url is None and file.active is not None and file.active not in file.profiles:
        raise UsageError(
            f"{settings.config_path}: its activeProfile {file.active!r} is not among its profiles"
        )
    return found | {"endpoint": settings.url or profile.url or file.url or settings.endpoint}


def _command_line_file(path: Path) -> _CommandLineFile:
    try:
        return _CommandLineFile.model_validate(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return _CommandLineFile.model_validate({})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise UsageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a file of settings: {error}") from None
