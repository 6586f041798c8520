"""A program that a model wrote is run with its tests, with limits. This is a guard rail, and no prison.

What it does: another process of the same Python, isolated (`-I`, no environment, an empty working folder that is thrown
away); limits on processor seconds, wall time, memory and open files; no byte can be written to any file (size limit
0); Python's audit hook refuses to open files for writing, to remove, rename or make them, to start programs, to open
sockets and to load C libraries; where the system allows `unshare`, the process has a network of its own without any
interface, and its own process numbers, so that all that it started ends with it.

What it does NOT do:

    - It does not hide files: what this user can read, the program can read, secrets included.
    - The hook is Python's and lives in the same process: a program made to break out (by a bug of the interpreter, or
      C code that is loaded already) can. Root is hardly held by limits at all: do not run it as root.
    - It does not prove that tests were run honestly: tests share a process with the program, which may change what `==`
      means, or read the tests from memory. A model that is rewarded for that will learn it: look at samples.
    - Without `unshare` (macOS, many containers) the network is closed by the hook alone; `isolation()` says which.

For programs of people or models that you do not trust, run everything in a virtual machine or a container without
secrets and without a network.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache

from palaestra.errors import InputError

_NAMESPACES = ("--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
_MOST_TEXT = 200_000
"""Letters of a program and of its tests."""
_CHILD = r"""
import sys, io, os, resource
cpu, memory = int(sys.argv[1]), int(sys.argv[2])
for kind, most in (
    (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_NOFILE, 32), (resource.RLIMIT_CORE, 0),
):
    resource.setrlimit(kind, (most, most))
source = sys.stdin.buffer
sizes = [int(source.readline()) for _ in range(2)]
program = source.read(sizes[0]).decode()
refused = (
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.utime", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "os.killpg",
    "subprocess.", "socket.", "ctypes.", "resource.setrlimit", "shutil.", "pty.", "mmap.", "sqlite3.", "ftplib.",
    "urllib.", "http.", "tempfile.", "signal.", "_posixsubprocess", "sys.setprofile", "sys.settrace", "gc.get",
)
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
def hook(event, given):
    if event == "open" and (set(str(given[1] or "")) & set("wax+") or (given[2] or 0) & writing):
        raise PermissionError("no file may be written here")
    if event.startswith(refused):
        raise PermissionError(event + " is refused here")
sys.addaudithook(hook)
report = os.dup(1)
sys.stdin, sys.stdout = io.StringIO(), io.StringIO()
names = {"__name__": "__main__"}
exec(compile(program, "<program>", "exec"), names)
tests, word = source.read(sizes[1]).decode(), source.read()
exec(compile(tests, "<tests>", "exec"), names)
os.write(report, word)
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use."""

    cpu_seconds: int = 4
    wall_seconds: float = 10.0
    memory_mb: int = 512


def passes_tests(program: str, tests: str, limits: Limits | None = None) -> bool:
    """Whether the tests ran to their end after the program: an exception, an exit, or a limit is a no.

    Args:
        program: Python.
        tests: Python too, in the same names: `assert double(2) == 4`.
        limits: of time and memory.

    Raises:
        InputError: there are no tests.
    """
    if not tests.strip():
        raise InputError("rule:code: found no tests in the reference, expected Python with `assert`")
    if len(program) + len(tests) > _MOST_TEXT or "\x00" in program:
        return False
    return _ran(program, tests, limits or Limits())


@cache
def isolation() -> str:
    """What keeps programs off the network here: `namespaces`, or `hook` where the system has none for us."""
    if shutil.which("unshare") is None:
        return "hook"
    tried = subprocess.run(["unshare", *_NAMESPACES, "true"], capture_output=True, check=False, timeout=10)  # noqa: S603, S607 - fixed words
    return "hook" if tried.returncode else "namespaces"


def _ran(program: str, tests: str, limits: Limits) -> bool:
    word = secrets.token_hex(16)
    texts = [text.encode("utf-8", "replace") for text in (program, tests)]
    given = b"".join(b"%d\n" % len(text) for text in texts) + b"".join(texts) + word.encode()
    before = ["unshare", *_NAMESPACES] if isolation() == "namespaces" else []
    command = [
        *before, sys.executable, "-I", "-B", "-c", _CHILD, str(limits.cpu_seconds), str(limits.memory_mb << 20),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="palaestra-code-") as empty:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=empty, env={},
            start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = child.communicate(given, timeout=limits.wall_seconds)
        except subprocess.TimeoutExpired:
            return False
        except BrokenPipeError:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return child.returncode == 0 and said == word.encode()
