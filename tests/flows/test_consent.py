"""The consent page: what it shows, what it decides, and who may answer it."""

import threading

import pytest
from sqlalchemy import update

from authz.admin import clients
from authz.db.models import AuthorizationRequest, Consent, TokenFamily
from tests.support.harness import REDIRECT

ALL = "logs.read analytics.query logs.debug.write incidents.trigger"


def asked(harness, browser=None, **parameters):
    """A browser that is signed in and stands before the consent page."""
    browser = browser or harness.browser()
    page = browser.start(**parameters)
    if page.is_login:
        page = browser.sign_in(page)
    assert page.is_consent, page.text
    return browser, page


def fields(page, decision="allow", scopes=("logs.read",)):
    return [
        ("consent_id", page.field("consent_id")),
        *(("scope", scope) for scope in scopes),
        ("decision", decision),
    ]


def test_the_page_says_who_asks_for_what_and_where_the_answer_goes(harness):
    """MCP-AS-36, MCP-AS-47, MCP-AS-59, O21-25, CIMD-24, ATK-12: facts first, the client's own words marked as such."""
    client_id = harness.serve_document(
        client_name="Claude <b>official</b>", redirect_uris=["https://evil.example/cb"]
    )
    _, page = asked(harness, client_id=client_id, redirect_uri="https://evil.example/cb", scope=ALL)
    assert harness.host in page.text
    assert "evil.example" in page.text
    assert "Calls itself" in page.text
    assert "Not reviewed by an administrator" in page.text
    assert "Claude &lt;b&gt;official&lt;/b&gt;" in page.text
    assert "Read logs" in page.text
    assert "no role of this person holds it" in page.text
    assert page.offered == ["analytics.query", "logs.read"]
    assert "This is not the address that asks." in page.text
    _, approved = asked(harness)
    assert "Approved by an administrator" in approved.text


def test_each_scope_can_be_refused_by_itself(harness):
    """MCP-AS-74, O21-25: what was unticked is not granted, and not granted later without asking."""
    browser, page = asked(harness, scope="logs.read analytics.query")
    answer = harness.redeem(browser.decide(page, scopes=["logs.read"]).code)
    assert answer.scopes == {"logs.read"}
    granted = harness.events("consent.granted")[0]
    assert "analytics.query" in str(granted)
    again = browser.start(scope="logs.read analytics.query")
    assert again.is_consent
    assert browser.start(scope="logs.read").code


def test_reading_alone_is_one_answer(harness):
    """Of what is ticked, what changes nothing; the rest is asked for another time."""
    scope = "logs.read incidents.trigger openid"
    browser, page = asked(harness, harness.browser("sre@example.com"), scope=scope)
    url = f"{harness.issuer}/consent"
    answer = browser.post(url, fields(page, "read", ("logs.read", "incidents.trigger", "openid")))
    redeemed = harness.redeem(answer.code)
    assert redeemed.scopes == {"logs.read"}
    assert "id_token" in redeemed.json
    assert browser.start(scope="logs.read incidents.trigger").is_consent


def test_no_form_can_grant_more_than_was_asked_or_the_role_holds(harness):
    """MCP-AS-74, MCP-AS-76, ATK-55: scopes are taken from policy, the form can only take away."""
    browser, page = asked(harness, scope="logs.read")
    sent = browser.post(
        f"{harness.issuer}/consent",
        fields(
            page, scopes=["logs.read", "analytics.query", "logs.debug.write", "offline_access", "*"]
        ),
    )
    assert harness.redeem(sent.code).scopes == {"logs.read"}


def test_an_empty_choice_is_a_refusal(harness):
    """MCP-AS-60, O21-10."""
    browser, page = asked(harness)
    sent = browser.decide(page, scopes=[])
    assert sent.error == "access_denied"
    assert sent.sent["iss"] == harness.issuer
    assert harness.count(Consent) == 0
    assert harness.events("authorization.refused")[-1]["detail"]["reason"] == "consent_withheld"


@pytest.mark.parametrize(
    ("scope", "beside"),
    [
        (None, []),
        ("offline_access", []),
        ("profile email", []),
        ("openid profile offline_access", ["openid", "profile"]),
    ],
)
def test_a_request_without_resource_scopes_gets_the_defaults_of_the_resource(
    harness, scope, beside
):
    """MCP-AS-70, MCP-AS-71, MCP-AS-76, MCP-AS-81, O21-32: never everything, never an error."""
    browser, page = asked(harness, scope=scope)
    assert page.offered == ["logs.read", *beside]
    answer = harness.redeem(browser.decide(page).code)
    assert answer.scopes == {"logs.read"}


def test_unknown_scopes_beside_known_ones_are_left_out(harness):
    """MCP-AS-71, MCP-AS-73, MCP-AS-74."""
    browser, page = asked(harness, scope="logs.read made.up")
    assert page.offered == ["logs.read"]
    assert "does not declare this scope" in page.text
    assert harness.redeem(browser.decide(page).code).scopes == {"logs.read"}


def test_step_up_asks_for_the_difference_and_loses_nothing(harness):
    """MCP-AS-72, MCP-08: the earlier grant stays good as well."""
    browser, page = asked(harness, scope="logs.read")
    first = harness.redeem(browser.decide(page).code)
    page = browser.start(scope="logs.read analytics.query")
    assert page.is_consent
    assert page.offered == ["analytics.query"]
    assert "Allowed before, and not asked again" in page.text
    assert "Read logs" in page.text
    union = harness.redeem(browser.decide(page).code)
    assert union.scopes == {"logs.read", "analytics.query"}
    assert harness.refresh(first.refresh_token).scopes == {"logs.read"}
    # A narrower request after it does not narrow what was allowed before.
    assert harness.redeem(browser.start(scope="logs.read").code).scopes == {"logs.read"}
    assert browser.start(scope="logs.read analytics.query").code


def test_another_way_back_asks_again(harness):
    """MCP-AS-58, ATK-13."""
    second = "https://client.example/second"
    client_id = harness.serve_document(redirect_uris=[REDIRECT, second])
    browser, page = asked(harness, client_id=client_id)
    browser.decide(page)
    assert browser.start(client_id=client_id).code
    page = browser.start(client_id=client_id, redirect_uri=second)
    assert page.is_consent
    browser.decide(page)
    assert browser.start(client_id=client_id, redirect_uri=second).code
    assert browser.start(client_id=client_id).code


@pytest.mark.parametrize(
    ("member", "value", "asks"),
    [
        ("client_name", "Another name", True),
        ("redirect_uris", [REDIRECT, "https://client.example/new"], True),
        ("client_uri", "https://about.example/", True),
        ("logo_uri", "https://about.example/logo.png", True),
        ("tos_uri", "https://about.example/tos", False),
        ("software_version", "2", False),
    ],
)
def test_a_document_that_became_another_asks_again(harness, member, value, asks):
    """CIMD-28, MCP-AS-50, MCP-AS-58: what a person relied on, not every byte."""
    client_id = harness.serve_document()
    browser, page = asked(harness, client_id=client_id)
    browser.decide(page)
    harness.serve_document(**{member: value})
    harness.clock.advance(minutes=5)
    page = browser.start(client_id=client_id)
    assert page.is_consent is asks


def another_document(harness):
    harness.serve_document(client_name="Another name")
    harness.clock.advance(minutes=5)


def consent_taken_back(harness):
    with harness.server.database.write() as tx:
        mine = update(Consent).where(Consent.tenant_id == harness.tenant_id)
        tx.execute(mine.values(revoked_at=harness.clock()))


@pytest.mark.parametrize("happens", [another_document, consent_taken_back])
def test_a_new_consent_brings_back_nothing_of_the_old_one(harness, happens):
    """CIMD-28, MCP-AS-72: what was allowed to another document, or taken back, is asked for once more."""
    client_id = harness.serve_document()
    browser, page = asked(harness, client_id=client_id, scope="logs.read analytics.query")
    browser.decide(page)
    happens(harness)
    page = browser.start(client_id=client_id, scope="logs.read")
    assert browser.decide(page).code
    page = browser.start(client_id=client_id, scope="logs.read analytics.query")
    assert page.offered == ["analytics.query"]
    assert browser.start(client_id=client_id, scope="logs.read").code


def test_a_document_that_changes_while_the_person_reads_is_asked_about_again(harness):
    """CIMD-28, ATK-12: an answer is for what was shown, not for what the host says a moment later."""
    client_id = harness.serve_document(client_name="A harmless calendar")
    browser, page = asked(harness, client_id=client_id)
    assert "A harmless calendar" in page.text
    harness.serve_document(client_name="Something else")
    harness.clock.advance(minutes=6)
    page = browser.decide(page)
    assert page.is_consent
    assert "Something else" in page.text
    assert harness.count(Consent) == 0
    assert browser.decide(page).code


LOCAL = "http://127.0.0.1/callback"


@pytest.mark.parametrize(
    "uris", [[LOCAL], [LOCAL, "http://localhost/cb"], [LOCAL, "https://vscode.example/redirect"]]
)
def test_consent_for_a_public_client_on_loopback_is_never_remembered(harness, uris):
    """CIMD-25, O21-21, ATK-13, ATK-23, MCP-AS-48: any program may listen there, also when the client has an https

    address besides.
    """
    client_id = harness.serve_document(redirect_uris=uris)
    ask = {"client_id": client_id, "redirect_uri": "http://127.0.0.1:4242/callback"}
    browser, page = asked(harness, **ask)
    assert "Any program on this computer could be asking." in page.text
    assert "port 4242" in page.text
    assert browser.decide(page).code
    ask["redirect_uri"] = "http://127.0.0.1:6666/callback"
    assert browser.start(**ask).is_consent
    assert browser.start(**ask, prompt="none").error == "consent_required"


def test_an_https_way_back_stays_remembered_beside_a_loopback_one(harness):
    """MCP-AS-58, O21-21."""
    https = "https://vscode.example/redirect"
    client_id = harness.serve_document(redirect_uris=[LOCAL, https])
    browser, page = asked(harness, client_id=client_id, redirect_uri=https)
    assert "Any program on this computer" not in page.text
    browser.decide(page)
    _, page = asked(harness, browser, client_id=client_id, redirect_uri=LOCAL)
    browser.decide(page)
    assert browser.start(client_id=client_id, redirect_uri=https).code
    assert browser.start(client_id=client_id, redirect_uri=LOCAL).is_consent


def test_a_confidential_client_on_loopback_is_remembered(harness):
    """O21-21: it proves itself at the token endpoint."""
    client_id = harness.add_client(
        redirect_uris=(LOCAL,), auth_method="client_secret_basic"
    ).client.id
    browser, page = asked(harness, client_id=client_id, redirect_uri=LOCAL)
    browser.decide(page)
    assert browser.start(client_id=client_id, redirect_uri=LOCAL).code


def test_a_scope_ceiling_bounds_the_page(harness):
    """O21-25, ATK-12."""
    clients_id = harness.add_client(scope_ceiling=frozenset({"logs.read"})).client.id
    _, page = asked(harness, client_id=clients_id, scope="logs.read analytics.query")
    assert page.offered == ["logs.read"]
    assert "this client is not allowed to have it" in page.text


def test_a_role_that_holds_nothing_is_access_denied(harness):
    """MCP-AS-74."""
    browser = harness.browser()
    browser.sign_in()
    page = browser.start(scope="incidents.trigger")
    assert (page.error, page.reason) == ("access_denied", "nothing_granted")


# -- who may answer ---------------------------------------------------------------------------------------


def test_an_answer_counts_once(harness):
    """ATK-14: the second submission of one page, after an answer of either kind."""
    for first in (True, False):
        browser, page = asked(harness, prompt="consent")
        assert browser.decide(page, allow=first).status == 303
        again = browser.decide(page)
        assert (again.status, again.location, again.reason) == (400, "", "consent_not_pending")


def test_one_of_many_simultaneous_answers_counts(harness):
    """ATK-14: the row is the lock."""
    browser, page = asked(harness)
    answers = together([lambda: browser.decide(page).status] * 6)
    assert sorted(answers) == [303, 400, 400, 400, 400, 400]
    assert len(harness.events("code.issued")) == 1


def test_people_may_answer_for_the_same_new_client_at_the_same_moment(harness):
    """Nobody's answer fails because somebody else's was first: two tabs of one person, and two people."""
    client_id = harness.serve_document()
    pages = []
    for login in ("dev@example.com", "dev@example.com", "sre@example.com"):
        browser = harness.browser(login)
        pages += [asked(harness, browser, client_id=client_id) for _ in range(2)]
    answers = together([lambda b=b, p=p: b.decide(p).status for b, p in pages])
    assert answers == [303] * 6
    assert harness.count(Consent) == 2


def together(work):
    """Run at once; answers the results."""
    gate, results = threading.Barrier(len(work)), []

    def run(one):
        gate.wait()
        results.append(one())

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("who", ["nobody", "the same person elsewhere", "somebody else"])
def test_nobody_can_answer_a_page_of_another_browser(harness, who):
    """ATK-14, ATK-17: the page belongs to the session that saw it."""
    _, page = asked(harness)
    thief = harness.browser("sre@example.com" if who == "somebody else" else "dev@example.com")
    if who != "nobody":
        thief.sign_in()
    answer = thief.post(f"{harness.issuer}/consent", fields(page))
    assert (answer.status, answer.location, answer.reason) == (400, "", "consent_not_pending")
    assert harness.count(Consent) == harness.count(TokenFamily) == 0


def test_an_id_of_another_request_decides_that_request_only(harness):
    """ATK-14: the id names one request; what stands in the form cannot change it."""
    browser, first = asked(harness, state="first")
    _, second = asked(harness, browser, state="second", prompt="consent")
    mixed = [*fields(first), ("state", "second"), ("redirect_uri", "https://evil.example/")]
    answer = browser.post(f"{harness.issuer}/consent", mixed)
    assert answer.location.startswith(REDIRECT)
    assert answer.sent["state"] == "first"
    assert browser.decide(second).sent["state"] == "second"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "Same-Origin"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "{base}.evil.example"},
        {"Origin": "{base}/"},
        {"Origin": ""},
        {"Referer": "{base}/"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "path", ["/consent", "/consent/switch", "/login", "/logout", "/clients/request"]
)
def test_a_form_of_another_site_changes_nothing(shared, headers, path):
    """ATK-13, ATK-14, ATK-18, ATK-20: told by headers that no page can set."""
    browser, page = shared
    harness = browser.harness
    sent = {name: text.format(base=harness.server.base) for name, text in headers.items()}
    answer = browser.http.post(
        harness.issuer + path,
        data={**dict(fields(page)), "login": "dev@example.com", "password": "x", "request_id": "x"},
        headers=sent,
    )
    assert answer.status_code == (400 if path == "/clients/request" else 403)
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    assert harness.count(AuthorizationRequest) == 1
    assert harness.count(Consent) == 0


@pytest.fixture(scope="module")
def shared(server):
    """A browser before a consent page that stays unanswered."""
    from tests.support.harness import Harness

    made = Harness(server)
    yield asked(made)
    made.close()


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "{base}"}])
def test_browsers_of_either_kind_may_answer(harness, headers):
    """ATK-14: with `Sec-Fetch-Site`, or without it and with `Origin`."""
    browser, page = asked(harness)
    sent = {name: text.format(base=harness.server.base) for name, text in headers.items()}
    answer = browser.http.post(f"{harness.issuer}/consent", data=dict(fields(page)), headers=sent)
    assert (answer.status_code, answer.headers["location"][: len(REDIRECT)]) == (303, REDIRECT)


def test_looking_never_decides(harness):
    """ATK-14: GET is not possible, with the id in the query or without."""
    browser, page = asked(harness)
    url = f"{harness.issuer}/consent?decision=allow&scope=logs.read&consent_id={page.field('consent_id')}"
    assert browser.get(url).status == 405
    assert harness.count(Consent) == 0


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [("consent_id", "ask_made_up"), ("decision", "allow")],
        [("decision", "allow")],
        [("consent_id", "{id}")],
        [("consent_id", "{id}"), ("decision", "allow"), ("decision", "deny")],
        [("consent_id", ""), ("consent_id", "{id}"), ("decision", "allow")],
    ],
)
def test_a_form_that_is_not_the_pages_decides_nothing(harness, sent):
    """ATK-10, ATK-14."""
    browser, page = asked(harness)
    filled = [(name, text.format(id=page.field("consent_id"))) for name, text in sent]
    answer = browser.post(f"{harness.issuer}/consent", filled)
    assert (answer.status, answer.reason) == (400, "consent_not_pending")
    assert harness.count(Consent) == 0


@pytest.mark.parametrize(
    "change", ["page too old", "session over", "signed out", "client blocked", "user disabled"]
)
def test_an_answer_comes_too_late(harness, change):
    """ATK-71, ATK-17: asked anew at the moment of the answer."""
    from authz.admin import users

    browser, page = asked(harness)
    if change == "page too old":
        harness.clock.advance(minutes=10)
    elif change == "session over":
        harness.clock.advance(hours=12)
    elif change == "signed out":
        browser.post(f"{harness.issuer}/logout", {})
    elif change == "client blocked":
        harness.change(clients.block, harness.client_id)
    else:
        harness.change(users.disable, "dev@example.com")
    answer = browser.decide(page)
    reason = "client_blocked" if change == "client blocked" else "consent_not_pending"
    assert (answer.status, answer.location, answer.reason) == (400, "", reason)
    assert harness.count(Consent) == 0


def test_a_page_that_reloads_itself_does_not_fill_the_table(harness):
    """ATK-61: bounded per session; the newest page still works."""
    browser, _ = asked(harness)
    for _ in range(45):
        page = browser.start()
    assert harness.count(AuthorizationRequest) <= 20
    assert browser.decide(page).code


def test_another_account_can_take_the_request_over(harness):
    """O21-25, ATK-16: the old session ends, and is recorded as ended."""
    browser, page = asked(harness, scope="logs.read incidents.trigger", state="kept")
    cookie = dict(browser.http.cookies)
    moved = browser.post(
        f"{harness.issuer}/consent/switch", {"consent_id": page.field("consent_id")}
    )
    assert moved.status == 303
    page = browser.get(harness.server.base + moved.location)
    assert page.is_login
    assert len(harness.events("session.ended")) == 1
    browser.login = "sre@example.com"
    page = browser.sign_in(page)
    assert page.offered == ["logs.read", "incidents.trigger"]
    assert browser.decide(page).sent["state"] == "kept"
    old = harness.browser()
    old.http.cookies.update(cookie)
    assert old.start().is_login
