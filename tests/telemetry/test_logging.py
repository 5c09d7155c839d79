"""Redaction: names and forms of secrets, at any depth, in exceptions, and in what libraries log (V7, ATK-66)."""

import io
import json
import logging

import pytest
import structlog

from authz import entropy
from authz.telemetry.logging import BLANK, configure, drain

CANARY = "canary0123456789"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkwMTIzNDU2Nzg5In0.c2lnbmF0dXJlLWNhbmFyeQ"


@pytest.fixture
def lines(monkeypatch):
    """What goes to standard error, as the operator's log has it."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure(level="debug", style="json")

    def written():
        drain(10)
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield written
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    "fields",
    [
        {"access_token": CANARY},
        {"Client-Secret": CANARY},
        {"code": CANARY},
        {"headers": {"Authorization": CANARY, "DPoP": CANARY}},
        {"body": {"form": [{"code_verifier": CANARY}, {"assertion": CANARY}]}},
        {"seen": f"Bearer {CANARY}"},
        {"seen": f"authorization: Basic {CANARY}=="},
        {"url": f"postgresql://authz:{CANARY}@db/authz"},
        {"urls": [f"https://user:{CANARY}@proxy:3128"]},
        {"raw": CANARY.encode()},
        {"pem": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"},
    ],
    ids=lambda it: "-".join(it),
)
def test_what_could_be_a_secret_is_blanked(lines, fields):
    structlog.get_logger().info("event", **fields)
    (line,) = lines()
    assert CANARY not in json.dumps(line)
    assert BLANK in json.dumps(line)


def test_a_token_is_blanked_wherever_it_stands(lines):
    made = entropy.new_token("azr")
    structlog.get_logger().warning("event", message=f"what came was {made}, and {JWT}.", reason="x")
    (line,) = lines()
    assert line["message"] == f"what came was azr_{BLANK}, and {BLANK}."
    assert line["reason"] == "x"


def test_a_traceback_holds_no_secret(lines):
    """The text of an exception is the part that nobody wrote with care."""
    log = structlog.get_logger()
    try:
        raise ValueError(f"bad value {JWT} from https://me:{CANARY}@host")
    except ValueError:
        log.exception("request.failed")
    (line,) = lines()
    assert "ValueError" in line["exception"]
    assert JWT not in line["exception"]
    assert CANARY not in line["exception"]


def test_what_libraries_log_is_redacted_as_well(lines):
    logging.getLogger("somelibrary").warning("sent %s", f"Bearer {CANARY}")
    (line,) = lines()
    assert line["event"] == f"sent Bearer {BLANK}"


def test_what_is_no_secret_stays(lines):
    """Ids, slugs and numbers are what an operator searches by."""
    fields = {
        "client_id": entropy.new_id("cli"),
        "reason": "code_spent",
        "path": "/t/acme/token",
        "jobs": 3,
        "kid": "x" * 43,
        "url": "https://mcp.example/mcp",
    }
    structlog.get_logger().info("token.refused", **fields)
    (line,) = lines()
    assert {name: line[name] for name in fields} == fields
    assert line["level"] == "info"
