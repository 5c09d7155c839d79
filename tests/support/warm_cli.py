"""`authz`, started once and forked for every command: a process of its own, without the second that imports take.

    python -m tests.support.warm_cli SOCKET

A command is what `SHIM` sends: arguments, folder, environment, and the three streams. It ends when the shim does.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

SHIM = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as warm:
    warm.connect(os.environ["AUTHZ_WARM"])
    call = dict(arguments=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
    socket.send_fds(warm, [json.dumps(call).encode() + b"\\n"], [0, 1, 2])
    sys.exit(int(warm.recv(16) or 1))
"""


def main() -> None:
    """Listen, and fork."""
    from authz.cli import COMMANDS

    for entry, _ in COMMANDS.values():
        importlib.import_module(entry.partition(":")[0])
    for name in ("authz.app", "authz.services", "uvicorn", "authz.web.connections"):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        print("ready", flush=True)
        while True:
            call, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _serve(call)
                os._exit(0)
            call.close()


def _serve(call: socket.socket) -> None:
    text, streams, _, _ = socket.recv_fds(call, 1 << 20, 3)
    while not text.endswith(b"\n"):
        text += call.recv(1 << 20)
    pid = os.fork()
    if pid == 0:
        call.close()
        os._exit(_run(json.loads(text), streams))
    for it in streams:
        os.close(it)
    ended = os.pidfd_open(pid)
    if call.fileno() in select.select([ended, call.fileno()], [], [])[0]:
        os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # the shim was ended
        call.sendall(str(os.waitstatus_to_exitcode(status) & 0xFF).encode())


def _run(call: dict[str, Any], streams: list[int]) -> int:
    from authz.cli import main as authz

    for number, it in enumerate(streams):
        os.dup2(it, number)
    os.chdir(Path(call["folder"]))
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = ["authz", *call["arguments"]]
    code: object = 0
    try:
        authz()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 0 if code is None else 1


if __name__ == "__main__":
    main()
