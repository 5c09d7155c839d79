"""The server under test as the command line describes it: options for what is always needed, a file for the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from authz.cli import values
from authz.errors import Invalid
from authz.jose import Key
from authz.lab.applications import READ, WITHHELD, WRITE
from authz.lab.target import METHODS, Credentials, Target
from authz.sections import SecretReference
from authz.urls import UrlError, read_url

Resolve = Callable[[str], bytes]


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Client(_Described):
    """A further client."""

    id: str
    secret: SecretReference | None = None
    auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] = (
        "client_secret_basic"
    )


class More(_Described):
    """What some scenarios need besides; each is optional (docs/lab.md)."""

    other_resource: str | None = None
    other_client: _Client | None = None
    ungranted_client: _Client | None = None
    public_client: str | None = None


def read_more(path: Path | None) -> More:
    """The file. Raises Invalid naming the first member that is wrong."""
    if path is None:
        return More()
    try:
        return More.model_validate(values.json_object(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Invalid(f"{where} in {path}: {first['msg']}") from None


def describe(
    *,
    issuer: str,
    resource: str,
    is_labs_server: bool,
    client: Credentials,
    scopes: list[str] | None,
    withheld: str | None,
    more: More,
    key: Key,
    resolve: Resolve,
) -> Target:
    """Everything together; `key` is the lab client's. Raises Invalid."""
    for name, url in (("issuer", issuer), ("resource", resource)):
        try:
            read_url(name, url)
        except UrlError as error:
            raise Invalid(str(error)) from None
    return Target(
        issuer=issuer,
        resource=resource,
        is_labs_server=is_labs_server,
        client=client,
        scopes=tuple(scopes or (READ, WRITE)),
        withheld=withheld or (None if scopes else WITHHELD),
        other_resource=more.other_resource,
        other_client=_further(more.other_client, key, resolve),
        ungranted_client=_further(more.ungranted_client, key, resolve),
        public_client=Credentials(more.public_client) if more.public_client else None,
    )


def credentials(
    client_id: str, method: str, reference: str | None, key: Key, resolve: Resolve
) -> Credentials:
    """A client with its secret, or with the key of the lab's client. Raises Invalid."""
    if method not in METHODS:
        raise Invalid(f"the method {method!r} is not one of {', '.join(METHODS)}")
    if method in ("private_key_jwt", "none"):
        if reference is not None:
            raise Invalid(f"{client_id} authenticates with {method}, so it has no secret")
        return Credentials(client_id, method, key=key if method == "private_key_jwt" else None)
    if reference is None:
        raise Invalid(f"{client_id} authenticates with {method}: say where its secret is")
    try:
        return Credentials(client_id, method, resolve(reference).decode())
    except UnicodeDecodeError:
        raise Invalid(f"the secret in {reference} is not text in UTF-8") from None


def _further(client: _Client | None, key: Key, resolve: Resolve) -> Credentials | None:
    if client is None:
        return None
    return credentials(client.id, client.auth, client.secret, key, resolve)
