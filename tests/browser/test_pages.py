"""People at the real pages of a running server, in headless Chromium."""

import subprocess
import sys

import pytest

from scripts.demo_parts.installation import ROOT, python_environment
from tests.browser import preview
from tests.interop.scene import ALL_SCOPES, HEADLESS, JAVASCRIPT, SRE, node
from tests.support.chromium import drive

pytestmark = [pytest.mark.browser, pytest.mark.slow]

UNTICKED = "Open incidents and wake people up"
CONSENT = "Allow access to Operations?"
RARE = (
    "/consent-changed.html",
    "/device-confirm-nothing.html",
    "/approval.html",
    "/approval-filed.html",
    "/consent-forty.html",
    "/signed-out.html",
)
PAGES = (
    "login",
    "login refused",
    "consent",
    "device",
    "device refused",
    "device confirm",
    "device allowed",
    "error",
    "index",
    "faults",
)
VIEWS = [f"{width} {scheme}" for width in (1180, 360) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def met(browser_scene, chromium):
    """What the person met, by scenario."""
    person = browser_scene.person(SRE)
    return drive(
        "pages.mjs",
        chromium,
        issuer=browser_scene.path.issuer,
        resource=browser_scene.path.mcp_url,
        clientId=browser_scene.host.client_id,
        headless=HEADLESS,
        scope=ALL_SCOPES,
        untickedWords=UNTICKED,
        login=person.login,
        password=person.password,
    )


@pytest.fixture
def scenario(met):
    """One of them, without a fault."""

    def find(name):
        found = met[name]
        assert "error" not in found, found["error"]
        assert found["faults"] == []
        return found

    return find


def test_login_names_who_asks_and_is_ready_to_type(scenario, browser_scene):
    found = scenario("login")
    assert found["heading"] == "Sign in"
    assert found["asker"] == browser_scene.host.origin.removeprefix("https://")
    assert found["focused"] == "login"
    assert found["styled"] == 1


def test_a_wrong_password_keeps_the_name_and_the_request(scenario):
    found = scenario("wrongPassword")
    assert "do not match" in found["alert"]
    assert found["kept"] == SRE
    assert found["typed"] == ""
    assert found["heading"] == CONSENT


def test_consent_shows_the_facts(scenario, browser_scene):
    found = scenario("consent")
    assert found["heading"] == CONSENT
    client = browser_scene.host.origin.removeprefix("https://")
    assert found["hosts"] == [client, "127.0.0.1"]
    assert found["warning"]
    assert found["offered"] == ["logs.read", "logs.debug.write", "incidents.trigger"]
    assert found["notPossible"] == ["analytics.query"]


def test_the_logo_comes_from_our_origin(scenario, browser_scene):
    found = scenario("consent")
    assert found["logoSource"].startswith(f"{browser_scene.path.issuer}/consent/logo?")
    assert found["logoWidth"] == 48
    assert "/logo.png" in browser_scene.host.requests


def test_an_unticked_scope_is_not_granted(scenario, browser_scene):
    found = scenario("consent")
    assert found["sent"]["state"] == "st"
    assert found["sent"]["iss"] == browser_scene.path.issuer
    assert set(found["granted"].split()) == {"logs.read", "logs.debug.write"}


def test_the_session_cookie_is_out_of_reach(scenario):
    assert scenario("consent")["cookies"] == [
        {"name": "authz-session-acme", "httpOnly": True, "sameSite": "Lax"}
    ]


@pytest.mark.parametrize("how", ["denial", "enterInABoxDenies"])
def test_denial_reaches_the_client(scenario, browser_scene, how):
    sent = scenario(how)["sent"]
    assert sent["error"] == "access_denied"
    assert sent["iss"] == browser_scene.path.issuer
    assert "code" not in sent


def test_another_account_starts_over(scenario):
    assert scenario("anotherAccount")["heading"] == "Sign in"


def test_everything_works_without_script(scenario):
    assert set(scenario("withoutScript")["granted"].split()) == {"logs.read", "logs.debug.write"}


def test_a_person_allows_a_device(scenario):
    """DEV-02, DEV-03: without script, and not before the person has pressed two buttons."""
    found = scenario("device")
    assert found["filledIn"] == found["device"]["user_code"]
    assert found["before"] == "authorization_pending"
    assert found["heading"] == "Allow a device to use Operations?"
    assert found["warning"]
    assert found["hosts"] == [HEADLESS, found["device"]["user_code"]]
    assert found["offered"] == ["logs.read", "logs.debug.write"]
    assert found["notPossible"] == ["analytics.query", "incidents.trigger"]
    assert found["told"] == "The device is allowed"
    assert found["granted"] == "logs.read"


def test_enter_in_a_box_refuses_a_device(scenario):
    found = scenario("enterInABoxRefusesADevice")
    assert found["focused"] == "user-code"
    assert found["told"] == "The device was refused"
    assert found["polled"] == "access_denied"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_and_nothing_sticks_out(scenario, page, view):
    assert scenario("views")["found"][f"{page} {view}"] == {"axe": [], "sideways": 0}


def test_axe_finds_nothing_on_rare_pages(chromium, tmp_path):
    """Those that the running server of these tests has no occasion to show."""
    folder = ROOT / "tests" / "browser"
    environment = {**python_environment(), "CHROMIUM": chromium}
    serve = [sys.executable, str(folder / "preview.py"), str(tmp_path), "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            urls = [server.stdout.readline().strip() for _ in preview.SAMPLES]
            urls = [url for url in urls if url.endswith(RARE)]
            done = subprocess.run(
                [node(), str(folder / "axe.mjs"), str(tmp_path / "shots"), *urls],
                cwd=JAVASCRIPT,
                capture_output=True,
                text=True,
                timeout=240,
                env=environment,
                check=False,
            )
        finally:
            server.terminate()
    assert done.returncode == 0, done.stderr
    assert f"{len(urls)} pages, 0 faults" in done.stdout
