"""PNG images of pages, made small enough for a repository: a palette of the colours that there are most of.

Pages have few colours; what is between two of them, at the edges of letters, becomes the nearest that is kept.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

Colour = tuple[int, int, int]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256
_RGB, _PALETTE, _RGBA = 2, 3, 6
_UP = 2
"""The filter of a row that is like the one above."""


def shrink(png: bytes) -> bytes:
    """The same image with a palette; an image that has one is left as it is."""
    chunks = list(_chunks(png))
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    if kind == _PALETTE:
        return png
    if depth != 8 or kind not in (_RGB, _RGBA):
        raise ValueError("an image of another kind than browsers make")
    raw = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
    rows = _rows(raw, width, height, 3 if kind == _RGB else 4)
    counts = Counter(colour for row in rows for colour in row)
    kept = [colour for colour, _ in counts.most_common(_COLOURS)]
    places = {colour: number for number, colour in enumerate(kept)}
    for colour in counts:
        if colour not in places:
            places[colour] = _nearest(colour, kept)
    body = b"".join(b"\x00" + bytes(map(places.__getitem__, row)) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0)
    return _SIGNATURE + b"".join(
        _chunk(name, data)
        for name, data in (
            (b"IHDR", head),
            (b"PLTE", b"".join(map(bytes, kept))),
            (b"IDAT", zlib.compress(body, 9)),
            (b"IEND", b""),
        )
    )


def _nearest(colour: Colour, kept: Sequence[Colour]) -> int:
    return min(range(len(kept)), key=lambda number: _apart(colour, kept[number]))


def _apart(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at : at + 8])
        yield name, png[at + 8 : at + 8 + size]
        at += 12 + size


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _rows(raw: bytes, width: int, height: int, parts: int) -> list[list[Colour]]:
    """Undo the filters of PNG (ISO 15948, 9.2); transparency is dropped, pages have none."""
    size = width * parts
    before = bytearray(size)
    found = []
    for number in range(height):
        start = number * (size + 1)
        row = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + size]), before, parts)
        found.append([(row[at], row[at + 1], row[at + 2]) for at in range(0, size, parts)])
        before = row
    return found


def _unfiltered(kind: int, row: bytearray, above: bytearray, parts: int) -> bytearray:
    if kind == 0:
        return row
    if kind == _UP:
        return bytearray((it + up) & 255 for it, up in zip(row, above, strict=True))
    for at in range(len(row)):
        left = row[at - parts] if at >= parts else 0
        up = above[at]
        corner = above[at - parts] if at >= parts else 0
        row[at] = (row[at] + (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]) & 255
    return row


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda it: abs(guess - it))
