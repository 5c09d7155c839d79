"""Through whom: the client proves itself, and an assertion is good for one client alone."""

from authz.lab.bench import JWT_BEARER, Bench
from authz.lab.judgement import Failed, NotOffered, claims_of, granted, refused
from authz.lab.scenario import Level, Scenario
from authz.lab.target import Credentials

_GRANT = ("grant_type", JWT_BEARER)
_CLIENT = frozenset({"invalid_client"})
_UNPROVEN = frozenset({"invalid_client", "invalid_request", "unauthorized_client"})
_TWO = frozenset({"invalid_request", "invalid_client"})
_UNAUTHORIZED = frozenset({"unauthorized_client", "invalid_client", "invalid_grant"})


async def _refuses_wrong_secret(bench: Bench) -> str:
    _authenticates(bench)
    await bench.control()
    thief = bench.target.client.wrong(bench.idp.stranger)
    answer = await bench.redeem(bench.statement().sign(), by=thief)
    told = refused(answer, _CLIENT)
    if bench.target.client.method == "client_secret_basic" and answer.status != 401:
        raise Failed(f"it is answered with {answer.status}, where 401 is due to a header")
    return told


async def _refuses_no_secret(bench: Bench) -> str:
    _authenticates(bench)
    await bench.control()
    bare = Credentials(bench.target.client.client_id)
    return refused(await bench.redeem(bench.statement().sign(), by=bare), _UNPROVEN)


async def _refuses_nobody(bench: Bench) -> str:
    await bench.control()
    answer = await bench.post([_GRANT, ("assertion", bench.statement().sign())])
    return refused(answer, _UNPROVEN)


async def _refuses_two_methods(bench: Bench) -> str:
    client = bench.target.client
    if not client.secret:
        raise NotOffered("the client has no secret that could be sent twice")
    await bench.control()
    twice = [("client_id", client.client_id), ("client_secret", client.secret)]
    pairs = [_GRANT, ("assertion", bench.statement().sign())]
    answer = await bench.post([*pairs, *twice], {"Authorization": client.basic()})
    return refused(answer, _TWO)


async def _refuses_relay(bench: Bench) -> str:
    other = bench.target.other_client
    if other is None:
        raise NotOffered(
            "this takes a second client with the grant type: other_client in --settings"
        )
    own = bench.statement(client_id=other.client_id)
    granted(await bench.redeem(own.sign(), by=other), "a good assertion for the second client")
    return refused(await bench.redeem(bench.statement().sign(), by=other))


async def _spends_nothing_by_relay(bench: Bench) -> str:
    other = bench.target.other_client
    if other is None:
        raise NotOffered(
            "this takes a second client with the grant type: other_client in --settings"
        )
    text = bench.statement().sign()
    refused(await bench.redeem(text, by=other))
    granted(await bench.redeem(text), "what another client tried before")
    return "its own client redeems it after the other one was refused"


async def _refuses_unregistered(bench: Bench) -> str:
    client = bench.target.ungranted_client
    if client is None:
        raise NotOffered(
            "this takes a client without the grant type: ungranted_client in --settings"
        )
    await bench.control()
    own = bench.statement(client_id=client.client_id)
    return refused(await bench.redeem(own.sign(), by=client), _UNAUTHORIZED)


async def _refuses_public(bench: Bench) -> str:
    client = bench.target.public_client
    if client is None:
        raise NotOffered(
            "this takes a public client with the grant type: public_client in --settings"
        )
    await bench.control()
    own = bench.statement(client_id=client.client_id)
    return refused(await bench.redeem(own.sign(), by=client), _UNAUTHORIZED)


async def _is_no_password(bench: Bench) -> str:
    """A token is no assertion, whoever signed it."""
    token = await bench.control()
    claims_of(token)
    return refused(await bench.redeem(token.access_token))


def _authenticates(bench: Bench) -> None:
    if bench.target.client.method == "none":
        raise NotOffered("the client has nothing to prove itself with")


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "client-wrong-secret",
        "A client with wrong credentials is refused",
        "IDJAG-54 EMA-10 EMA-27",
        "RFC 6749 §5.2; ID-JAG §9.1",
        _refuses_wrong_secret,
    ),
    Scenario(
        "client-no-secret",
        "A client that proves nothing is refused",
        "IDJAG-54 EMA-10",
        "RFC 6749 §3.2.1; ID-JAG §9.1",
        _refuses_no_secret,
    ),
    Scenario(
        "client-nobody",
        "A request of no client is refused",
        "IDJAG-54 EMA-10",
        "ID-JAG §4.4.1, §9.1",
        _refuses_nobody,
    ),
    Scenario(
        "client-two-methods",
        "Credentials in two places are refused",
        "IDJAG-54",
        "RFC 6749 §2.3",
        _refuses_two_methods,
    ),
    Scenario(
        "client-relay",
        "Another client's assertion is refused",
        "IDJAG-54 IDJAG-85 EMA-09",
        "ID-JAG §4.4.1, §9.4",
        _refuses_relay,
    ),
    Scenario(
        "client-relay-unspent",
        "Whom it is for can redeem it after another one tried",
        "IDJAG-66",
        "a hardening rule without a text",
        _spends_nothing_by_relay,
        Level.SHOULD,
    ),
    Scenario(
        "client-ungranted",
        "A client that is not registered for the grant is refused",
        "IDJAG-55 EMA-27",
        "RFC 6749 §5.2",
        _refuses_unregistered,
    ),
    Scenario(
        "client-public",
        "A client that cannot authenticate is refused",
        "IDJAG-56 EMA-11",
        "ID-JAG §9.1",
        _refuses_public,
        Level.SHOULD,
    ),
    Scenario(
        "token-as-assertion",
        "An access token is no assertion",
        "IDJAG-01",
        "RFC 8725bis §3.11",
        _is_no_password,
    ),
)
