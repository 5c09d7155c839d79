"""Consent counts for the version of a scope that was seen: what came to mean more is asked about again (EMA-07)."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from authz.admin import changes, roles, scope_contracts, scopes, tenants, versions
from authz.admin.code import plans
from authz.admin.code.kind import Site
from authz.admin.scopes import NewScope, ScopeChange
from authz.clients import registered
from authz.clients.resolution import usable_row
from authz.db.models import AuthorizationCode, Consent, DeviceCode, PushedRequest, Scope
from authz.db.versions import bump
from authz.oauth.consents import store_consent
from authz.policy.code.reading import read
from authz.policy.contracts import digest_of
from authz.policy.requirements import Requirement
from tests.support.console import administrator, at
from tests.support.databases import until_somebody_waits
from tests.support.devices import answer, ask, type_code
from tests.support.harness import RESOURCE
from tests.support.operators import acting

BOTH = "logs.read analytics.query"
CHANGED = "Changed since you allowed it"
QUERY = NewScope(
    name="analytics.query", description="Query analytics", risk="read", tools=("query", "count")
)


@pytest.fixture
def known(harness):
    """A browser whose person has allowed both scopes."""
    edit(harness, tools=QUERY.tools)
    edit(harness, "logs.debug.write", tools=("set_level",))
    browser = harness.browser()
    browser.tokens = harness.redeem(browser.authorize(scope=f"{BOTH} openid").code)
    assert browser.tokens.scopes == set(BOTH.split())
    assert browser.start(scope=BOTH).code
    return browser


def edit(harness, name="analytics.query", **change):
    return harness.change(scopes.edit_scope, harness.resource.id, name, ScopeChange(**change))


def version_of(harness, name="analytics.query"):
    with harness.server.database.read() as tx:
        return tx.get_one(Scope, (harness.resource.id, name)).version


def consent_of(harness):
    with harness.server.database.read() as tx:
        return tx.scalars(select(Consent).where(Consent.tenant_id == harness.tenant_id)).one()


def asks_again(browser):
    """Whether one is asked about the changed scope, and about that alone."""
    page = browser.start(scope=BOTH)
    if not page.is_consent:
        assert page.code
        return False
    assert page.offered == ["analytics.query"]
    assert CHANGED in page.text
    return True


def declare_again(harness):
    harness.change(scopes.remove_scope, harness.resource.id, "analytics.query")
    harness.change(scopes.add_scope, harness.resource.id, QUERY)


def apply(harness):
    text = (
        f"resources:\n  {RESOURCE}:\n    name: Operations\n    owner: ops@example.com\n    default: true\n"
        "    scopes:\n"
        "      logs.read: {description: Read logs, risk: read, default: true}\n"
        "      analytics.query: {description: Query and export, risk: read, tools: [query, count]}\n"
    )
    with harness.server.database.write() as tx:
        site = Site(
            tx,
            harness.server.operator(),
            harness.tenant_id,
            written=read({"resources.yaml": text}),
        )
        plans.apply(site, base=harness.server.base)


def approve_a_change(harness):
    """Two people agree on it: it was reviewed, and the persons it concerns have still not seen it."""
    arguments = {"resource_id": harness.resource.id, "name": "analytics.query", "risk": "write"}
    with harness.server.database.write() as tx:
        author = acting(harness, "policy-author", "usr_author", needs_second=True)
        asked = changes.propose(
            tx,
            author,
            harness.tenant_id,
            operation="scopes.edit",
            arguments=arguments,
            reason="it writes",
        )
    with harness.server.database.write() as tx:
        changes.approve(tx, acting(harness, "approver", "usr_second"), harness.tenant_id, asked.id)


def in_the_console(harness):
    form = {"name": QUERY.name, "description": "Query all", "risk": "read", "tools": "query count"}
    place = f"servers/{harness.resource.id}"
    owner = administrator(harness, login="sre@example.com")
    shown = at(owner, f"{place}?scope={QUERY.name}")
    assert "is asked about it again" in shown.text
    assert at(owner, f"{place}/declare", **form).status == 303


def revert(harness):
    edit(harness, description="Query some of it")
    with harness.server.database.write() as tx:
        line = versions.record(tx, harness.server.operator("job"), harness.tenant_id)
    edit(harness, description=QUERY.description)
    known_again = harness.browser()
    known_again.authorize(scope=BOTH)
    assert known_again.start(scope=BOTH).code
    harness.change(versions.revert, version=line.version)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: edit(h, description="Query and export analytics"),
        lambda h: edit(h, description=""),
        lambda h: edit(h, risk="write"),
        lambda h: edit(h, risk="destructive", tools=()),
        lambda h: edit(h, tools=(*QUERY.tools, "export")),
        lambda h: edit(h, tools=("export",)),
        declare_again,
        apply,
        approve_a_change,
        in_the_console,
        revert,
    ],
    ids=[
        "other words",
        "no words",
        "writes",
        "destroys",
        "one more tool",
        "another tool",
        "declared again",
        "policy as code",
        "a change of two people",
        "console",
        "an old version of policy",
    ],
)
def test_a_scope_that_means_more_is_asked_about_again_alone(harness, known, change):
    """EMA-07, ATK-58, MCP-AS-58, MCP-AS-72: by every way a scope changes; what did not change is not asked."""
    change(harness)
    assert known.start(scope=BOTH, prompt="none").error == "consent_required"
    page = known.start(scope=f"{BOTH} openid")
    assert page.is_consent
    assert page.offered == ["analytics.query"]
    assert CHANGED in page.text
    assert '<code dir="auto">analytics.query</code> before. What that lets it do' in page.text
    assert "Allowed before, and not asked again" in page.text
    assert known.start(scope="logs.read").code, "unchanged"
    answered = harness.redeem(known.decide(page).code)
    assert answered.scopes == set(BOTH.split())
    assert "id_token" in answered.json
    assert known.start(scope=BOTH, prompt="none").code, "the new version is remembered"


@pytest.mark.parametrize(
    "change",
    [
        lambda h: edit(h, tools=("query",)),
        lambda h: edit(h, tools=("count", "query", "count")),
        lambda h: edit(h, description=QUERY.description, risk="read"),
        lambda h: edit(h, is_default=True),
        lambda h: edit(h, requires=Requirement(max_age=3600)),
        lambda h: edit(h, "logs.debug.write", risk="destructive", description="Anything"),
        lambda h: h.change(scopes.add_scope, h.resource.id, NewScope(name="new.read", risk="read")),
    ],
    ids=["a tool less", "another order", "nothing", "default", "sign-in", "another", "one more"],
)
def test_what_lets_do_no_more_asks_nobody(harness, known, change):
    before = version_of(harness)
    change(harness)
    assert known.start(scope=BOTH, prompt="none").code
    assert version_of(harness) == before


def test_a_lower_risk_asks_nobody_and_a_risk_that_comes_back_does(harness, known):
    edit(harness, risk="write")
    known.authorize(scope=BOTH)
    edit(harness, risk="read")
    assert not asks_again(known)
    edit(harness, risk="write")
    assert asks_again(known)


def test_a_tool_that_comes_back_is_asked_about(harness, known):
    """Who allowed it meanwhile has not seen it."""
    edit(harness, tools=("query",))
    harness.change(roles.bind, role="developer", kind="user", holder="sre@example.com")
    other = harness.browser("sre@example.com")
    other.authorize(scope=BOTH)
    edit(harness, tools=QUERY.tools)
    assert asks_again(other)
    assert asks_again(known)


def test_each_person_is_asked_once(harness, known):
    edit(harness, risk="write")
    second = harness.browser()
    second.authorize(scope=BOTH)
    assert not asks_again(known), "it is one person"
    edit(harness, description="Query more")
    assert asks_again(known)


def test_an_answer_that_saw_less_is_not_one_for_more(harness, known):
    """The first of two changes was seen, the second was not."""
    edit(harness, risk="write")
    page = known.start(scope=BOTH)
    assert known.decide(page).code
    edit(harness, risk="destructive")
    assert asks_again(known)


# -- what waits for a review ---------------------------------------------------------------------------------


def test_a_tool_that_waits_asks_nobody_before_it_counts(harness, known):
    """S12: the page shows what counts, and so does the version."""
    with harness.server.database.write() as tx:
        tenants.set_scope_changes(tx, harness.server.operator(), slug=harness.slug, mode="reviewed")
    tools = (*QUERY.tools, "export")
    edit(harness, tools=tools)
    assert not asks_again(known)
    live = harness.refresh(known.tokens.refresh_token)
    assert "export" not in harness.claims(live.access_token)["mcp_tools"]
    harness.change(
        scope_contracts.approve, harness.resource.id, QUERY.name, contract=digest_of(tools)
    )
    assert asks_again(known)
    # What runs follows the review, not the version.
    live = harness.refresh(live.refresh_token)
    assert "export" in harness.claims(live.access_token)["mcp_tools"]
    said = [
        it["detail"]["values"]["asks_again"]
        for it in harness.events("admin.changed")
        if it["detail"]["what"] in ("scope.edit", "scope.approve")
        and it["detail"]["values"]["scope"] == QUERY.name
    ]
    assert said == [True, False, True]


# -- what runs, and what a person takes back -----------------------------------------------------------------


def test_what_runs_goes_on_until_the_person_takes_it_back(harness, known):
    """A refresh asks nobody; unticking is for the running grants as well, and is remembered."""
    edit(harness, risk="write")
    live = harness.refresh(known.tokens.refresh_token)
    assert live.scopes == set(BOTH.split())
    page = known.start(scope=BOTH)
    assert harness.redeem(known.decide(page, scopes=[]).code).scopes == {"logs.read"}
    live = harness.refresh(live.refresh_token)
    assert live.scopes == {"logs.read"}
    page = known.start(scope=BOTH)
    assert page.offered == ["analytics.query"]
    assert CHANGED not in page.text, "by now it is a scope they have not allowed"
    assert known.start(scope="logs.read").code


def test_a_no_leaves_what_was_allowed_as_it_was(harness, known):
    edit(harness, risk="write")
    page = known.start(scope=BOTH)
    assert known.decide(page, allow=False).error == "access_denied"
    assert harness.refresh(known.tokens.refresh_token).scopes == set(BOTH.split())
    assert asks_again(known)
    assert known.start(scope="logs.read").code


def test_reading_alone_leaves_out_what_has_come_to_write(harness, known):
    """The other answer of the page is about the meaning of now as well."""
    edit(harness, risk="write")
    edit(harness, "logs.read", description="Read all logs")
    page = known.start(scope=BOTH)
    assert page.offered == ["logs.read", "analytics.query"]
    fields = [("consent_id", page.field("consent_id")), ("decision", "read")]
    fields += [("scope", it) for it in page.offered]
    sent = known.post(f"{harness.issuer}/consent", fields)
    assert harness.redeem(sent.code).scopes == {"logs.read"}


# -- a change while the person reads -------------------------------------------------------------------------


@pytest.fixture
def reading(harness):
    """A browser before the page that asks about both scopes."""
    browser = harness.browser()
    browser.sign_in(browser.start(scope=BOTH))
    browser.page = browser.start(scope=BOTH)
    assert browser.page.offered == ["analytics.query", "logs.read"]
    return browser


@pytest.mark.parametrize("change", ["words", "declared again"])
def test_an_answer_to_the_old_words_does_not_count_for_the_new_ones(harness, reading, change):
    """ATK-58, ATK-14: neither as consent nor as a code; the same page again answers nothing any more."""
    if change == "words":
        edit(harness, description="Query and delete analytics", risk="destructive")
    else:
        declare_again(harness)
    again = reading.decide(reading.page)
    assert again.is_consent
    assert again.offered == (
        ["logs.read", "analytics.query"] if change == "words" else ["analytics.query", "logs.read"]
    )
    assert change != "words" or "Query and delete analytics" in again.text
    assert harness.count(Consent) == harness.count(AuthorizationCode) == 0
    late = reading.decide(reading.page)
    assert (late.status, late.reason) == (400, "consent_not_pending")
    assert harness.redeem(reading.decide(again).code).scopes == set(BOTH.split())


def test_what_was_unticked_may_change(harness, reading):
    edit(harness, risk="destructive")
    sent = reading.decide(reading.page, scopes=["logs.read"])
    assert harness.redeem(sent.code).scopes == {"logs.read"}


def test_a_no_is_a_no_whatever_changed(harness, reading):
    edit(harness, risk="destructive")
    assert reading.decide(reading.page, allow=False).error == "access_denied"


def test_less_than_was_shown_is_what_was_allowed(harness, known):
    edit(harness, risk="write")
    page = known.start(scope=BOTH)
    edit(harness, risk="read", tools=("query",))
    assert known.decide(page).code
    assert not asks_again(known)


def test_what_was_not_asked_and_changes_meanwhile_is_asked_and_not_taken_back(harness, known):
    """The page said of it that it is allowed; that answer is neither a yes to the new words nor a no to the old."""
    edit(harness, risk="write")
    page = known.start(scope=BOTH)
    edit(harness, "logs.read", description="Read and erase logs")
    again = known.decide(page)
    assert again.offered == ["logs.read", "analytics.query"]
    assert consent_of(harness).scopes >= set(BOTH.split())
    assert harness.refresh(known.tokens.refresh_token).scopes == set(BOTH.split())
    assert known.decide(again).code
    assert not asks_again(known)


def test_a_pushed_request_is_asked_again_and_answered_once(harness):
    """PAR-03: the question is another, the request is the same."""
    pushed = harness.post("/par", {**harness.request, "scope": BOTH}).json["request_uri"]
    query = urlencode({"client_id": harness.client_id, "request_uri": pushed})
    browser = harness.browser()
    page = browser.sign_in(browser.get(f"{harness.issuer}/authorize?{query}"))
    edit(harness, risk="write")
    again = browser.decide(page)
    assert again.is_consent
    assert harness.count(PushedRequest) == 1
    assert harness.redeem(browser.decide(again).code).scopes == set(BOTH.split())
    assert harness.count(PushedRequest) == 0


def test_a_change_between_the_look_and_the_record_counts_for_what_was_shown(harness, known):
    """The configuration an answer was judged by may be the one before: the record names the version that was seen."""
    before = harness.server.services.configurations
    with harness.server.database.read() as tx:
        shown = before.find(tx, harness.slug).policy.resources[harness.resource.id]
        client = usable_row(registered.find(tx, harness.tenant_id, harness.client_id))
    edit(harness, risk="write")
    with harness.server.database.write() as tx:
        store_consent(
            tx,
            tenant_id=harness.tenant_id,
            user_id=harness.users["dev"],
            client=client,
            resource=shown,
            redirect_uri=harness.request["redirect_uri"],
            allowed=frozenset(BOTH.split()),
            withheld=frozenset(),
            remembered=True,
            now=harness.clock(),
        )
    assert asks_again(known)


# -- a device --------------------------------------------------------------------------------------------------


def test_a_device_is_not_allowed_by_an_answer_to_the_old_words(harness):
    """It goes on waiting: the code is typed again, and the page says what it would get now."""
    device = ask(harness, scope=BOTH)
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    edit(harness, description="Query and export analytics")
    refused = answer(browser, page)
    assert (refused.status, refused.reason) == (400, "consent_not_pending")
    assert harness.count(Consent) == 0
    with harness.server.database.read() as tx:
        waiting = select(DeviceCode.status).where(DeviceCode.tenant_id == harness.tenant_id)
        assert tx.scalars(waiting).all() == ["pending"]
    page = type_code(browser, device.user_code)
    assert "Query and export analytics" in page.text
    answer(browser, page)
    assert device.poll().scopes == set(BOTH.split())


def test_a_device_gets_what_did_not_change(harness):
    device = ask(harness, scope=BOTH)
    browser = harness.browser()
    page = type_code(browser, device.user_code)
    edit(harness, risk="write")
    answer(browser, page, scopes=["logs.read"])
    assert device.poll().scopes == {"logs.read"}


# -- the number ------------------------------------------------------------------------------------------------


def test_a_version_is_never_used_twice(harness):
    """A scope that is declared again does not begin where consent from before would count."""
    seen = [version_of(harness)]
    for change in (
        lambda: edit(harness, risk="write"),
        lambda: declare_again(harness),
        lambda: declare_again(harness),
        lambda: edit(harness, risk="destructive"),
    ):
        change()
        seen.append(version_of(harness))
    assert seen == sorted(set(seen))
    assert seen[-1] == harness.tenant().config_version


@pytest.mark.only("postgresql")
def test_a_version_is_never_used_twice_whoever_changes_something_at_once(harness):
    """Another change has its number already and is not committed: two edits that wait for one another still differ."""
    database = harness.server.database
    where = (harness.tenant_id, harness.resource.id, "analytics.query")

    def edited(words):
        with database.write() as tx:
            change = ScopeChange(description=words)
            scopes.edit_scope(tx, harness.server.operator(), *where, change)
            return tx.get_one(Scope, where[1:]).version

    first = edited("First")
    with ThreadPoolExecutor(2) as pool:
        with database.write() as tx:
            bump(tx, harness.tenant_id)
            second = pool.submit(edited, "Second")
            until_somebody_waits(database)
            third = pool.submit(edited, "Third")
        assert first < second.result(20) < third.result(20)
