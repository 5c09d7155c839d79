"""TXT records over a real socket: what a name says, and what is not said."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from authz.net.errors import NetworkError
from authz.net.txt import lookup_txt
from authz.transactions import marked_open

NAME = "_authz-challenge.corp.example"


@contextmanager
def nameserver(records: dict[str, list[str]], rcode=dns.rcode.NXDOMAIN) -> Iterator[str]:
    """Answers TXT questions on loopback; unknown names get `rcode`."""
    place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    place.bind(("127.0.0.1", 0))
    place.settimeout(0.1)
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            try:
                raw, peer = place.recvfrom(4096)
            except TimeoutError:
                continue
            question = dns.message.from_wire(raw)
            name = question.question[0].name.to_text()
            answer = dns.message.make_response(question)
            answer.flags |= dns.flags.RA
            if name in records:
                texts = records[name]
                if texts:
                    answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *texts))
            else:
                answer.set_rcode(rcode)
            place.sendto(answer.to_wire(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{place.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()
        place.close()


def test_the_texts_at_a_name():
    records = {f"{NAME}.": ['"authz-verification_x"', '"v=spf1 " "-all"']}
    with nameserver(records) as server:
        found = lookup_txt(NAME, nameservers=[server])
    assert sorted(found) == ["authz-verification_x", "v=spf1 -all"]


@pytest.mark.parametrize("records", [{}, {f"{NAME}.": []}], ids=["no name", "no text"])
def test_nothing_there_is_nothing(records):
    with nameserver(records) as server:
        assert lookup_txt(NAME, nameservers=[server]) == []


def test_a_server_that_fails_is_an_error_and_no_absence():
    with nameserver({}, dns.rcode.SERVFAIL) as server, pytest.raises(NetworkError) as caught:
        lookup_txt(NAME, nameservers=[server])
    assert caught.value.reason == "dns"


def test_never_inside_a_transaction():
    with marked_open(), pytest.raises(RuntimeError, match="DNS"):
        lookup_txt(NAME)
