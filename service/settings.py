"""Settings, from the environment.

`DATABASE_URL` and `REPRISE_*`; each has its heading in docs/reference/settings.md.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import StartupError

SHORTEST_KEY = 16
"""Characters that a signing key has at least: whoever guesses it makes repeat links of any order."""
PLACEHOLDER = "replace-me"
"""What a key begins with where the docs show one: everybody knows it."""

_FORWARDED_X = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})


class Settings(BaseSettings):
    """All settings of the service. Constructed from the environment; command line options override single values."""

    model_config = SettingsConfigDict(env_prefix="REPRISE_", extra="ignore", populate_by_name=True)

    database_url: str | None = Field(default=None, validation_alias=AliasChoices("database_url", "DATABASE_URL"))
    """Postgres 15 to 18 to use; without it the service runs its own in `data_dir`."""
    data_dir: Path = Path(".reprise")
    """Where the embedded Postgres and its secret keys live."""
    secret_keys: str = ""
    """Comma-separated keys that sign links, the newest first; required with `DATABASE_URL`."""
    public_url: str = ""
    """The URL that clients reach the service by, e.g.

    `https://api.shop.example`; without it links follow the Host header.
    """
    allowed_hosts: str = "127.0.0.1,localhost,[::1]"
    """Comma-separated host names that the Host header may name when `public_url` is not set; `*` allows any."""
    cors_origins: str = "*"
    """Comma-separated origins whose pages may call the API from a browser; `*` allows any, empty none."""
    trusted_proxies: str = ""
    """Comma-separated addresses and networks of proxies whose forwarding headers are believed."""
    forwarded_headers: str = "X-Forwarded-For"
    """The forwarding headers that these set: `Forwarded`, or some of `X-Forwarded-For`, `-Proto` and `-Host`."""
    pool_size: int = Field(default=16, ge=2, le=500)
    """Database connections per process."""
    command_timeout: float = Field(default=15.0, gt=0)
    """Seconds after which a statement is given up."""
    replica_url: str | None = None
    """A streaming replica of the database, which answers reads; by default none does."""
    replica_max_lag: float = Field(default=5.0, gt=0)
    """Seconds that it may be behind; beyond, reads go to the database itself."""
    direct_url: str | None = None
    """The same database without a pooler in between, for what needs a session of its own; by default `database_url`."""
    statement_cache_size: int = Field(default=512, ge=0)
    """Prepared statements per connection; 0 behind PgBouncer in transaction mode."""
    token_cache_seconds: float = Field(default=5.0, ge=0)
    """How long a checked token is believed without asking the database again."""
    token_issuer: str = ""
    """What tokens that clients fetch name as their issuer (`iss`); by default the URL that they are fetched from."""
    rate_limit: int = Field(default=60, gt=0)
    """How many times in a minute a customer asks for something costly, each kind of it by itself: reorders, previews,

    repeat links, forecasts, recurring copies, tokens. An integration asks ten times as often.
    """
    read_limit: int | None = Field(default=None, ge=0)
    """How many other requests to read a customer or a guest sends in a minute, ten times that an integration.

    By default 20 times `rate_limit`, and no limit for integrations; 0 for none.
    """
    write_limit: int | None = Field(default=None, ge=0)
    """The same of requests to write; by default 5 times `rate_limit`."""
    anonymous_limit: int | None = Field(default=None, ge=0)
    """How many requests a network sends in a minute that work is done for without a token, to links and calendars.

    By default 10 times `rate_limit`; 0 for no limit.
    """
    keep_addresses_days: int = Field(default=90, ge=1, le=36_500)
    """How many days the audit trail names the addresses that requests came from, and who was refused is kept."""
    max_body_bytes: int = Field(default=2_000_000, gt=0)
    """Larger request bodies are refused with 413."""
    max_connections: int = Field(default=800, gt=0)
    """Connections that a process answers at a time; further ones get 503 and are closed."""
    gateway_connect_timeout: float = Field(default=3.0, gt=0, le=10)
    """Seconds after which a store's own payment gateway that can't be connected to is given up."""
    gateway_timeout: float = Field(default=10.0, gt=0, le=10)
    """Seconds that a store's own payment gateway has for a whole answer."""
    allow_private_addresses: bool = False
    """Whether URLs that stores name may lead into private networks, and be without TLS."""
    allow_local_receivers: bool = False
    """Whether webhooks of stores in test mode may lead to this very machine, without TLS."""
    nats_url: str = ""
    """Comma-separated URLs of NATS servers that all events are published to; none by default."""
    nats_stream: str = "reprise"
    """The stream of JetStream that keeps them."""
    nats_subject: str = "reprise.{store}.{topic}"
    """What an event is published under: `{store}` stands for the store's number, `{topic}` for what happened."""
    nats_create_stream: bool = True
    """Whether the stream is made where there is none."""
    nats_history: bool = False
    """Whether events from before the first start are published, too."""
    nats_credentials: Path | None = None
    """A file with the credentials (JWT and key) of the user who publishes."""
    nats_ca: Path | None = None
    """A file with the certificates of authorities that servers are trusted by."""
    nats_certificate: Path | None = None
    """A file with the certificate that servers are shown."""
    nats_key: Path | None = None
    """A file with the key of that certificate."""
    deployment_id: str = ""
    """The name of this installation; by default what tells its database from copies of it. See `reprise adopt`."""
    metrics_token: str = ""
    """What `/metrics` asks for as a bearer token; without it, it answers at a port of its own only."""
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """The port at which a process tells health and metrics beside what else it does; 0 for any that is free."""
    metrics_host: str = "127.0.0.1"
    """The address that it listens on for that."""
    retain_answers: int = Field(default=24, ge=1, le=24)
    """Hours for which answers are kept under the idempotency keys of their requests."""
    retain_deliveries: int = Field(default=30, ge=1, le=36_500)
    """Days for which deliveries to webhooks are kept that have come to an end."""
    retain_events: int = Field(default=0, ge=0, le=36_500)
    """Days for which events are kept; 0 keeps them for good."""
    retain_imports: int = Field(default=90, ge=0, le=36_500)
    """Days for which imports and exports are kept that have come to their end; 0 keeps them for good."""
    log_level: str = "info"
    """debug, info, warning or error."""

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, url: str) -> str:
        """What every link that is handed out begins with. Raises ValueError for what is no origin of the web."""
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("it is a whole URL, such as https://api.shop.example")
        return url

    @property
    def session_url(self) -> str | None:
        """The URL of the database for what needs a session of its own: LISTEN, the queue, migrations and commands."""
        return self.direct_url or self.database_url

    @property
    def keys(self) -> list[str]:
        """The signing keys, the newest first."""
        return [key.strip() for key in self.secret_keys.split(",") if key.strip()]

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The host names that links may be made for."""
        return frozenset(host.strip().lower() for host in self.allowed_hosts.split(",") if host.strip())

    @property
    def origins(self) -> list[str]:
        """The origins that browsers may call from."""
        return [origin.strip().rstrip("/") for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the trusted proxies. Raises StartupError for what is none."""
        try:
            return tuple(ip_network(text.strip()) for text in self.trusted_proxies.split(",") if text.strip())
        except ValueError as error:
            raise StartupError(
                "REPRISE_TRUSTED_PROXIES takes addresses and networks such as 10.0.0.0/8: {error}.", error=error
            ) from None

    @property
    def forwarding(self) -> frozenset[str]:
        """The names of the forwarding headers that trusted proxies are believed, in lower case.

        Raises StartupError for others, and for `Forwarded` beside those that say the same.
        """
        named = frozenset(name.strip().lower() for name in self.forwarded_headers.split(",") if name.strip())
        if not named or not (named == {"forwarded"} or named <= _FORWARDED_X):
            raise StartupError(
                "REPRISE_FORWARDED_HEADERS takes Forwarded, or some of X-Forwarded-For, X-Forwarded-Proto and "
                "X-Forwarded-Host: those that your proxy sets in every request."
            )
        return named

    def check_keys(self) -> None:
        """Raise StartupError for a given key that others can guess, or know from the docs."""
        if any(len(key) < SHORTEST_KEY for key in self.keys):
            raise StartupError(
                "REPRISE_SECRET_KEYS holds a key of fewer than {least} characters, which can be guessed: "
                "make a longer one, for instance with `openssl rand -base64 32`.",
                least=SHORTEST_KEY,
            )
        if any(key.startswith(PLACEHOLDER) for key in self.keys):
            raise StartupError(
                "REPRISE_SECRET_KEYS holds the placeholder of the docs, which everybody knows: "
                "make a key of your own, for instance with `openssl rand -base64 32`."
            )

    def with_keys(self) -> Settings:
        """These settings with signing keys.

        They are the given ones, or for the embedded database those kept in `data_dir/secret_keys` (made once, mode
        0600). Raises StartupError when a given database has no keys: they sign links that customers hold, so they
        can't be made up at every start.
        """
        if self.keys:
            self.check_keys()
            return self
        if self.database_url:
            raise StartupError(
                "Set REPRISE_SECRET_KEYS: with DATABASE_URL the service doesn't make up the keys that sign its links."
            )
        kept = self.data_dir / "secret_keys"
        try:
            self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            if not kept.exists():
                # Written aside and linked into place, so that a second process never reads a half-written file.
                draft = kept.with_name(f"secret_keys.{os.getpid()}")
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                    file.write(secrets.token_urlsafe(32))
                with contextlib.suppress(FileExistsError):
                    os.link(draft, kept)
                draft.unlink()
            keys = kept.read_text().strip()
        except OSError as error:
            raise StartupError(
                "The data folder {folder} can't be used ({reason}): set REPRISE_DATA_DIR to another.",
                folder=self.data_dir,
                reason=error.strerror,
            ) from None
        return self.model_copy(update={"secret_keys": keys})
