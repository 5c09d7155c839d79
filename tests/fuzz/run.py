"""One target under atheris, which looks for new paths through the code; started by `scripts/fuzz`.

    python -m tests.fuzz.run TARGET FOLDER [options of libFuzzer]

Seeds are written to a folder of their own first. What raises leaves its input in FOLDER and its traceback on the
terminal.
"""

import os
import sys
import tempfile
import traceback
from hashlib import sha256
from pathlib import Path

import atheris

# Everything of ours that is imported from here on counts coverage; libraries do not.
with atheris.instrument_imports(include=["authz"]):
    from tests.fuzz.shapes import PIECES
    from tests.fuzz.targets import TARGETS

MAX_BYTES = 4096


def main(name: str, finds: Path, options: list[str]) -> None:
    """Does not return: libFuzzer ends the process."""
    target = TARGETS[name]

    def tried(data: bytes) -> None:
        try:
            target(data)
        except Exception:
            # Not left to libFuzzer: its alarm clock may end the process before it has written anything.
            traceback.print_exc()
            found = finds / f"{name}-{sha256(data).hexdigest()[:12]}"
            found.write_bytes(data)
            print(f"\n{data!r}\nis in {found}", file=sys.stderr, flush=True)
            os._exit(77)

    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as made:
        corpus, words = Path(made) / "corpus", Path(made) / "words"
        corpus.mkdir()
        for number, seed in enumerate(target.seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        pieces = (piece for piece in PIECES if len(piece) <= 64)
        words.write_text("".join(f'"{_escaped(piece)}"\n' for piece in pieces))
        bounds = [f"-max_len={MAX_BYTES}", "-timeout=5", "-rss_limit_mb=1024", f"-dict={words}"]
        bounds.append(f"-artifact_prefix={finds / name}-")
        atheris.Setup([sys.argv[0], *bounds, *options, str(corpus)], tried)
        atheris.Fuzz()


def _escaped(piece: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in piece)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
