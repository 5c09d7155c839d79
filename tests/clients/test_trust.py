import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.clients.trust import TrustPolicy, Verdict, is_pattern

URL = "https://app.example.com/client.json"


@pytest.mark.parametrize(
    ("pattern", "url", "covered"),
    [
        (URL, URL, True),
        (URL, URL + "?", False),
        (URL, URL.upper(), False),
        ("app.example.com", URL, True),
        ("app.example.com", "https://APP.example.com/x", True),
        ("app.example.com", "https://app.example.com:8443/x", True),
        ("app.example.com:8443", "https://app.example.com:8443/x", True),
        ("app.example.com:8443", URL, False),
        ("app.example.com", "https://app.example.com.evil.example/x", False),
        ("app.example.com", "https://xapp.example.com/x", False),
        ("app.example.com", "https://evil.example/app.example.com", False),
        ("*.example.com", URL, True),
        ("*.example.com", "https://a.b.example.com/x", True),
        ("*.example.com", "https://example.com/x", False),
        ("*.example.com", "https://evil-example.com/x", False),
        ("*.example.com", "https://example.com.evil.example/x", False),
    ],
)
def test_a_pattern_covers_whole_labels(pattern, url, covered):
    """CIMD-32."""
    listed = TrustPolicy("allow_list", allow=frozenset({pattern})).judge(url)
    assert listed is (Verdict.ADMITTED if covered else Verdict.NOT_LISTED)
    denied = TrustPolicy("open", deny=frozenset({pattern})).judge(url)
    assert denied is (Verdict.DENIED if covered else Verdict.ADMITTED)


@pytest.mark.parametrize("mode", ["open", "deny_list", "allow_list"])
def test_deny_wins(mode):
    """MCP-AS-49."""
    policy = TrustPolicy(mode, allow=frozenset({URL}), deny=frozenset({"*.example.com"}))
    assert policy.judge(URL) is Verdict.DENIED


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (URL, True),
        ("https://", True),
        ("app.example.com", True),
        ("app.example.com:8443", True),
        ("localhost", True),
        ("*.example.com", True),
        ("", False),
        ("*", False),
        ("*.", False),
        ("*.*.example.com", False),
        ("example.com*.", False),
        ("app.*.com", False),
        ("App.example.com", False),
        ("app.example.com/x", False),
        ("app.example.com:", False),
        ("app.example.com:123456", False),
        ("-app.example.com", False),
        ("app..example.com", False),
        ("http://app.example.com", False),
        ("app.example.comhttps://", False),
    ],
)
def test_what_can_stand_in_a_list(text, is_one):
    """CIMD-32."""
    assert is_pattern(text) is is_one


labels = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


@settings(deadline=None)
@given(st.lists(labels, min_size=2, max_size=4), labels, labels)
def test_no_neighbour_slips_under_a_wildcard(domain, label, prefix):
    """CIMD-32: whatever is written before the domain without a dot is another domain."""
    name = ".".join(domain)
    policy = TrustPolicy("allow_list", allow=frozenset({f"*.{name}"}))
    assert is_pattern(f"*.{name}")
    assert policy.judge(f"https://{label}.{name}/c") is Verdict.ADMITTED
    assert policy.judge(f"https://{prefix}-{name}/c") is Verdict.NOT_LISTED
    assert policy.judge(f"https://{prefix}{name}/c") is Verdict.NOT_LISTED
    assert policy.judge(f"https://{label}.{name}.{prefix}/c") is (
        Verdict.ADMITTED if f"{label}.{name}.{prefix}".endswith(f".{name}") else Verdict.NOT_LISTED
    )
