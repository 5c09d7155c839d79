"""Log lines wait for nobody."""

import contextlib
import itertools
import json
import logging
import os
import time

import pytest
import structlog

from authz.telemetry.logging import configure
from authz.telemetry.sink import MOST_LINES, LogStream


def test_a_reader_that_stands_still_costs_lines_and_not_time():
    reading, writing = os.pipe()
    with (
        contextlib.suppress(BrokenPipeError),
        os.fdopen(writing, "w") as stream,
        os.fdopen(reading, "r") as reader,
    ):
        log = LogStream(stream)
        began = time.monotonic()
        for number in range(MOST_LINES + 5000):
            log.write(f"{number}\n")
        assert time.monotonic() - began < 5
        told = ""
        while "log.lines_lost" not in told:
            log.write("late\n")
            told = reader.readline()
        log.drain(0.1)


def test_lines_are_lost_whole(monkeypatch):
    """Whoever reads the log as JSON, line by line, reads every line that is left."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    reading, writing = os.pipe()
    with (
        contextlib.suppress(BrokenPipeError),
        os.fdopen(writing, "w") as stream,
        os.fdopen(reading, "r") as reader,
    ):
        monkeypatch.setattr("sys.stderr", stream)
        configure(level="info", style="json")
        log = structlog.get_logger()
        try:
            log.info("long", text="x" * 100_000)
            for number in range(MOST_LINES + 3000):
                log.info("event", n=number)
            told = [
                json.loads(line) for line in itertools.islice(reader, 3) if line[:9] != '{"text": '
            ]
            while told[-1]["event"] != "log.lines_lost":
                log.info("late")
                told.append(json.loads(reader.readline()))
        finally:
            structlog.configure(**before)
            root.handlers[:] = handlers
            root.setLevel(level)
    assert told[-1]["lines"] > 1000
    numbers = [it["n"] for it in told if "n" in it]
    assert numbers == sorted(numbers)


def test_a_reader_that_is_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    log = LogStream(stream)
    for _ in range(100):
        log.write("x\n")
    log.drain(5)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_what_was_logged_is_written_before_the_end(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        log = LogStream(stream)
        for number in range(1000):
            log.write(f"{number}\n")
        log.drain(10)
    assert len((tmp_path / "log").read_text().splitlines()) == 1000
