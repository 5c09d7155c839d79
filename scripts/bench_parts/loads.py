"""The loads: what each one sends, and what the answer must be for the figure to mean anything.

Both servers get the same requests but for paths and identifiers. Before a load runs, one request of its kind is sent
and its answer looked at: a server that refuses quickly would otherwise look fast.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from authz import entropy
from authz.oauth.grants.jwt_bearer import JWT_BEARER
from scripts.bench_parts.asking import Answer, Connection, Json, refused
from scripts.bench_parts.machine import BenchError
from scripts.bench_parts.supplies import (
    DESK,
    REDIRECT,
    RESOURCE,
    SCOPES,
    SERVICE,
    SIGNER,
    WEB,
    basic,
)
from scripts.bench_parts.targets import Target

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTIONS_A_SECOND = 6000
"""More than either server verifies."""
_FOR_ITSELF = {
    "grant_type": "client_credentials",
    "scope": " ".join(SCOPES),
    "resource": RESOURCE,
}
_ASK = {
    "client_id": WEB,
    "response_type": "code",
    "redirect_uri": REDIRECT,
    "scope": " ".join(SCOPES),
    "state": "s1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "resource": RESOURCE,
}
_REDEEM = {
    "grant_type": "authorization_code",
    "redirect_uri": REDIRECT,
    "code_verifier": VERIFIER,
    "resource": RESOURCE,
}


@dataclass(frozen=True)
class Shot:
    """One run of wrk."""

    path: str
    script: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Load:
    """`shot` is given how many refresh tokens a run may have and how many seconds it lasts."""

    title: str
    probe: Callable[[Target, Connection], None]
    shot: Callable[[Target, int, int], Shot]
    in_lane: bool = True
    """Whether the token lane's counters say something about it."""


def probe(name: str, target: Target) -> None:
    """Send one request and look at the answer. Raises BenchError."""
    connection = Connection(target.port)
    try:
        LOADS[name].probe(target, connection)
    except BenchError as error:
        raise BenchError(f"{target.kind.label}, {name}: {error}") from None
    finally:
        connection.close()


def _document(path: str, member: str) -> Load:
    def look(target: Target, connection: Connection) -> None:
        answer = connection.ask(target.paths[path])
        if not _json(answer).get(member):
            raise refused(f"no {member}", answer)

    def shoot(target: Target, _tokens: int, _seconds: int) -> Shot:
        return Shot(target.paths[path], "get.lua")

    return Load({"discovery": "Discovery", "jwks": "JWKS"}[path], look, shoot, in_lane=False)


def _look_service(target: Target, connection: Connection) -> None:
    headers = {"Authorization": basic(SERVICE)}
    _tokens(connection.ask(target.paths["token"], headers=headers, form=_FOR_ITSELF))


def _shoot_service(target: Target, _tokens: int, _seconds: int) -> Shot:
    return Shot(target.paths["token"], "post.lua", (basic(SERVICE), urlencode(_FOR_ITSELF)))


def _signed() -> dict[str, str]:
    return {**_FOR_ITSELF, "client_id": SIGNER, "client_assertion_type": ASSERTION_TYPE}


def _look_signer(target: Target, connection: Connection) -> None:
    assertion = target.supplies.assertions(1).read_text().strip()
    form = {**_signed(), "client_assertion": assertion}
    _tokens(connection.ask(target.paths["token"], form=form))


def _shoot_signer(target: Target, _tokens: int, seconds: int) -> Shot:
    file = target.supplies.assertions(_ASSERTIONS_A_SECOND * seconds)
    form = f"{urlencode(_signed())}&client_assertion="
    return Shot(target.paths["token"], "lines.lua", ("-", form, str(file), "once"))


def _look_refresh(target: Target, connection: Connection) -> None:
    line, _ = target.supplies.take_tokens(1)
    with target.supplies.refresh_tokens.open() as file:
        token = next(text for number, text in enumerate(file, 1) if number == line).strip()
    form = {"grant_type": "refresh_token", "refresh_token": token}
    answer = connection.ask(target.paths["token"], headers={"Authorization": basic(WEB)}, form=form)
    if _tokens(answer).get("refresh_token") in (None, token):
        raise refused("no new refresh token", answer)


def _shoot_refresh(target: Target, tokens: int, _seconds: int) -> Shot:
    first, last = target.supplies.take_tokens(tokens)
    file = str(target.supplies.refresh_tokens)
    return Shot(target.paths["token"], "refresh.lua", (basic(WEB), file, str(first), str(last)))


def _look_introspection(target: Target, connection: Connection) -> None:
    with target.supplies.access_tokens.open() as file:
        token = file.readline().strip()
    headers = {"Authorization": basic(WEB)}
    answer = connection.ask(target.paths["introspection"], headers=headers, form={"token": token})
    if _json(answer).get("active") is not True:
        raise refused("the token is not active", answer)


def _shoot_introspection(target: Target, _tokens: int, _seconds: int) -> Shot:
    words = (basic(WEB), "token=", str(target.supplies.access_tokens), "again")
    return Shot(target.paths["introspection"], "lines.lua", words)


def _look_code(target: Target, connection: Connection) -> None:
    with target.supplies.cookies.open() as file:
        cookie = file.readline().strip()
    answer = connection.ask(_authorize(target), headers={"Cookie": cookie})
    back = urlsplit(answer.headers.get("location", ""))
    code = parse_qs(back.query).get("code")
    if answer.status not in (302, 303) or code is None:
        raise refused("no code", answer)
    form = {**_REDEEM, "code": code[0]}
    answer = connection.ask(target.paths["token"], headers={"Authorization": basic(WEB)}, form=form)
    if not _tokens(answer).get("refresh_token"):
        raise refused("no refresh token", answer)


def _shoot_code(target: Target, _tokens: int, _seconds: int) -> Shot:
    form = f"{urlencode(_REDEEM, quote_via=quote)}&code="
    words = (basic(WEB), _authorize(target), target.paths["token"], form)
    return Shot("/", "code.lua", (*words, str(target.supplies.cookies)))


def _authorize(target: Target) -> str:
    return authorize_path(target.paths["authorize"])


def authorize_path(path: str) -> str:
    """The authorization request, at a server's own path."""
    return f"{path}?{urlencode(_ASK)}"


def _tokens(answer: Answer) -> Json:
    """A token response with both scopes."""
    found = _json(answer)
    if answer.status != 200 or not found.get("access_token"):
        raise refused("no token", answer)
    if not set(SCOPES) <= set(found.get("scope", "").split()):
        raise refused("not the scopes that were asked for", answer)
    return found


def _json(answer: Answer) -> Json:
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise refused("not JSON", answer) from None
    if not isinstance(found, dict):
        raise refused("not an object", answer)
    return found


def _look_id_jag(target: Target, connection: Connection) -> None:
    form = {"grant_type": JWT_BEARER, "assertion": target.supplies.id_jags(1).read_text().strip()}
    headers = {"Authorization": basic(DESK)}
    _tokens(connection.ask(target.paths["token"], headers=headers, form=form))


def _shoot_id_jag(target: Target, _tokens: int, seconds: int) -> Shot:
    file = target.supplies.id_jags(_ASSERTIONS_A_SECOND * seconds)
    form = f"{urlencode({'grant_type': JWT_BEARER})}&assertion="
    return Shot(target.paths["token"], "lines.lua", (basic(DESK), form, str(file), "once"))


def _look_scim(target: Target, connection: Connection) -> None:
    headers = {"Authorization": f"Bearer {target.supplies.scim_token}"}
    answer = connection.ask(f"{target.paths['scim']}/Users?count=1", headers=headers)
    if answer.status != 200 or "totalResults" not in _json(answer):
        raise refused("no list of people", answer)


def _shoot_scim(target: Target, _tokens: int, _seconds: int) -> Shot:
    # Named anew for every run: a name that is taken would be refused, which is quick.
    words = (f"Bearer {target.supplies.scim_token}", entropy.new_id("run"))
    return Shot(f"{target.paths['scim']}/Users", "scim.lua", words)


LOADS: dict[str, Load] = {
    "discovery": _document("discovery", "issuer"),
    "jwks": _document("jwks", "keys"),
    "client_credentials": Load("Client credentials", _look_service, _shoot_service),
    "private_key_jwt": Load("Client credentials, private_key_jwt", _look_signer, _shoot_signer),
    "refresh": Load("Refresh rotation", _look_refresh, _shoot_refresh),
    "introspection": Load("Introspection", _look_introspection, _shoot_introspection),
    "code": Load("Code flow, authorize to token", _look_code, _shoot_code),
    "id_jag": Load("Identity assertion (ID-JAG) to token", _look_id_jag, _shoot_id_jag),
    "scim": Load("SCIM, people created", _look_scim, _shoot_scim, in_lane=False),
}
