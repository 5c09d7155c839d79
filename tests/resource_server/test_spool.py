"""Outcomes on disk: bounded, once each, and still there after whatever happened to the process."""

import json
import multiprocessing
import os
import signal
import sqlite3
from dataclasses import replace

import pytest

from authz.resource_server.outcome import Outcome, digest_arguments, spell
from authz.resource_server.spool import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    Spool,
    SpoolInUseError,
    abandoned,
    claim,
)


def write(contents):
    return json.dumps(
        {
            "reporter": contents.reporter,
            "sequence": contents.sequence,
            "lost": contents.lost,
            "outcomes": list(contents.outcomes),
        }
    )


def taken(spool):
    """The next batch, settled."""
    batch = spool.next_batch(write)
    spool.settle()
    return None if batch is None else json.loads(batch)


def bodies(*numbers):
    return [json.dumps({"n": number}) for number in numbers]


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "1.db", limit=10)
    yield made
    made.close()


def test_what_goes_in_comes_out_in_order(spool):
    spool.append(bodies(1, 2))
    spool.append(bodies(3))
    assert spool.waiting == 3
    batch = taken(spool)
    assert batch["outcomes"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert (batch["sequence"], batch["lost"]) == (1, 0)
    assert taken(spool) is None
    assert spool.is_empty


def test_a_batch_stays_what_it_is_until_it_is_settled(spool):
    """So that it is known again when only the answer to it was lost."""
    spool.append(bodies(1))
    first = spool.next_batch(write)
    spool.append(bodies(2))
    assert spool.next_batch(write) == first
    spool.settle()
    assert json.loads(spool.next_batch(write))["outcomes"] == [{"n": 2}]


def test_everything_survives_a_restart(spool):
    spool.append(bodies(1))
    first = spool.next_batch(write)
    spool.append(bodies(2))
    spool.close()
    again = Spool(spool.path, limit=10)
    assert again.reporter == spool.reporter
    assert again.next_batch(write) == first
    again.settle()
    assert json.loads(again.next_batch(write))["sequence"] == 2
    again.close()


def test_the_oldest_go_first_and_are_counted(spool):
    """Never silently: the next batch says how many, once."""
    assert spool.append(bodies(*range(8))) == 0
    assert spool.append(bodies(*range(8, 13)), lost=4) == 3
    batch = taken(spool)
    assert [outcome["n"] for outcome in batch["outcomes"]] == list(range(3, 13))
    assert batch["lost"] == 7
    spool.append(bodies(1))
    assert taken(spool)["lost"] == 0


def test_more_than_fits_at_once_keeps_the_newest(spool):
    assert spool.append(bodies(*range(25))) == 15
    assert [outcome["n"] for outcome in taken(spool)["outcomes"]] == list(range(15, 25))


def test_a_batch_that_was_of_no_use_is_counted(spool):
    spool.append(bodies(1, 2))
    spool.next_batch(write)
    spool.settle(lost=2)
    spool.append(bodies(3))
    batch = taken(spool)
    assert (batch["sequence"], batch["lost"]) == (2, 2)


def test_a_batch_has_a_bound_in_number_and_in_bytes(tmp_path):
    spool = Spool(tmp_path / "1.db")
    spool.append(bodies(*range(MAX_BATCH + 1)))
    assert [len(taken(spool)["outcomes"]) for _ in range(2)] == [MAX_BATCH, 1]
    long = json.dumps({"tool": "x" * 4000})
    spool.append([long] * 30)
    sizes = [len(json.dumps(taken(spool)["outcomes"])) for _ in range(2)]
    assert all(0 < size < 1.1 * MAX_BATCH_BYTES for size in sizes)
    spool.close()


def test_two_processes_never_share_a_file(tmp_path):
    first, second = claim(tmp_path / "spool"), claim(tmp_path / "spool")
    assert (first.path.name, second.path.name) == ("1.db", "2.db")
    assert first.reporter != second.reporter
    with pytest.raises(SpoolInUseError):
        Spool(first.path)
    first.close()
    again = claim(tmp_path / "spool")
    assert again.path.name == "1.db"
    for spool in (again, second):
        spool.close()


def test_the_folder_is_its_owners(tmp_path):
    claim(tmp_path / "a" / "spool").close()
    assert (tmp_path / "a" / "spool").stat().st_mode & 0o077 == 0


def test_what_a_process_left_behind_is_found(tmp_path):
    mine, theirs = claim(tmp_path), claim(tmp_path)
    theirs.append(bodies(1))
    assert list(abandoned(tmp_path)) == []
    theirs.close()
    [found] = abandoned(tmp_path)
    assert found.path.name == "2.db"
    assert taken(found)["outcomes"] == [{"n": 1}]
    found.close()
    assert list(abandoned(tmp_path)) == []
    mine.close()


def _fill_and_wait(folder, filled):
    spool = claim(folder)
    spool.append(bodies(1, 2, 3))
    spool.next_batch(write)
    spool.append(bodies(4))
    filled.set()
    signal.pause()


def test_a_process_that_is_killed_leaves_what_it_wrote(tmp_path):
    """And its lock goes with it."""
    context = multiprocessing.get_context("spawn")
    filled = context.Event()
    process = context.Process(target=_fill_and_wait, args=(tmp_path, filled))
    process.start()
    assert filled.wait(30)
    with pytest.raises(SpoolInUseError):
        Spool(tmp_path / "1.db")
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    spool = claim(tmp_path)
    assert spool.path.name == "1.db"
    assert [outcome["n"] for outcome in taken(spool)["outcomes"]] == [1, 2, 3]
    assert [outcome["n"] for outcome in taken(spool)["outcomes"]] == [4]
    spool.close()


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough to be taken for one"])
def test_a_broken_file_is_set_aside_and_begun_anew(tmp_path, damage, caplog):
    (tmp_path / "1.db").write_bytes(damage * 100)
    spool = claim(tmp_path)
    assert "set aside" in caplog.text
    assert (tmp_path / "1.broken").read_bytes() == damage * 100
    spool.append(bodies(1))
    assert taken(spool)["outcomes"] == [{"n": 1}]
    spool.close()


def test_a_folder_that_cannot_be_written_is_an_error_of_its_own(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r".+"):
        claim(tmp_path / "file")
    (tmp_path / "spool" / "1.db").mkdir(parents=True)
    with pytest.raises(sqlite3.Error):
        claim(tmp_path / "spool")


def test_a_closed_spool_does_nothing(spool):
    spool.close()
    assert spool.append(bodies(1)) == 0
    assert spool.next_batch(write) is None
    spool.settle()
    assert spool.is_empty


class TestSpelling:
    """What is spooled is what is reported."""

    def spelled(self, token, **members):
        text = spell(Outcome(**{"at": 1.23456, "token": token, "tool": "t", **members}))
        return None if text is None else json.loads(text)

    def test_in_full(self, make_token):
        token = make_token(grant_id="grt_1")
        traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        assert self.spelled(
            token,
            outcome="error",
            reason="tool_error",
            seconds=0.0101,
            traceparent=traceparent,
            arguments_digest="ab" * 32,
        ) == {
            "at": 1.235,
            "jti": "j",
            "grant_id": "grt_1",
            "tool": "t",
            "outcome": "error",
            "reason": "tool_error",
            "duration_ms": 11,
            "traceparent": traceparent,
            "arguments_sha256": "ab" * 32,
        }

    def test_nothing_of_the_token_but_its_names(self, make_token):
        """Nothing secret lies in the spool: no scope, no subject, no claim."""
        token = make_token(claims={"email": "ada@corp.example"})
        assert self.spelled(token, outcome="ok").keys() == {"at", "jti", "tool", "outcome"}

    @pytest.mark.parametrize("tool", ["a\nb", "\x00", "\ud800", "", "x" * 5000, "\u202e"])
    def test_any_name_a_caller_invents_can_be_reported(self, make_token, tool):
        shown = self.spelled(make_token(), tool=tool, outcome="denied", reason="x")["tool"]
        assert 1 <= len(shown) <= 256
        assert shown.isprintable()

    def test_a_token_of_another_kind_of_server_is_left_out(self, make_token):
        assert self.spelled(make_token(grant_id="urn:x"), outcome="ok").get("grant_id") is None
        assert self.spelled(replace(make_token(), jti="urn:uuid:1"), outcome="ok") is None

    def test_a_reason_is_a_slug_or_another(self, make_token):
        assert self.spelled(make_token(), outcome="error", reason="No!")["reason"] == "other"

    def test_equal_arguments_have_one_digest(self):
        assert digest_arguments({"a": 1, "b": [2]}) == digest_arguments({"b": [2], "a": 1})
        assert digest_arguments({"a": 1}) != digest_arguments({"a": 2})
