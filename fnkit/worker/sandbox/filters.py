"""Filters that a process can apply to itself without privileges: landlock (files) and seccomp (system calls).

Standard library only, Python 3.8 and later, Linux only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from . import syscalls

_RIGHT_EXECUTE, _RIGHT_WRITE, _RIGHT_READ, _RIGHT_READ_DIRECTORY = 1, 2, 4, 8
_READ_RIGHTS = _RIGHT_EXECUTE | _RIGHT_READ | _RIGHT_READ_DIRECTORY
_ALL_RIGHTS_V1 = (1 << 13) - 1
_RIGHT_REFER, _RIGHT_TRUNCATE, _RIGHT_IOCTL = 1 << 13, 1 << 14, 1 << 15
_FILE_RIGHTS = _RIGHT_EXECUTE | _RIGHT_WRITE | _RIGHT_READ | _RIGHT_TRUNCATE | _RIGHT_IOCTL
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_ATTRIBUTE_SIZES = ((6, 24), (4, 16), (1, 8))  # by ABI version: ports were added in 4, scopes in 6
_PATH_BENEATH = 1
_VERSION_FLAG = 1

# System-call numbers by machine: (AUDIT_ARCH, clone, clone3, refused calls). The refused calls create namespaces
# and mounts, load keys, modules and BPF programs, inspect other processes, or set the machine's clock and name.
_CALL_NUMBERS = {
    "x86_64": (
        0xC000003E, 56, 435,
        (101, 103, 155, 161, 163, 164, 165, 166, 167, 168, 169, 170, 171, 175, 176, 179, 227, 246, 248, 249, 250,
         272, 298, 304, 308, 310, 311, 313, 320, 321, 323, 425, 428, 429, 430, 432, 442),
    ),
    "aarch64": (
        0xC00000B7, 220, 435,
        (117, 116, 41, 51, 89, 170, 40, 39, 224, 225, 142, 161, 162, 105, 106, 60, 112, 104, 217, 218, 219,
         97, 241, 265, 268, 270, 271, 273, 294, 280, 282, 425, 428, 429, 430, 432, 442),
    ),
}  # fmt: skip
_BPF_LOAD, _BPF_JUMP_EQUAL, _BPF_JUMP_AT_LEAST, _BPF_JUMP_ANY_BIT, _BPF_RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_SECCOMP_ALLOW, _SECCOMP_ERRNO, _SECCOMP_KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32_BIT = 0x40000000

_SANDBOX_CALLS = {"x86_64": (165, 308, 272), "aarch64": (40, 268, 97)}
"""mount, setns, unshare: a deployment zygote needs them to confine its forks."""


def landlock_version() -> int:
    """Return the landlock ABI version of the kernel, 0 without landlock."""
    try:
        return syscalls.syscall(syscalls.LANDLOCK_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict_files(readable: list[str], writable: list[str], devices: tuple[str, ...]) -> None:
    """Restrict this process to these paths. From ABI 6 on, it cannot signal processes outside either.

    Rights, and fields of the attributes, that an older kernel does not know make the call fail, so only those of
    its ABI version are passed (landlock(7)).

    Args:
        readable: Files and directories that can be read and executed.
        writable: Files and directories that can also be written.
        devices: Device files that can be read.

    Raises:
        OSError: The kernel has no landlock.
    """
    version = landlock_version()
    if version < 1:
        raise OSError(errno.ENOSYS, "landlock is not available")
    handled = _ALL_RIGHTS_V1
    for since, right in ((2, _RIGHT_REFER), (3, _RIGHT_TRUNCATE), (5, _RIGHT_IOCTL)):
        if version >= since:
            handled |= right
    attributes = struct.pack("=QQQ", handled, 0, _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
    size = next(size for since, size in _ATTRIBUTE_SIZES if version >= since)
    ruleset = syscalls.syscall(syscalls.LANDLOCK_CREATE_RULESET, ctypes.c_char_p(attributes), size, 0)
    try:
        for path in (*readable, *devices):
            _allow_path(ruleset, path, _READ_RIGHTS & handled)
        for path in writable:
            _allow_path(ruleset, path, handled)
        syscalls.syscall(syscalls.LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        # Rights of directories are refused for files (EINVAL).
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, descriptor)
        syscalls.syscall(syscalls.LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(descriptor)


def _build_program(allowed: tuple[int, ...] = ()) -> bytes:
    # Classic BPF over struct seccomp_data (seccomp(2)): each instruction is (code, jump if true, jump if false,
    # operand). The architecture is checked first because call numbers differ between architectures, then the x32
    # ABI, whose numbers alias those of x86-64.
    # clone3 takes its flags by pointer, which a filter cannot read: it fails with ENOSYS, and the C library falls
    # back to clone, whose flags are checked for CLONE_NEWUSER at the end.
    architecture, clone, clone3, refused = _CALL_NUMBERS[os.uname().machine]
    code = [
        (_BPF_LOAD, 0, 0, 4), (_BPF_JUMP_EQUAL, 1, 0, architecture), (_BPF_RETURN, 0, 0, _SECCOMP_KILL),
        (_BPF_LOAD, 0, 0, 0), (_BPF_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        (_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.ENOSYS),
        (_BPF_JUMP_EQUAL, 0, 1, clone3), (_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.ENOSYS),
    ]  # fmt: skip
    for number in refused:
        if number in allowed:
            continue
        code += [(_BPF_JUMP_EQUAL, 0, 1, number), (_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.EPERM)]
    code += [
        (_BPF_JUMP_EQUAL, 0, 3, clone), (_BPF_LOAD, 0, 0, 16), (_BPF_JUMP_ANY_BIT, 0, 1, syscalls.CLONE_NEWUSER),
        (_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.EPERM), (_BPF_RETURN, 0, 0, _SECCOMP_ALLOW),
    ]  # fmt: skip
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


_IS_KNOWN_MACHINE = os.uname().machine in _CALL_NUMBERS
_PROGRAM = _build_program() if _IS_KNOWN_MACHINE else b""  # built once per zygote, not per instance
_ZYGOTE_PROGRAM = _build_program(_SANDBOX_CALLS[os.uname().machine]) if _IS_KNOWN_MACHINE else b""


def restrict_system_calls(*, allow_sandbox_calls: bool = False) -> None:
    """Install the system-call filter: refused calls fail with ``EPERM``.

    Args:
        allow_sandbox_calls: Allow the calls that a deployment zygote needs to confine its forks.

    Raises:
        OSError: There is no filter for this machine's architecture.
    """
    program = _ZYGOTE_PROGRAM if allow_sandbox_calls else _PROGRAM
    if not program:
        raise OSError(errno.ENOSYS, "no system-call filter for this machine")
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    syscalls.prctl(syscalls.PR_SET_SECCOMP, syscalls.SECCOMP_MODE_FILTER, header)
