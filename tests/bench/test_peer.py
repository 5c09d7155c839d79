"""scripts/bench: finding the peer and being a browser for it. It is no part of this repository, so it does not run."""

import pytest

from scripts.bench_parts.machine import BenchError
from scripts.bench_parts.peer import add_client, find_peer, keep


def folder_with_server(place, text=""):
    place.mkdir(parents=True)
    (place / "server.js").write_text(text)
    return place


def test_the_usual_place_is_looked_at_without_a_word(tmp_path):
    root = tmp_path / "authz"
    assert find_peer(None, root) is None
    there = folder_with_server(tmp_path / "shared" / "bench" / "oidc-provider")
    assert find_peer(None, root) == there
    assert find_peer("oidc-provider", root) == there


def test_a_folder_or_the_one_above_it_may_be_named(tmp_path):
    there = folder_with_server(tmp_path / "peers" / "oidc-provider")
    assert find_peer(str(there), tmp_path) == there
    assert find_peer(str(there.parent), tmp_path) == there


def test_a_named_folder_without_the_peer_is_an_error(tmp_path):
    with pytest.raises(BenchError, match=r"there is no server\.js in"):
        find_peer(str(tmp_path), tmp_path)


def test_the_copy_takes_clients_from_the_environment_once(tmp_path):
    copy = folder_with_server(tmp_path / "copy", "const clients = [\n  {},\n];\n")
    assert add_client(copy)
    assert add_client(copy)
    assert (copy / "server.js").read_text().count("BENCH_CLIENTS") == 1


def test_an_unknown_server_is_left_as_it_is(tmp_path):
    copy = folder_with_server(tmp_path / "copy", "listen()\n")
    assert not add_client(copy)
    assert (copy / "server.js").read_text() == "listen()\n"


def test_cookies_are_kept_with_their_path_and_dropped_when_they_are_over():
    jar = {}
    keep(jar, ("a=1; Path=/Interaction/AbC; HttpOnly", "b=2; samesite=lax"))
    assert jar == {"a": ("1", "/Interaction/AbC"), "b": ("2", "/")}
    keep(jar, ("a=; Path=/Interaction/AbC; Expires=Thu, 01 Jan 1970 00:00:00 GMT",))
    assert jar == {"b": ("2", "/")}
