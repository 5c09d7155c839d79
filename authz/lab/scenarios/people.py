"""Whose account it is: the subject at its issuer decides, and nothing that an assertion says besides."""

from collections.abc import Mapping
from typing import Any

from authz import entropy
from authz.lab.bench import Bench
from authz.lab.identity_provider import OTHER_CUSTOMER, Issuer
from authz.lab.judgement import Answer, Failed, NotOffered, claims_of, granted, refused
from authz.lab.scenario import Level, Scenario
from authz.lab.statement import STRANGER, Statement

_NOBODY = frozenset({"invalid_grant", "access_denied"})


async def _is_stable(bench: Bench) -> str:
    first, second = _subject(await bench.control()), _subject(await bench.control())
    if first != second:
        raise Failed("the same person is somebody else the second time")
    other = granted(
        await _redeem_newcomer(bench), "an assertion about a second person of the issuer"
    )
    if _subject(other) == first:
        raise Failed("two people of one issuer are one person here")
    return "one person stays one, two are two"


async def _ignores_address(bench: Bench) -> str:
    address = f"{entropy.new_id('ada').lower()}@lab.example"
    mail: dict[str, Any] = {"email": address, "email_verified": True}
    made = bench.statement(**mail)
    owner = _subject(granted(await bench.redeem(made.sign()), "an assertion with an address"))
    other = bench.statement(**mail, sub=entropy.new_id("lab-thief"))
    answer = await bench.redeem(other.sign())
    if not answer.is_granted:
        return refused(answer, _NOBODY)
    if _subject(answer) == owner:
        raise Failed("somebody else's subject with the same address became the same account")
    return "the same address is somebody else"


async def _ignores_names_of_ours(bench: Bench) -> str:
    victim = _subject(granted(await _redeem_newcomer(bench), "an assertion about a newcomer"))
    return await _keeps_subject(bench, {"aud_sub": victim})


async def _ignores_foreign_subject(bench: Bench) -> str:
    other = {"format": "iss_sub", "iss": STRANGER, "sub": "lab-victim"}
    return await _keeps_subject(bench, {"sub_id": other})


async def _ignores_foreign_name_id(bench: Bench) -> str:
    other = {"format": "saml-nameid", "issuer": STRANGER, "nameid": "lab-victim"}
    return await _keeps_subject(bench, {"sub_id": other})


async def _keeps_subject(bench: Bench, claims: Mapping[str, Any]) -> str:
    own = await bench.control()
    answer = await bench.redeem(bench.statement(**claims).sign())
    if not answer.is_granted:
        return refused(answer, _NOBODY)
    if _subject(answer) != _subject(own):
        raise Failed("the claim led to another account than the subject's")
    return "the subject stays who it is"


async def _refuses_other_customer(bench: Bench) -> str:
    await _customer(bench)
    made = bench.statement(Issuer.MANY, tenant=OTHER_CUSTOMER)
    return refused(await bench.redeem(made.sign()))


async def _refuses_no_customer(bench: Bench) -> str:
    await _customer(bench)
    return refused(await bench.redeem(bench.statement(Issuer.MANY, tenant=None).sign()))


async def _refuses_customers_in_a_list(bench: Bench) -> str:
    made = await _customer(bench)
    tenant = [made.claims["tenant"], OTHER_CUSTOMER]
    return refused(await bench.redeem(bench.statement(Issuer.MANY, tenant=tenant).sign()))


async def _tells_issuers_apart(bench: Bench) -> str:
    await _customer(bench)
    theirs = _subject(await bench.control(bench.statement(Issuer.MANY)))
    if theirs == _subject(await bench.control()):
        raise Failed("the same `sub` of two issuers is one account")
    return "the same `sub` of another issuer is somebody else"


async def _refuses_unknown(bench: Bench) -> str:
    known = await bench.redeem(bench.statement(Issuer.CLOSED).sign())
    if not known.is_granted:
        raise NotOffered(
            "no entry for the closed issuer at which the lab's person has an account and nobody "
            f"else gets one ({known.told()})"
        )
    made = bench.statement(Issuer.CLOSED, sub=entropy.new_id("lab-unknown"))
    return refused(await bench.redeem(made.sign()), _NOBODY)


async def _customer(bench: Bench) -> Statement:
    """An assertion of the customer that is trusted."""
    made = bench.statement(Issuer.MANY)
    answer = await bench.redeem(made.sign())
    if not answer.is_granted:
        raise NotOffered(
            f"no entry for the issuer of many customers with the one that is ours ({answer.told()})"
        )
    return made


async def _redeem_newcomer(bench: Bench) -> Answer:
    answer = await bench.redeem(bench.statement(sub=entropy.new_id("lab-person")).sign())
    if answer.error in _NOBODY:
        raise NotOffered("people who are new get no account here")
    return answer


def _subject(answer: Answer) -> object:
    return claims_of(answer).get("sub")


_MANY = ("IDJAG-81 EMA-22", "ID-JAG §6.1 to §6.3")
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "person-stable",
        "A subject is the same account every time, and no other's",
        "IDJAG-03 EMA-21",
        "ID-JAG §3.1, §6.3",
        _is_stable,
    ),
    Scenario(
        "person-address",
        "An e-mail address selects nobody's account",
        "IDJAG-70 EMA-21",
        "EMA §7.8; OpenID Connect Core §5.7",
        _ignores_address,
    ),
    Scenario(
        "person-aud-sub",
        "`aud_sub` is believed only from whom may say it",
        "IDJAG-71",
        "ID-JAG §3.1",
        _ignores_names_of_ours,
    ),
    Scenario(
        "person-sub-id",
        "`sub_id` of another issuer leads nowhere",
        "IDJAG-67",
        "ID-JAG §3.2.2, §9.6",
        _ignores_foreign_subject,
    ),
    Scenario(
        "person-name-id",
        "A SAML name of another issuer leads nowhere",
        "IDJAG-67 IDJAG-68",
        "ID-JAG §3.2.2, §9.6",
        _ignores_foreign_name_id,
    ),
    Scenario(
        "person-unknown",
        "Whom nobody knows is refused where nobody is made",
        "IDJAG-69",
        "ID-JAG §3.1",
        _refuses_unknown,
    ),
    Scenario(
        "customer-other",
        "Another customer of the issuer is refused",
        *_MANY,
        _refuses_other_customer,
    ),
    Scenario(
        "customer-absent", "An assertion of no customer is refused", *_MANY, _refuses_no_customer
    ),
    Scenario(
        "customer-list", "A list of customers is refused", *_MANY, _refuses_customers_in_a_list
    ),
    Scenario(
        "issuers-apart",
        "The same subject of two issuers is two people",
        "IDJAG-03 EMA-21",
        "ID-JAG §6.3",
        _tells_issuers_apart,
        Level.MUST,
    ),
)
