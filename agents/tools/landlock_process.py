"""Enters a Landlock domain and becomes the program that its arguments name. Run as a file (Linux).

    landlock_process.py enclose -- COMMAND...
    landlock_process.py confine WORKSPACE NETWORK PATH... -- COMMAND...

From a domain no process outside of it can be read or debugged, or signalled since Linux 6.12, whatever user runs it.
`enclose` does no more, and nothing where the kernel has no Landlock. `confine` is a sandbox: the command writes to the
workspace alone, reads the paths alone, and has a network if NETWORK is `network`; it fails where the kernel cannot keep
all of this. Landlock needs no privilege and no namespace, so it works in containers. This file uses the standard
library alone.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence

SCOPED_ABI = 6  # of Linux 6.12, which keeps signals in
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # on every architecture
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
EVERYTHING = (1 << 16) - 1
READ = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
TCP = 0b11
ABSTRACT_SOCKETS, SIGNALS = 1, 2
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version")
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP, SECCOMP_MODE_FILTER = 38, 22, 24, 2
AF_UNIX = 1
NAMESPACES = 0x7E020000  # the flags of clone that make new ones
ALLOW, REFUSE, ABSENT = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS
# Calls that Landlock says nothing about: namespaces, keyrings, what looks into the kernel, and io_uring, which does
# without calls. By architecture: its number, `socket`, `clone`, `clone3`, the others.
CALLS = {
    "x86_64": (0xC000003E, 41, 56, 435, (272, 308, 165, 166, 155, 425, 248, 249, 250, 298, 321, 323)),
    "aarch64": (0xC00000B7, 198, 220, 435, (97, 268, 40, 39, 41, 425, 217, 218, 219, 241, 280, 282)),
}
X32 = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    command = arguments[split + 1 :]
    match arguments[:split]:
        case ["enclose"]:
            enclose()
        case ["confine", workspace, network, *paths]:
            confine(workspace, paths, network=network == "network")
        case _:
            sys.exit("enclose or confine")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


def enclose() -> None:
    """Close other processes to this one, if the kernel can."""
    abi = _abi()
    if abi > 0:  # making devices needs root anyway; some right must be handled
        _restrict(_ruleset(MAKE_CHAR | MAKE_BLOCK, scoped=SIGNALS if abi >= SCOPED_ABI else 0))


def confine(workspace: str, readable: Sequence[str], *, network: bool) -> None:
    """Enter the sandbox, or exit with what keeps it from being one."""
    if sys.platform != "linux" or _abi() < SCOPED_ABI or platform.machine() not in CALLS:
        sys.exit("Landlock needs Linux 6.12 or later, on x86-64 or arm64")
    ruleset = _ruleset(EVERYTHING, 0 if network else TCP, ABSTRACT_SOCKETS | SIGNALS)
    for path in (*readable, *FACTS):
        _allow(ruleset, path, READ)
    for path in DEVICES:
        _allow(ruleset, path, READ_FILE | WRITE_FILE)
    _allow(ruleset, workspace, EVERYTHING & ~(MAKE_CHAR | MAKE_BLOCK))
    for capability in range(64):  # a command of root's gets none back
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    _restrict(ruleset)
    _filter_calls(network)


def _abi() -> int:
    return int(_libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def _ruleset(files: int, network: int = 0, scoped: int = 0) -> int:
    """Return a ruleset that refuses these rights; a kernel that does not know the later ones takes the first."""
    attributes = struct.pack("QQQ", files, network, scoped)
    size = 24 if scoped else 8
    return _checked(_libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "landlock_create_ruleset")


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    rule = struct.pack("=Qi", rights if os.path.isdir(path) else rights & OF_FILES, place)
    _checked(_libc.syscall(ADD_RULE, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
    os.close(place)


def _restrict(ruleset: int) -> None:
    _checked(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _checked(_libc.syscall(RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _filter_calls(network: bool) -> None:
    architecture, socket, clone, clone3, others = CALLS[platform.machine()]
    load, equal, at_least, any_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06
    refuse, allow = (end, 0, 0, REFUSE), (end, 0, 0, ALLOW)
    first_argument = (load, 0, 0, 16)
    # Each part: its code, how many parts to skip if it holds and if not, its operand.
    program = [
        *((load, 0, 0, 4), (equal, 1, 0, architecture), refuse),
        *((load, 0, 0, 0), (at_least, 0, 1, X32), refuse),
        *(part for call in others for part in ((equal, 0, 1, call), refuse)),
        *((equal, 0, 1, clone3), (end, 0, 0, ABSENT)),  # its flags cannot be looked at; libraries then use clone
        *((equal, 0, 4, clone), first_argument, (any_bit, 0, 1, NAMESPACES), refuse, allow),
    ]
    if network:  # but no sockets of this machine's services
        program += [(equal, 0, 3, socket), first_argument, (equal, 0, 1, AF_UNIX), refuse]
    else:
        program += [(equal, 0, 1, socket), refuse]
    _install([*program, allow])


def _install(program: Sequence[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *part) for part in program))
    attributes = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    _checked(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, attributes, 0, 0), "seccomp")


def _checked(result: int, call: str) -> int:
    if result < 0:
        sys.exit(f"{call}: {os.strerror(ctypes.get_errno())}")
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
