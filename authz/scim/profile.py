"""What the account itself shows of the user a client wrote: one login, one name, one address (pure)."""

from authz.directory.linking import domain_of
from authz.directory.users import MAX_LOGIN_CHARS, check_login, normal_login
from authz.errors import Invalid
from authz.scim.errors import InvalidValue
from authz.scim.reading import Document

_MAX_NAME_CHARS = 200
_ID = "usr_"


def login_of(document: Document) -> str:
    try:
        login = check_login(document["userName"])
    except Invalid:
        raise InvalidValue(
            f"userName has 1 to {MAX_LOGIN_CHARS} printable characters and no space",
            reason="user_name_malformed",
        ) from None
    if login.startswith(_ID):
        # An operator who names somebody by id must not find somebody who is called like one.
        raise InvalidValue(f"userName does not begin with {_ID}", reason="user_name_like_id")
    return login


def name_of(document: Document) -> str:
    parts = document.get("name") or {}
    full_name = f"{parts.get('givenName') or ''} {parts.get('familyName') or ''}"
    for text in (document.get("displayName"), parts.get("formatted"), full_name):
        line = " ".join((text or "").split())[:_MAX_NAME_CHARS]
        if line and line.isprintable():
            return line
    return normal_login(document["userName"])


def address_of(document: Document) -> str | None:
    """The primary address, else the one for work, else the first."""
    sent = [it for it in document.get("emails") or () if it.get("value")]
    if not sent:
        return None
    best = min(sent, key=lambda it: (it.get("primary") is not True, it.get("type") != "work"))
    address = normal_login(best["value"])
    is_plain = address.isprintable() and " " not in address and len(address) <= MAX_LOGIN_CHARS
    return address if is_plain and domain_of(address) else None
