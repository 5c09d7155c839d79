"""Gather what the server needs to run, and nothing else, into a new root file system: `collect.py FOLDER`.

Run it with the interpreter that the image shall have, once everything is installed. Taken are the environment of that
interpreter, the interpreter with its standard library, every shared library that one of their files loads, and the
authorities that TLS is verified with: no shell, no package manager, no tool. Takes glibc, and Python alone.
"""

import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

USER = 10001
FILES = (
    "/etc/ld.so.cache",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/ssl/openssl.cnf",
)
# Loaded by name at run time: by the resolver, and by whatever ends a thread. No file names them.
BESIDE_LIBC = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")
# Of the environment's programs; the others are tools of libraries.
PROGRAMS = re.compile(r"authz|python[\d.]*")
# Of the standard library: what a server does without.
LEFT_OUT = re.compile(
    r"config-.+|ensurepip|idlelib|lib2to3|(site|dist)-packages|test|tkinter|turtledemo"
    r"|_tkinter\..+|_curses.*|_test.+\.so|_?x?xx.+\.so|readline\..+"
)
_NOTHING = re.compile(r"(?!)")
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def collect(root: Path) -> None:
    """All of it."""
    root.mkdir(parents=True)
    environment = Path(sys.prefix)
    _copy_tree(environment, root)
    for path in (root / environment.relative_to("/") / "bin").iterdir():
        if not PROGRAMS.fullmatch(path.name) and not path.is_dir():
            path.unlink()
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    for folder in standard - {environment}:
        # The parts of an environment's own are in it already.
        if not folder.is_relative_to(environment):
            _copy_tree(folder, root, leave_out=LEFT_OUT)
    _copy_links(environment / "bin" / "python", root)
    for name in FILES:
        if Path(name).exists():
            _copy(Path(name), root)
    for library in sorted(_libraries(root, environment)):
        _copy(Path(library), root)
    for folder in standard:
        # Nothing is written in the image, so what is not compiled here is compiled at every start.
        compileall.compile_dir(
            root / folder.relative_to("/"), stripdir=str(root), prependdir="/", quiet=2, workers=1
        )
    _name_users(root)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


def _copy_tree(source: Path, root: Path, *, leave_out: re.Pattern[str] = _NOTHING) -> None:
    def ignored(folder: str, names: list[str]) -> set[str]:
        ours = Path(folder) == source or Path(folder).name == "lib-dynload"
        return {it for it in names if ours and leave_out.fullmatch(it)}

    target = root / source.relative_to("/")
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=ignored)


def _copy(source: Path, root: Path) -> None:
    """What the name stands for, under the same name."""
    target = root / source.relative_to("/")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _copy_links(link: Path, root: Path) -> None:
    """Every link from this name to the file, and the file."""
    while link.is_symlink():
        target = root / link.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to(link.readlink())
        link = link.parent / link.readlink()
    _copy(link, root)


def _libraries(root: Path, environment: Path) -> Iterator[str]:
    """What the loader takes for each program and library that was taken, which is to be asked where it came from."""
    files = [Path("/") / it.relative_to(root) for it in root.rglob("*") if _is_loaded(it)]
    asked = ["/usr/bin/ldd", *map(str, files)]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603 - files of this image
    for about in re.split(r"\n(?=/.+:\n)", told):
        heading, _, lines = about.partition(":\n")
        if "not found" in lines:
            file = Path(heading)
            if file.is_relative_to(environment):
                raise SystemExit(f"{file} cannot be loaded:\n{lines}")
            # A module of the standard library that this machine has not the library for, such as _tkinter.
            (root / file.relative_to("/")).unlink()
            continue
        for library in _LIBRARY.findall(lines):
            yield library
            if Path(library).name == "libc.so.6":
                beside = (Path(library).parent / name for name in BESIDE_LIBC)
                yield from (str(it) for it in beside if it.exists())


def _is_loaded(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _name_users(root: Path) -> None:
    nobody = "/nonexistent"
    lines = {
        "passwd": [f"root:x:0:0::/:{nobody}", f"authz:x:{USER}:{USER}::/var/lib/authz:{nobody}"],
        "group": ["root:x:0:", f"authz:x:{USER}:"],
        "nsswitch.conf": ["hosts: files dns"],
    }
    for name, text in lines.items():
        (root / "etc" / name).write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
