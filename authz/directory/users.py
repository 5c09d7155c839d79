"""People by login name and by id."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.db.lists import among
from authz.db.models import User
from authz.errors import Invalid, NotFound

MAX_LOGIN_CHARS = 254


def may_act(status: str | None, cut_at: datetime | None, signed_in_at: datetime) -> bool:
    """Whether a sign-in of this moment still counts; asked wherever something stands on one (ATK-29).

    Until the account is disabled, or everything before a moment was cut off. None is nobody's status.
    """
    return status == "active" and (cut_at is None or signed_in_at > cut_at)


def normal_login(text: str) -> str:
    """The one spelling of a login name: composed (NFC), lower case, no space around it."""
    return unicodedata.normalize("NFC", text.strip()).lower()


def check_login(text: str) -> str:
    """The normal spelling of a login that may be given to somebody. Raises Invalid."""
    login = normal_login(text)
    if not 1 <= len(login) <= MAX_LOGIN_CHARS:
        raise Invalid(
            f"the login {text[:80]!r} has {len(login)} characters; 1 to {MAX_LOGIN_CHARS} are possible",
            field="login",
        )
    if not login.isprintable() or " " in login:
        raise Invalid(
            f"the login {text!r} has a space or an unprintable character; leave it out",
            field="login",
        )
    return login


def find_by_login(tx: Session, tenant_id: str, login: str) -> User | None:
    """The person with this login name, however it is capitalised."""
    return tx.scalars(
        select(User).where(User.tenant_id == tenant_id, User.login == normal_login(login))
    ).one_or_none()


def find(tx: Session, tenant_id: str, user_id: str) -> User | None:
    """The person with this id."""
    return tx.scalars(
        select(User).where(User.tenant_id == tenant_id, User.id == user_id)
    ).one_or_none()


def logins(tx: Session, tenant_id: str, ids: Iterable[str]) -> dict[str, str]:
    """What the people among the ids sign in as."""
    rows = tx.execute(
        select(User.id, User.login).where(User.tenant_id == tenant_id, among(tx, User.id, ids))
    )
    return {row.id: row.login for row in rows}


def load(tx: Session, tenant_id: str, reference: str) -> User:
    """The person an operator means by a login name or an id. Raises NotFound."""
    user = find(tx, tenant_id, reference) or find_by_login(tx, tenant_id, reference)
    if user is None:
        raise NotFound(f"there is no user {reference!r}; `authz users list` shows them")
    return user
