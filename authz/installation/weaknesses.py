"""Settings that work, and that nobody should run in production with: pure, but for the mode of one file."""

import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import make_url

from authz.admin.installation import BAD, LOOK, Check
from authz.errors import ConfigurationError
from authz.settings import Settings
from authz.urls import LOOPBACK_HOSTS

NAME = "Settings"
_KNOWN_PASSWORDS = frozenset(
    {
        *(
            "",
            "admin",
            "authz",
            "changeme",
            "change-me",
            "example",
            "postgres",
            "password",
            "secret",
        ),
        *("test", "root", "pass", "12345678"),
    }
)
_LEAST_SECRET_BYTES = 16
_LEAST_DIFFERENT_BYTES = 12
_LONG_TOKEN = timedelta(hours=1)
_LONG_FAMILY = timedelta(days=366)

Resolve = Callable[[str], bytes]


def find_weaknesses(settings: Settings, resolve: Resolve) -> Sequence[Check]:
    """What is weak: BAD where it is refused in production, LOOK where somebody should know."""
    return [
        *_secrets(settings, resolve),
        *_database(settings, resolve),
        *_proxies(settings),
        *_limits(settings),
        *_lifetimes(settings),
        *_talk(settings),
    ]


def _secrets(settings: Settings, resolve: Resolve) -> Iterator[Check]:
    reference = settings.keys.encryption_key
    key = _resolved(reference, resolve)
    if key is not None and len(set(key)) < _LEAST_DIFFERENT_BYTES:
        yield Check(
            NAME,
            BAD,
            "keys.encryption_key is not random: it has hardly any different characters",
            "make one with `authz init` in an empty folder, and start with it before there is any data",
        )
    scheme, _, path = reference.partition(":")
    mode = _mode(Path(path)) if scheme == "file" else None
    if mode is not None and mode & stat.S_IWOTH:
        yield Check(
            NAME,
            BAD,
            f"{path}, the key-encryption key, can be overwritten by everybody on this machine",
            f"chmod 600 {path}",
        )
    elif mode is not None and mode & stat.S_IROTH:
        yield Check(
            NAME,
            LOOK,
            f"{path}, the key-encryption key, can be read by everybody on this machine",
            f"chmod 600 {path}, or mount it with mode 0400",
        )
    for client in settings.client:
        secret = None if client.secret is None else _resolved(client.secret, resolve)
        if secret is not None and len(secret) < _LEAST_SECRET_BYTES:
            yield Check(
                NAME,
                BAD,
                f"the secret of client {client.id!r} has fewer than {_LEAST_SECRET_BYTES} characters",
                "write a random one where the reference points to: `openssl rand -base64 32`",
            )


def _resolved(reference: str, resolve: Resolve) -> bytes | None:
    try:
        return resolve(reference)
    except ConfigurationError:
        return None  # a missing secret has a check of its own


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _database(settings: Settings, resolve: Resolve) -> Iterator[Check]:
    url = make_url(settings.database.url)
    if url.get_backend_name() == "sqlite":
        return
    named = _several(url.query.get("host")) or [url.host or ""]
    is_near = all(
        host.startswith("/") or not host or host.split(":")[0] in LOOPBACK_HOSTS for host in named
    )
    if is_near:
        return
    names = [url.username, *_several(url.query.get("user"))]
    words = [url.password, *_several(url.query.get("password"))]
    if settings.database.password is not None:
        resolved = _resolved(settings.database.password, resolve)
        words.append(None if resolved is None else resolved.decode(errors="replace"))
    if any(it is not None and (it.lower() in _KNOWN_PASSWORDS or it in names) for it in words):
        yield Check(
            NAME,
            BAD,
            f"the database on {', '.join(named)} is opened with a password that everybody tries first",
            "give the database role a random password, and name where it is in database.password",
        )
    if str(url.query.get("sslmode", "prefer")) not in ("verify-ca", "verify-full"):
        yield Check(
            NAME,
            LOOK,
            f"the connection to the database on {', '.join(named)} does not verify whom it talks to",
            "add `sslmode=verify-full&sslrootcert=FILE` to database.url, unless the network between is yours alone",
        )


def _several(value: str | tuple[str, ...] | None) -> list[str]:
    """What a parameter of a URL says, once or more often."""
    return [value] if isinstance(value, str) else list(value or ())


def _proxies(settings: Settings) -> Iterator[Check]:
    for peer in settings.server.trusted_proxies:
        try:
            ip_address(peer)
        except ValueError:
            yield Check(
                NAME,
                BAD,
                f"server.trusted_proxies holds {peer!r}, which is not an address: it would trust nobody, or anybody",
                "write the addresses of your proxies, one by one (ATK-70)",
            )


def _limits(settings: Settings) -> Iterator[Check]:
    limits = settings.limits
    if not (limits.failures_per_client_and_address or limits.failures_per_address):
        yield Check(
            NAME,
            BAD,
            "nothing limits wrong secrets, codes and refresh tokens",
            "leave limits.failures_per_client_and_address and limits.failures_per_address at their defaults",
        )
    unlimited = [name for name, value in limits if value == 0 and name.endswith("_per_address")]
    if unlimited:
        yield Check(
            NAME,
            LOOK,
            f"no limit: {', '.join(f'limits.{name}' for name in unlimited)}",
            "take 0 out where the proxy in front does not limit requests either",
        )


def _lifetimes(settings: Settings) -> Iterator[Check]:
    tokens = settings.tokens
    if tokens.access_token > _LONG_TOKEN:
        yield Check(
            NAME,
            LOOK,
            f"access tokens live {tokens.access_token}: that long a stolen one is good at servers that ask nobody",
            "set tokens.access_token to 600, or follow docs/cut-off.md at every MCP server",
        )
    if tokens.refresh_absolute > _LONG_FAMILY:
        yield Check(
            NAME,
            LOOK,
            f"access without a new sign-in lasts {tokens.refresh_absolute.days} days",
            "set tokens.refresh_absolute to 90 days or less (M7)",
        )


def _talk(settings: Settings) -> Iterator[Check]:
    if settings.log.level == "debug":
        yield Check(NAME, LOOK, "log.level is debug", "set log.level to info")
