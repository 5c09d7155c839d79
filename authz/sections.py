"""What the tables of `authz.toml` are made of: frozen shapes, durations in seconds, and secrets by reference only."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from authz.secretstores import STORES
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

SecretReference = Annotated[str, Field(pattern=rf"^({'|'.join(map(re.escape, STORES))}):.+$")]
LocalReference = Annotated[str, Field(pattern=r"^(env|file):.+$")]
"""What opens a store cannot be in one."""


def _seconds(value: object) -> object:
    """The environment has only text: `300` means seconds there as it does in the file."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


AnySeconds = Annotated[timedelta, BeforeValidator(_seconds)]
Seconds = Annotated[AnySeconds, Field(gt=timedelta(0))]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _address(text: str) -> str:
    try:
        parts = read_url("the address", text)
    except UrlError as error:
        raise ValueError(str(error)) from None
    if parts.query is not None or parts.fragment is not None or text.endswith("/"):
        raise ValueError("write scheme, host and port, without a final slash, query or fragment")
    # What goes there is a credential, and what comes back is a secret.
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.host in LOOPBACK_HOSTS):
        raise ValueError("use https, or http on loopback")
    return text


StoreAddress = Annotated[str, AfterValidator(_address)]
"""Where an operator says a store is."""
