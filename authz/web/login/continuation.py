"""Where a person was going when they were asked to sign in, and how the request wants them to.

It goes through the browser, so it is a name of one of our pages and a query, and both are judged anew (ATK-07).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from authz.db.types import canonical_json
from authz.errors import InvalidRequest
from authz.federation.connector import Wish
from authz.net import strict_json
from authz.oauth.asking import Needed
from authz.oauth.authorization_request import SIGNED_IN_BY
from authz.oauth.devices import shown_user_code
from authz.oauth.params import Params
from authz.web.forms import MAX_QUERY_CHARS, params_of

AUTHORIZE, DEVICE, HOME, CONSOLE, ACCOUNT = "authorize", "device", "home", "console", "account"
"""The pages that ask people to sign in and go on with them afterwards."""
NOTHING_NEEDED = Needed()
_MAX_ACR_VALUES = 10
_MAX_DIGITS = 10
MAX_PLACE_QUERY = 2000
_PLACE = re.compile(rf"[a-z0-9_/-]{{0,200}}(\?[A-Za-z0-9_.~%&=+:@/-]{{0,{MAX_PLACE_QUERY}}})?")
"""Where in the console: no scheme, no authority and no dot, so it leads nowhere else (ATK-07)."""


@dataclass(frozen=True)
class Continuation:
    """A page of ours by its name, and its query."""

    then: str
    query: str
    needed: Needed = NOTHING_NEEDED
    """What policy demands of the sign-in, beside what the query asks for. Whoever takes it out of the form gets a
    session that does not do, because that is judged afterwards."""

    def url(self, path: str, mark: str) -> str:
        """The page, for a session with this mark; `path` is the tenant's."""
        if self.then == DEVICE:
            user_code = shown_user_code(params_of(self.query).find("user_code") or "")
            return f"{path}/device?user_code={user_code}" if user_code else f"{path}/device"
        if self.then == ACCOUNT:
            return f"{path}/account"
        if self.then == CONSOLE:
            place = params_of(self.query).find("to") or ""
            if not _PLACE.fullmatch(place) or place.startswith("/"):
                place = ""
            return f"{path}/console/{place}".rstrip("/")
        query = "" if self.then == HOME else _satisfied(self.query, mark)
        return f"{path}/authorize?{query}" if query else path or "/"

    def as_json(self) -> dict[str, Any]:
        """As it is kept with a sign-in that is under way."""
        return {"then": self.then, "query": self.query}

    @property
    def needed_text(self) -> str:
        """For a field of a form; empty where nothing is needed."""
        return "" if self.needed == NOTHING_NEEDED else canonical_json(asdict(self.needed))


def read_continuation(fields: Mapping[str, Any]) -> Continuation:
    """From a form of ours. Raises InvalidRequest."""
    query, then = fields.get("continue", ""), fields.get("then", AUTHORIZE)
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidRequest("the query is too long", reason="query_too_long")
    params_of(query)
    if then not in (AUTHORIZE, DEVICE, HOME, CONSOLE, ACCOUNT):
        raise InvalidRequest("the form is not ours", reason="continuation_unknown")
    return Continuation(then, query, _needed(fields.get("needed", "")))


def wish_of(params: Params, needed: Needed, login_hint: str | None) -> Wish:
    """How an authorization request, and policy, want its person to sign in (SUA-01).

    Read before the request is validated: a value that makes no sense is no wish, and is refused when it is.
    """
    max_age = params.find("max_age") or ""
    prompt = (params.find("prompt") or "").split(" ")
    ages = [] if needed.max_age is None else [needed.max_age]
    if max_age.isascii() and max_age.isdecimal() and len(max_age) < _MAX_DIGITS:
        ages.append(int(max_age))
    acr_values = [*needed.acr_values] or [
        it for it in (params.find("acr_values") or "").split(" ") if it
    ]
    return Wish(
        acr_values=tuple(acr_values[:_MAX_ACR_VALUES]),
        max_age=min(ages) if ages else None,
        is_fresh="login" in prompt,
        login_hint=login_hint or params.find("login_hint"),
    )


def _needed(text: str) -> Needed:
    if not text:
        return NOTHING_NEEDED
    try:
        values = strict_json.read_object(text.encode())
        acr_values, connections = values["acr_values"], values["connections"]
        max_age = values["max_age"]
        is_right = (
            set(values) == {"acr_values", "max_age", "connections"}
            and all(isinstance(it, list) for it in (acr_values, connections))
            and all(isinstance(it, str) for it in [*acr_values, *connections])
            and (max_age is None or (type(max_age) is int and 0 <= max_age < 10**_MAX_DIGITS))
        )
    except (strict_json.NotStrict, KeyError, TypeError):
        is_right = False
    if not is_right:
        raise InvalidRequest("the form is not ours", reason="needed_malformed")
    return Needed(tuple(acr_values[:_MAX_ACR_VALUES]), max_age, tuple(connections))


def _satisfied(query: str, mark: str) -> str:
    """The request to take up again: its wish for a fresh sign-in has just been granted, everything else stays.

    It tells which sign-in was made for it, so that one that does not do is an answer and not a loop. Rebuilt from its
    parts and put behind a path of ours, so it can lead nowhere else (ATK-07).
    """
    pairs = []
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=64):
        if name == "prompt":
            value = " ".join(v for v in value.split() if v not in ("login", "select_account"))
            if not value:
                continue
        if name != SIGNED_IN_BY:
            pairs.append((name, value))
    return urlencode([*pairs, (SIGNED_IN_BY, mark)]) if pairs else ""
