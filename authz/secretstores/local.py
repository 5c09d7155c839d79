"""What opens a store is on this machine: a file or a variable, read at every use, so that it may be renewed."""

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from authz.secretstores.env import EnvStore
from authz.secretstores.errors import SecretMissing, StoreUnavailable
from authz.secretstores.file import FileStore
from authz.secretstores.store import Setup, Store

_KINDS: dict[str, Callable[[Setup], Store]] = {"env": EnvStore, "file": FileStore}


def read_local(setup: Setup, reference: str) -> str:
    """The text behind an `env:` or `file:` reference.

    Raises StoreUnavailable, and never SecretMissing: an agent that writes our token anew says nothing about what is in
    the store, so the last value goes on standing in.
    """
    scheme, _, name = reference.partition(":")
    try:
        text = _KINDS[scheme](setup).read(name).value.decode()
    except SecretMissing as error:
        raise StoreUnavailable(str(error)) from None
    except UnicodeDecodeError:
        raise StoreUnavailable(
            f"the secret {reference} is not text in UTF-8; write it anew"
        ) from None
    if not text:
        raise StoreUnavailable(f"the secret {reference} is empty; store a value")
    return text


def proxy_word(setup: Setup) -> Callable[[], str] | None:
    """How the password of the egress proxy is asked for; None where the URL of the proxy says it all."""
    reference = setup.proxy_password
    return None if reference is None else lambda: read_local(setup, reference)


def proxy_url(setup: Setup) -> str | None:
    """The proxy with its password, for a library that takes it no other way."""
    if setup.proxy is None or setup.proxy_password is None:
        return setup.proxy
    parts = urlsplit(setup.proxy)
    host = parts.netloc.rpartition("@")[2]
    word = quote(read_local(setup, setup.proxy_password), safe="")
    return f"{parts.scheme}://{parts.username or ''}:{word}@{host}"
