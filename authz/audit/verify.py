#!/usr/bin/env python3
"""Checks an audit trail that `authz audit export` wrote. Needs Python 3.9 or later, and nothing else.

    python3 verify.py trail.jsonl [--trust KEY]...

Each line of the file is one JSON object, in this order:

    {"authz_audit_export": 1, ...}                      what this is, for people
    {"key": {...}}                                      a public key (JWK) that signs statements of this trail
    {"export": "STATEMENT"}                             signed when this file was made: what must be in it
    {"checkpoint": 1, "statement": "STATEMENT"}         signed every few minutes: how far each strand went
    {"strand": "main", "first": 1, "before": "HASH", "last": 9, "hash": "HASH"}        how far it goes in this file
    {"removed": "main", "first": 1, "before": "HASH", "last": 9, "hash": "HASH"}       what retention deleted
    {"event": 1, "strand": "main", "hash": "HASH", "body": "TEXT"}                     strand by strand, in order
    {"end": 9}                                          how many events there were

Three things make it tamper-evident.

1. Events of a strand are chained: hash(n) = SHA-256( hash(n-1) "\\n" body(n) ), and hash(0) is 64 zeros. So whoever
   changes an event has to change all hashes after it.
2. A checkpoint is a signed statement (JWS, ES256) of the last position and hash of strands. It names the SHA-256 of
   the checkpoint before, so they are a chain too. So whoever changes history needs the private key.
3. The statement of the export is signed as well, with how far every strand goes. So nobody shortens the file.

What is left is whether the keys are the server's. With `--trust` only keys of that name count; a key's name (`kid`) is
a digest of the key itself (RFC 7638). `authz keys list` tells the names; ask for them on another way than the file.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

GENESIS = "0" * 64
Point = tuple[int, int, int]
Line = dict[str, Any]


class Fault(Exception):
    """What is wrong and where, in one sentence."""


# -- ES256: ECDSA over P-256 with SHA-256 (FIPS 186-5), verification only ----------------------------------

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)
INFINITY = (0, 1, 0)
# Points are (x, y, z) and mean (x/z², y/z³), so that adding takes no division.


def doubled(point: Point) -> Point:
    x, y, z = point
    s, m = 4 * x * y * y, 3 * (x - z * z) * (x + z * z)
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * y**4) % P, 2 * y * z % P


def added(one: Point, other: Point) -> Point:
    if not one[2] or not other[2]:
        return other if not one[2] else one
    (x1, y1, z1), (x2, y2, z2) = one, other
    u1, u2 = x1 * z2 * z2 % P, x2 * z1 * z1 % P
    s1, s2 = y1 * z2**3 % P, y2 * z1**3 % P
    if u1 == u2:
        return doubled(one) if s1 == s2 else INFINITY
    h, r = u2 - u1, s2 - s1
    v, h3 = u1 * h * h, h**3
    x3 = (r * r - h3 - 2 * v) % P
    return x3, (r * (v - x3) - s1 * h3) % P, h * z1 * z2 % P


def is_signed(jwk: Line, message: bytes, signature: bytes) -> bool:
    """Whether the holder of this key signed the message."""
    x, y = (int.from_bytes(decoded(jwk[name]), "big") for name in ("x", "y"))
    is_point = 0 <= x < P and 0 <= y < P and (y * y - (x**3 - 3 * x + B)) % P == 0
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not is_point or len(signature) != 64 or not 0 < r < N or not 0 < s < N:
        return False
    e, w = int.from_bytes(hashlib.sha256(message).digest(), "big"), pow(s, -1, N)
    u1, u2 = e * w % N, r * w % N
    key, total = (x, y, 1), INFINITY
    points = (None, G, key, added(G, key))
    for bit in range(255, -1, -1):  # u1 * G + u2 * key, both at once
        total = doubled(total)
        pick = points[(u1 >> bit & 1) + 2 * (u2 >> bit & 1)]
        total = total if pick is None else added(total, pick)
    return bool(total[2]) and total[0] * pow(total[2], -2, P) % P % N == r


def decoded(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# -- Keys and signed statements ---------------------------------------------------------------------------


class Keys:
    """The public keys in the file, by name."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self.trusted = trusted
        self.known: dict[str, Line] = {}
        self.used: set[str] = set()

    def add(self, jwk: Line) -> None:
        members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
        named = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
        name = base64.urlsafe_b64encode(named).rstrip(b"=").decode()
        if jwk["kid"] != name or (jwk["kty"], jwk["crv"]) != ("EC", "P-256"):
            raise Fault(f"the key {jwk['kid']} is forged: it is not the key of that name")
        self.known[name] = jwk

    def claims(self, what: str, statement: str, typ: str) -> Line:
        """What a statement says, once its signature holds."""
        parts = statement.split(".")
        header = json.loads(decoded(parts[0])) if len(parts) == 3 else {}
        if header.get("alg") != "ES256" or header.get("typ") != typ:
            raise Fault(f"{what} is forged: it is no signed statement of this kind")
        name = header.get("kid")
        if name not in self.known:
            raise Fault(f"{what} is forged: it is signed by {name}, which is no key of this trail")
        if self.trusted and name not in self.trusted:
            raise Fault(f"{what} is signed by the key {name}, which is not one you trust")
        if not is_signed(self.known[name], f"{parts[0]}.{parts[1]}".encode(), decoded(parts[2])):
            raise Fault(f"{what} is forged: its signature does not hold")
        self.used.add(name)
        claims: Line = json.loads(decoded(parts[1]))
        return claims


# -- The file ---------------------------------------------------------------------------------------------


class Verifier:
    """Takes the lines one by one and raises a Fault at the first that does not hold."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self.keys = Keys(frozenset(trusted))
        self.manifest: Line = {}  # the claims of the export's own statement
        self.checkpoints: list[str] = []  # digests of statements
        # (strand, position) -> (hash, number of the checkpoint)
        self.signed: dict[tuple[str, int], tuple[str, int]] = {}
        self.removal: str | None = (
            None  # what the last checkpoint that tells of removals says of them
        )
        self.timestamps = 0
        self.strands: list[str] = []
        self.ranges: dict[str, Line] = {}
        self.removed: list[str] = []
        self.gaps: dict[tuple[str, int], Line] = {}
        self.events = 0
        self.ready = self.ended = False
        self.strand = ""  # the one that is being read
        self.position, self.hash = 0, GENESIS
        self.done: set[str] = set()

    def take(self, line: Line) -> None:
        if self.ended:
            raise Fault("there is something after the end of the file")
        if "key" in line:
            self.keys.add(line["key"])
        elif "export" in line:
            self.manifest = self.keys.claims(
                "the statement of the export", line["export"], "audit-export+jwt"
            )
        elif "checkpoint" in line:
            self.take_checkpoint(line["checkpoint"], line["statement"], line.get("timestamp"))
        elif "event" in line:
            self.take_event(line)
        elif "removed" in line:
            self.take_removed(line["removed"], line)
        elif "strand" in line:
            self.ranges[line["strand"]] = line
            self.strands.append(spelled(line["strand"], line))
        elif "end" in line:
            self.finish(line["end"])
        elif "authz_audit_export" not in line:
            raise Fault("there is a line that is no part of an export")

    def take_checkpoint(self, number: int, statement: str, timestamp: str | None) -> None:
        what, expected = f"checkpoint {number}", len(self.checkpoints) + 1
        if number > expected:
            raise Fault(f"checkpoint {expected} is missing")
        if number < expected:
            raise Fault(f"{what} is there twice or out of order")
        claims = self.keys.claims(what, statement, "audit-checkpoint+jwt")
        if claims["position"] != number:
            raise Fault(
                f"{what} was swapped: the statement in its place is that of {claims['position']}"
            )
        if claims["previous"] != (self.checkpoints[-1] if self.checkpoints else ""):
            raise Fault(
                f"{what} was signed after another checkpoint {number - 1} than the one here"
            )
        if timestamp is not None:
            # Who says when is for `openssl ts -verify`; here, that it is about this statement.
            if bytes.fromhex(digest(statement)) not in base64.b64decode(timestamp):
                raise Fault(f"the timestamp of {what} is about something else")
            self.timestamps += 1
        for strand, (position, hash_) in claims["heads"].items():
            self.signed[strand, position] = (hash_, number)
        self.removal = claims.get("removed", self.removal)
        self.checkpoints.append(digest(statement))

    def take_removed(self, strand: str, line: Line) -> None:
        first, last = line["first"], line["last"]
        # Otherwise stepping over it would lead back, again and again.
        if type(first) is not int or type(last) is not int or last < first:
            raise Fault(
                f"what counts as removed of strand {strand} from event {first} on is nothing"
            )
        self.gaps[strand, first] = line
        self.removed.append(spelled(strand, line))

    def compare_statement(self) -> None:
        """Before the first event: the file has the parts that the export's own statement names."""
        manifest = self.manifest
        if not manifest:
            raise Fault("the signed statement of the export is missing")
        last = self.checkpoints[-1] if self.checkpoints else ""
        if (manifest["checkpoints"], manifest["checkpoint"]) != (len(self.checkpoints), last):
            raise Fault(
                f"there are {len(self.checkpoints)} checkpoints, and not the {manifest['checkpoints']} that the "
                "statement of the export names: the last ones were cut off or swapped"
            )
        if digest("\n".join(self.strands)) != manifest["strands"]:
            raise Fault("the list of strands is not the one that the statement of the export names")
        if digest("\n".join(self.removed)) != manifest["removed"]:
            raise Fault(
                "the list of removed events is not the one that the statement of the export names"
            )
        if self.removal not in (None, manifest["removed"]) or (self.removed and not self.removal):
            raise Fault(
                "the list of removed events is not the one that was signed when they were removed"
            )
        self.ready = True

    def take_event(self, line: Line) -> None:
        if not self.ready:
            self.compare_statement()
        strand, position, body = line["strand"], line["event"], line["body"]
        if strand != self.strand:
            self.begin(strand, position)
        self.step_over()
        if position > self.position + 1:
            raise Missing(strand, self.position + 1)
        if position <= self.position:
            raise Fault(f"event {position} of strand {strand} is out of order or there twice")
        said = json.loads(body)
        if said["strand"] != strand or said["position"] != position:
            raise Fault(
                f"event {position} of strand {strand} is out of order: what stands there is event "
                f"{said['position']} of strand {said['strand']}"
            )
        hash_ = digest(f"{self.hash}\n{body}")
        if hash_ != line["hash"]:
            raise Fault(f"event {position} of strand {strand} was changed after it was recorded")
        self.move(position, hash_)
        self.events += 1

    def begin(self, strand: str, position: int) -> None:
        self.end_strand()
        if strand not in self.ranges or strand in self.done:
            raise Fault(f"event {position} of strand {strand} does not belong there")
        self.strand = strand
        self.position, self.hash = self.ranges[strand]["first"] - 1, self.ranges[strand]["before"]
        self.compare_signed()

    def step_over(self) -> None:
        """Go on behind events that retention removed, if the next one is the first of them."""
        while (self.strand, self.position + 1) in self.gaps:
            gap = self.gaps[self.strand, self.position + 1]
            if gap["before"] != self.hash:
                raise Fault(
                    f"event {self.position} of strand {self.strand} is not the one behind which events were removed"
                )
            self.move(gap["last"], gap["hash"])

    def move(self, position: int, hash_: str) -> None:
        self.position, self.hash = position, hash_
        self.compare_signed()

    def compare_signed(self) -> None:
        hash_, number = self.signed.get((self.strand, self.position), (self.hash, 0))
        if hash_ != self.hash:
            raise Fault(
                f"event {self.position} of strand {self.strand} is not what checkpoint {number} signed: "
                "it, or one before it, was rewritten"
            )

    def end_strand(self) -> None:
        if not self.strand:
            return
        self.step_over()
        expected = self.ranges[self.strand]
        if self.position < expected["last"]:
            raise Fault(
                f"strand {self.strand} was cut off: event {self.position + 1} is missing, and all up to "
                f"{expected['last']}, the last when it was exported"
            )
        if (self.position, self.hash) != (expected["last"], expected["hash"]):
            raise Fault(
                f"event {self.position} of strand {self.strand} is not the last one that the statement of "
                "the export names: it, or one before it, was rewritten"
            )
        self.done.add(self.strand)

    def finish(self, count: int) -> None:
        if not self.ready:
            self.compare_statement()
        self.end_strand()
        for strand in self.ranges:
            if strand not in self.done:  # nothing of it is here: all removed, or all missing
                self.strand = strand
                self.position = self.ranges[strand]["first"] - 1
                self.hash = self.ranges[strand]["before"]
                self.end_strand()
        if count != self.events:
            raise Fault(f"there are {self.events} events, and not {count}, the number at the end")
        self.ended = True

    def told(self) -> str:
        deleted = sum(gap["last"] - gap["first"] + 1 for gap in self.gaps.values())
        return (
            f"The trail holds: {self.events} events in {len(self.ranges)} strands, {len(self.checkpoints)} checkpoints "
            f"({self.timestamps} with a timestamp), {deleted} events removed by retention; exported for "
            f"{self.manifest['iss']}, signed by {', '.join(sorted(self.keys.used))}."
        )


class Missing(Fault):
    """An event is not where it should be; perhaps it is further on."""

    def __init__(self, strand: str, position: int) -> None:
        self.what = f"event {position} of strand {strand}"
        super().__init__(f"{self.what} is missing")
        self.strand, self.position = strand, position


def spelled(strand: str, line: Line) -> str:
    return f"{strand} {line['first']} {line['before']} {line['last']} {line['hash']}"


def check(lines: Iterable[str], trusted: Iterable[str] = ()) -> Verifier:
    """The verifier at the end of the file. Raises Fault."""
    verifier, number = Verifier(trusted), 0
    rest = iter(lines)
    try:
        for text in rest:
            number += 1
            verifier.take(json.loads(text))
    except Missing as fault:
        place = f'"event": {fault.position}, "strand": "{fault.strand}",'
        if any(place in text for text in rest):
            raise Fault(f"{fault.what} is out of order: it stands further on") from None
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        raise Fault(f"line {number} is not what an export has there: it was changed") from None
    if not verifier.ended:
        raise Fault(f"the file was cut off after line {number}: its last line is missing")
    return verifier


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks an exported audit trail.")
    parser.add_argument("file", help="what `authz audit export` wrote; - for standard input")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="KEY", help="a key's name (kid)"
    )
    options = parser.parse_args()
    try:
        if options.file == "-":
            verifier = check(sys.stdin, options.trust)
        else:
            with Path(options.file).open(encoding="utf-8") as file:
                verifier = check(file, options.trust)
    except Fault as fault:
        print(f"The trail does NOT hold: {fault}.")
        return 1
    print(verifier.told())
    if not options.trust:
        print(
            "Compare the names of the keys with `authz keys list`; they were not given with --trust."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
