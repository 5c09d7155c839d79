"""How a server's process is set up before it has threads."""

import os
import subprocess
import sys
from pathlib import Path

from authz.envelope import new_encoded_key

SCRIPT = """
import ctypes, sys, threading
from authz.app import create_app

create_app()
print(sys.getswitchinterval())
held, let_go = threading.Barrier(9), threading.Event()
def work():
    kept = [bytes(5_000) for _ in range(100)]
    held.wait()
    let_go.wait()
threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
held.wait()
library = ctypes.CDLL(None)
library.fdopen.restype = ctypes.c_void_p
sys.stdout.flush()
out = ctypes.c_void_p(library.fdopen(1, b"w"))
library.malloc_info(0, out)
library.fflush(out)
let_go.set()
"""


def test_threads_share_one_heap_and_give_way(tmp_path: Path) -> None:
    """A heap of a thread's own keeps what a job once took; a thread that computes would hold up the event loop."""
    (tmp_path / "key").write_bytes(new_encoded_key())
    environment = {
        "AUTHZ__SERVER__ISSUER": "http://127.0.0.1:1",
        "AUTHZ__SERVER__DEVELOPMENT": "true",
        "AUTHZ__DATABASE__URL": f"sqlite:///{tmp_path / 'authz.db'}",
        "AUTHZ__KEYS__ENCRYPTION_KEY": f"file:{tmp_path / 'key'}",
    }
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    interval, _, heaps = told.partition("\n")
    assert float(interval) < sys.getswitchinterval()
    assert heaps.count("<heap nr=") == 1
