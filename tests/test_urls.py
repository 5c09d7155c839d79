import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.urls import (
    MAX_LENGTH,
    UrlError,
    add_query,
    canonical_resource,
    check_client_id_url,
    check_issuer,
    check_redirect_uri,
    is_client_id_url,
    is_loopback_redirect,
    redirect_host,
    redirect_uri_matches,
)

NONE = frozenset()
CURSOR = frozenset({"cursor", "com.example.app"})

# What two readers of one URL understand differently is refused everywhere (ATK-09, ATK-47).
UNREADABLE = [
    ("", "characters"),
    ("/relative", "relative"),
    ("//client.example/p", "relative"),
    ("https:/client.example/p", "host"),
    ("https:client.example/p", "host"),
    ("https:///p", "host"),
    (" https://client.example/p", "characters"),
    ("https://client.example/p\n", "characters"),
    ("https://client.example\t/p", "characters"),
    ("https://client.example/\x00", "characters"),
    ("https://client.example\\@evil.example/p", "characters"),
    ("https://client.example\\.evil.example/p", "characters"),
    ("https://client.example/a b", "characters"),
    ("https://cl\u0456ent.example/p", "characters"),
    ("https://client.example/\uff0e\uff0e/p", "characters"),
    ("https://client.example/%zz", "characters"),
    ("https://client.example/%2", "characters"),
    ("https://user@client.example/p", "userinfo"),
    ("https://user:pw@client.example/p", "userinfo"),
    ("https://@client.example/p", "userinfo"),
    ("https://client.example:80@evil.example/p", "userinfo"),
    ("https://client.example:/p", "port"),
    ("https://client.example:0/p", "port"),
    ("https://client.example:0443/p", "port"),
    ("https://client.example:65536/p", "port"),
    ("https://client.example:+443/p", "port"),
    ("https://client.example:1:2/p", "port"),
    ("https://client.example./p", "host"),
    ("https://localhost./p", "host"),
    ("https://.client.example/p", "host"),
    ("https://client..example/p", "host"),
    ("https://-client.example/p", "host"),
    ("https://%63lient.example/p", "host"),
    ("https://client.example,evil.example/p", "host"),
    ("https://" + "a" * 64 + ".example/p", "host"),
    ("https://2130706433/p", "host"),
    ("https://0x7f000001/p", "host"),
    ("https://0x7f.0.0.1/p", "host"),
    ("https://017700000001/p", "host"),
    ("https://0177.0.0.1/p", "host"),
    ("https://127.1/p", "host"),
    ("https://127.0.0.1./p", "host"),
    ("https://127.0.0.0x1/p", "host"),
    ("https://999.0.0.1/p", "host"),
    ("https://[::1/p", "port"),
    ("https://[]/p", "host"),
    ("https://[127.0.0.1]/p", "host"),
    ("https://[fe80::1%25eth0]/p", "host"),
    ("https://[v1.x]/p", "host"),
    ("https://client.example/" + "a" * MAX_LENGTH, "too_long"),
]


def redirect(text):
    return check_redirect_uri(text, private_schemes=CURSOR)


def issuer(text):
    return check_issuer(text, development=True)


@pytest.mark.parametrize("check", [issuer, check_client_id_url, redirect, canonical_resource])
@pytest.mark.parametrize(("text", "reason"), UNREADABLE)
def test_a_url_with_two_readings_is_refused(check, text, reason):
    with pytest.raises(UrlError) as refused:
        check(text)
    assert refused.value.reason == reason


def test_a_refusal_names_the_value_the_rule_and_the_way_out():
    with pytest.raises(UrlError) as refused:
        check_issuer("https://as.example/", development=False)
    assert str(refused.value) == "issuer 'https://as.example/' ends with a slash; remove it"


def test_a_refusal_prints_no_controls_and_no_novel():
    with pytest.raises(UrlError) as refused:
        check_issuer("https://as.example/\n\x1b[31m" + "x" * 5000, development=False)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 400


# MCP-AS-15


@pytest.mark.parametrize(
    "text",
    [
        "https://as.example",
        "https://as.example:8443",
        "https://as.example/t/acme",
        "https://as.example/t/%7Eacme",
        "https://xn--bcher-kva.example",
        "https://192.0.2.1",
        "https://[2001:db8::1]:8443",
    ],
)
def test_an_issuer_is_kept_as_written(text):
    assert check_issuer(text, development=False) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("HTTPS://as.example", "not_https"),
        ("http://as.example", "not_https"),
        ("ftp://as.example", "not_https"),
        ("https://As.example", "host_case"),
        ("https://as.example:443", "default_port"),
        ("https://as.example/", "trailing_slash"),
        ("https://as.example/t/", "trailing_slash"),
        ("https://as.example?", "query"),
        ("https://as.example/t?x=1", "query"),
        ("https://as.example#", "fragment"),
        ("https://as.example/t#x", "fragment"),
        ("https://as.example/./t", "dot_segment"),
        ("https://as.example/t/..", "dot_segment"),
        ("https://as.example/%2e%2E/t", "dot_segment"),
        ("https://as.example//t", "empty_segment"),
    ],
)
@pytest.mark.parametrize("development", [False, True])
def test_an_issuer_has_one_spelling(text, reason, development):
    with pytest.raises(UrlError) as refused:
        check_issuer(text, development=development)
    assert refused.value.reason == reason


@pytest.mark.parametrize("text", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:1"])
def test_an_http_issuer_is_for_development_on_loopback(text):
    assert check_issuer(text, development=True) == text
    with pytest.raises(UrlError):
        check_issuer(text, development=False)


# CIMD-01, CIMD-02, CIMD-03


@pytest.mark.parametrize(
    "text",
    [
        "https://client.example/client.json",
        "https://client.example:443/client.json",
        "https://client.example:8443/client.json",
        "https://Client.example/client.json",
        "https://client.example/a/?v=1",
        "https://client.example//",
        "https://client.example/...",
        "https://client.example/.well-known/client",
        "https://client.example/a..b",
        "https://client.example/%7euser",
        "https://xn--bcher-kva.example/c",
    ],
)
def test_a_client_id_url_is_kept_as_written(text):
    assert check_client_id_url(text) == text
    assert is_client_id_url(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("HTTPS://client.example/c", "not_https"),
        ("http://client.example/c", "not_https"),
        ("http://localhost/c", "not_https"),
        ("https://client.example", "path_missing"),
        ("https://client.example/", "path_missing"),
        ("https://client.example?x=/c", "path_missing"),
        ("https://client.example/a/./c", "dot_segment"),
        ("https://client.example/a/../c", "dot_segment"),
        ("https://client.example/a/..", "dot_segment"),
        ("https://client.example/.", "dot_segment"),
        ("https://client.example/%2e/c", "dot_segment"),
        ("https://client.example/%2E%2e/c", "dot_segment"),
        ("https://client.example/.%2E/c", "dot_segment"),
        ("https://client.example/a%2f..%2fc", "dot_segment"),
        ("https://client.example/a%5C..%5Cc", "dot_segment"),
        ("https://client.example/c#", "fragment"),
        ("https://client.example/c#f", "fragment"),
    ],
)
@pytest.mark.parametrize("development", [False, True])
def test_a_client_id_url_obeys_every_rule(text, reason, development):
    with pytest.raises(UrlError) as refused:
        check_client_id_url(text, development=development)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "app.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[0:0::0:1]"],
)
def test_a_loopback_client_id_is_for_development(host):
    text = f"https://{host}/client.json"
    assert check_client_id_url(text, development=True) == text
    with pytest.raises(UrlError) as refused:
        check_client_id_url(text)
    assert refused.value.reason == "loopback"


def test_a_name_that_only_looks_like_loopback_is_a_name():
    for text in ("https://127.example/c", "https://notlocalhost/c", "https://localhost.example/c"):
        assert check_client_id_url(text) == text


def test_the_longest_client_id_url_has_2048_characters():
    text = "https://client.example/".ljust(2048, "a")
    assert check_client_id_url(text) == text
    with pytest.raises(UrlError):
        check_client_id_url(text + "a")


@pytest.mark.parametrize("text", ["client_1", "", "http://client.example/c", "HTTPS://c.example/c"])
def test_other_identifiers_are_no_client_id_urls(text):
    assert not is_client_id_url(text)


# MCP-AS-53, CIMD-23, ATK-09


@pytest.mark.parametrize(
    "text",
    [
        "https://client.example",
        "https://client.example/callback?tenant=a[]",
        "https://client.example:8443/callback",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:1455/callback",
        "http://[::1]:33418/",
        "http://localhost:8787/callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "com.example.app:/callback",
    ],
)
def test_a_registrable_redirect_uri_is_kept_as_written(text):
    assert redirect(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("javascript:alert(1)", "scheme_forbidden"),
        ("JavaScript:alert(1)", "scheme_forbidden"),
        ("javascript://client.example/%0aalert(1)", "scheme_forbidden"),
        (" javascript:alert(1)", "characters"),
        ("java\nscript:alert(1)", "characters"),
        ("java%0ascript:alert(1)", "relative"),
        ("\x01javascript:alert(1)", "characters"),
        ("DATA:text/html,x", "scheme_forbidden"),
        ("vbScript:x", "scheme_forbidden"),
        ("file:///etc/passwd", "scheme_forbidden"),
        ("blob:https://client.example/1", "scheme_forbidden"),
        ("about:blank", "scheme_forbidden"),
        ("filesystem:https://client.example/x", "scheme_forbidden"),
        ("view-source:https://client.example/", "scheme_forbidden"),
        ("ftp://client.example/x", "scheme_not_allowed"),
        ("ws://client.example/x", "scheme_not_allowed"),
        ("vscode://anything/x", "scheme_not_allowed"),
        ("CURSOR://anysphere.cursor-mcp/x", "scheme_not_allowed"),
        ("HTTPS://client.example/x", "scheme_not_allowed"),
        ("HTTP://localhost/x", "scheme_not_allowed"),
        ("cursor:", "path_missing"),
        ("cursor://", "path_missing"),
        ("cursor://user@host/x", "userinfo"),
        ("http://client.example/x", "http_off_loopback"),
        ("http://127.0.0.2/x", "http_off_loopback"),
        ("http://127.0.0.1.evil.example/x", "http_off_loopback"),
        ("http://localhost.evil.example/x", "http_off_loopback"),
        ("http://localhost@evil.example/x", "userinfo"),
        ("http://[::ffff:127.0.0.1]/x", "http_off_loopback"),
        ("http://0.0.0.0/x", "http_off_loopback"),
        ("https://client.example/x#", "fragment"),
        ("https://client.example/x#y", "fragment"),
        ("cursor://host/x#y", "fragment"),
        ("https://client.example/a/../x", "dot_segment"),
        ("https://client.example/a/%2e%2e/x", "dot_segment"),
        ("https://client.example/a%2f..%2fx", "dot_segment"),
    ],
)
def test_a_redirect_uri_that_may_not_be_registered(text, reason):
    with pytest.raises(UrlError) as refused:
        redirect(text)
    assert refused.value.reason == reason


def test_no_allow_list_admits_a_scheme_that_runs_code():
    with pytest.raises(UrlError) as refused:
        check_redirect_uri("javascript:x", private_schemes=frozenset({"javascript"}))
    assert refused.value.reason == "scheme_forbidden"


def test_private_schemes_are_off_by_default():
    with pytest.raises(UrlError) as refused:
        check_redirect_uri("cursor://anysphere.cursor-mcp/x", private_schemes=NONE)
    assert refused.value.reason == "scheme_not_allowed"


# MCP-AS-52, O21-04


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        ("https://client.example/cb", "https://client.example/cb"),
        ("cursor://anysphere.cursor-mcp/cb", "cursor://anysphere.cursor-mcp/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb"),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:5000/cb?a=1", "http://127.0.0.1:65535/cb?a=1"),
        ("http://[::1]/cb", "http://[::1]:5000/cb"),
        ("http://localhost", "http://localhost:5000"),
    ],
)
def test_a_redirect_uri_that_matches(registered, presented):
    assert redirect_uri_matches(registered, presented)


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        ("https://client.example/cb", "https://client.example/cb/"),
        ("https://client.example/cb", "https://client.example/cb?x=1"),
        ("https://client.example/cb", "https://client.example/cb?"),
        ("https://client.example/cb", "https://client.example/cb#x"),
        ("https://client.example/cb", "https://client.example/CB"),
        ("https://client.example/cb", "https://CLIENT.example/cb"),
        ("https://client.example/cb", "https://client.example:443/cb"),
        ("https://client.example/cb", "https://client.example:8443/cb"),
        ("https://client.example/cb", "https://client.example./cb"),
        ("https://client.example/cb", "https://client.example//cb"),
        ("https://client.example/cb", "https://client.example/x/../cb"),
        ("https://client.example/cb", "https://client.example/x%2f..%2fcb"),
        ("https://client.example/cb", "https://client.example\\cb"),
        ("https://client.example/cb", "https://client.example@evil.example/cb"),
        ("https://client.example/cb", "http://client.example/cb"),
        ("https://127.0.0.1/cb", "https://127.0.0.1:5000/cb"),
        ("http://127.0.0.1/cb", "https://127.0.0.1/cb"),
        ("http://127.0.0.1/cb", "http://localhost/cb"),
        ("http://localhost/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1/cb", "http://[::1]/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.2/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
        ("http://localhost/cb", "http://localhost@evil.example/cb"),
        ("http://localhost/cb", "http://localhost:80@evil.example/cb"),
        ("http://localhost/cb", "http://localhost.evil.example/cb"),
        ("http://localhost/cb", "http://localhost:1/cb#f"),
        ("http://localhost/cb", "http://localhost:1/cb#"),
        ("http://localhost/cb", "http://localhost:1/cb?x"),
        ("http://localhost/cb", "http://localhost:1/cb/x"),
        ("http://localhost/cb", "http://localhost:0/cb"),
        ("http://localhost/cb", "http://localhost:99999/cb"),
        ("http://localhost/cb", "http://localhost:/cb"),
        ("http://localhost/cb", "http://localhost:1\r\nX: y/cb"),
        ("http://localhost", "http://localhost:1/"),
        ("http://LOCALHOST/cb", "http://localhost/cb"),
        ("http://localhost/cb?a=1", "http://localhost:1/cb?a=2"),
        ("cursor://host/cb", "cursor://host:1/cb"),
    ],
)
def test_a_redirect_uri_that_nearly_matches(registered, presented):
    assert not redirect_uri_matches(registered, presented)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("http://localhost:1/cb", True),
        ("http://[::1]/cb", True),
        ("https://localhost/cb", False),
        ("http://localhost.evil.example/cb", False),
        ("cursor://localhost/cb", False),
        ("not a url", False),
    ],
)
def test_which_redirects_stay_on_the_users_machine(text, loopback):
    assert is_loopback_redirect(text) is loopback


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://client.example:8443/cb", "client.example"),
        ("https://Client.Example/cb", "client.example"),
        ("https://xn--80ak6aa92e.example/cb", "xn--80ak6aa92e.example"),
        ("http://127.0.0.1:5000/cb", "127.0.0.1"),
        ("http://[::1]:5000/cb", "[::1]"),
        ("cursor://bank.example/cb", "cursor:"),
        ("com.example.app:/cb", "com.example.app:"),
    ],
)
def test_the_host_a_person_is_shown(text, shown):
    assert redirect_host(text) == shown


# RI-01, MCP-AS-66, MCP-AS-67


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://mcp.example", "https://mcp.example"),
        ("https://mcp.example/", "https://mcp.example"),
        ("HTTPS://MCP.Example:443/", "https://mcp.example"),
        ("https://mcp.example:8443/mcp", "https://mcp.example:8443/mcp"),
        ("https://mcp.example/mcp/", "https://mcp.example/mcp/"),
        ("https://mcp.example/%7euser/%e2%82%ac", "https://mcp.example/~user/%E2%82%AC"),
        ("https://mcp.example/a%2fb", "https://mcp.example/a%2Fb"),
        ("https://mcp.example/a/./b/../c", "https://mcp.example/a/c"),
        ("https://mcp.example/a/%2e%2e/../c", "https://mcp.example/c"),
        ("https://mcp.example/a/..", "https://mcp.example"),
        ("https://mcp.example/a/b/..", "https://mcp.example/a/"),
        ("https://mcp.example//a", "https://mcp.example//a"),
        ("https://mcp.example/a?B=%7e", "https://mcp.example/a?B=~"),
        ("https://mcp.example/?x", "https://mcp.example?x"),
        ("https://[2001:DB8:0::1]/a", "https://[2001:db8::1]/a"),
        ("http://localhost:80/mcp", "http://localhost/mcp"),
        ("http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000/mcp"),
    ],
)
def test_the_spelling_under_which_resources_are_compared(text, canonical):
    assert canonical_resource(text) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://mcp.example/mcp", "http_off_loopback"),
        ("urn:example:mcp", "not_https"),
        ("file:///mcp", "not_https"),
        ("https://mcp.example/#", "fragment"),
        ("https://mcp.example/mcp#x", "fragment"),
    ],
)
def test_a_resource_indicator_that_is_refused(text, reason):
    with pytest.raises(UrlError) as refused:
        canonical_resource(text)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://mcp.example/mcp", "https://mcp.example/mcp/"),
        ("https://mcp.example/mcp", "https://mcp.example/mcp2"),
        ("https://mcp.example/mcp", "https://mcp.example/MCP"),
        ("https://mcp.example", "https://mcp.example?"),
        ("https://mcp.example/a/b", "https://mcp.example/a%2Fb"),
        ("https://mcp.example", "http://localhost"),
    ],
)
def test_resources_that_are_not_the_same(one, other):
    assert canonical_resource(one) != canonical_resource(other)


# Appending a response to a redirect URI (RFC 6749 §3.1.2)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://c.example/cb", "https://c.example/cb?code=a%20b%26&state=%2B"),
        ("https://c.example/cb?", "https://c.example/cb?code=a%20b%26&state=%2B"),
        ("https://c.example/cb?x=a+b%2f&", "https://c.example/cb?x=a+b%2f&code=a%20b%26&state=%2B"),
        ("https://c.example/cb?x=1", "https://c.example/cb?x=1&code=a%20b%26&state=%2B"),
        ("cursor://host/cb", "cursor://host/cb?code=a%20b%26&state=%2B"),
    ],
)
def test_parameters_follow_the_query_that_is_there(url, expected):
    assert add_query(url, [("code", "a b&"), ("state", "+")]) == expected


def test_nothing_to_append_leaves_the_url_alone():
    assert add_query("https://c.example/cb", []) == "https://c.example/cb"


def test_parameters_never_vanish_into_a_fragment():
    with pytest.raises(UrlError) as refused:
        add_query("https://c.example/cb#x", [("code", "1")])
    assert refused.value.reason == "fragment"


# Properties

segments = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@", max_size=8)
escapes = st.builds("%{:02x}".format, st.integers(0, 255))
paths = st.lists(st.builds("/{}{}".format, segments, escapes | st.just("")), max_size=5).map(
    "".join
)
hosts = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True)
resources = st.builds("https://{}{}{}".format, hosts, st.sampled_from(["", ":443", ":8443"]), paths)
loopbacks = st.sampled_from(["http://localhost", "http://127.0.0.1", "http://[::1]"])
ports = st.integers(1, 65535)


@given(resources)
def test_the_canonical_resource_is_canonical(text):
    once = canonical_resource(text)
    assert canonical_resource(once) == once


@given(resources)
def test_scheme_and_host_case_do_not_make_another_resource(text):
    scheme_and_host = len("https://") + len(text[8:].split("/")[0])
    shouted = text[:scheme_and_host].upper() + text[scheme_and_host:]
    assert canonical_resource(shouted) == canonical_resource(text)


@given(loopbacks, ports, ports, paths)
def test_a_loopback_port_never_matters(base, one, other, path):
    assert redirect_uri_matches(f"{base}:{one}{path}", f"{base}:{other}{path}")


@given(loopbacks, ports, paths, st.text(min_size=1, max_size=12))
def test_a_longer_uri_matches_only_by_its_port(base, port, path, suffix):
    registered = f"{base}:{port}{path}"
    presented = registered + suffix
    same_but_port = not path and suffix.isascii() and suffix.isdigit()
    assert not redirect_uri_matches(registered, presented) or same_but_port


@given(st.sampled_from(["https://client.example", "http://localhost"]), st.text(max_size=20))
def test_what_follows_the_host_cannot_move_it(base, rest):
    presented = base + rest
    if redirect_uri_matches(f"{base}/cb", presented):
        assert redirect_host(presented) == redirect_host(base)


@given(st.text(max_size=60) | resources)
def test_a_check_returns_its_argument_or_refuses(text):
    for check in (issuer, check_client_id_url, redirect):
        try:
            assert check(text) is text
        except UrlError:
            continue


@given(paths, st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=4))
def test_appending_keeps_the_url_and_stays_readable(path, params):
    url = f"https://c.example{path}?kept=%2f"
    extended = add_query(url, params)
    assert extended.startswith(url)
    assert len(extended) > MAX_LENGTH or redirect_host(extended) == "c.example"
