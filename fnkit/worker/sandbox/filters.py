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
_BPF_AND = 0x54
_SECCOMP_ALLOW, _SECCOMP_ERRNO, _SECCOMP_KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32_BIT = 0x40000000

# System calls that reach other processes of the same user if an instance has no namespaces, by machine.
# Always refused: System V shared memory, semaphores and queues and POSIX message queues, whose objects outlive the
# instance (shmget, shmat, …, mq_open, mq_unlink), the user's keys (add_key, request_key, keyctl), I/O priorities
# (ioprio_set), and io_uring_setup: io_uring opens sockets that this filter does not see.
_SHARED_OBJECT_CALLS = {
    "x86_64": (29, 30, 31, 64, 65, 66, 67, 68, 69, 70, 71, 220, 240, 241, 248, 249, 250, 251, 425),
    "aarch64": (194, 195, 196, 197, 190, 191, 192, 193, 186, 187, 188, 189, 180, 181, 217, 218, 219, 30, 425),
}
# Refused unless these arguments are zero, which means the calling process: prlimit64, setpriority,
# sched_setparam, sched_setscheduler, sched_setaffinity, sched_setattr, migrate_pages, move_pages.
_OWN_PROCESS_CALLS = {
    "x86_64": {302: (0,), 141: (0, 1), 142: (0,), 144: (0,), 203: (0,), 314: (0,), 256: (0,), 279: (0,)},
    "aarch64": {261: (0,), 140: (0, 1), 118: (0,), 119: (0,), 122: (0,), 274: (0,), 238: (0,), 239: (0,)},
}
# Unix sockets could connect to any other process, so socket refuses them. socketpair works, except for datagrams: a
# datagram socket of a pair can be connected to another address.
_SOCKET_CALL = {"x86_64": 41, "aarch64": 198}
_SOCKETPAIR_CALL = {"x86_64": 53, "aarch64": 199}
_AF_UNIX, _SOCK_DGRAM, _SOCK_TYPE_MASK = 1, 2, 0xF

# socket, clone, fork, vfork, execve, execveat. A builder is one process with one thread.
_BUILD_CALLS = {"x86_64": (41, 56, 57, 58, 59, 322), "aarch64": (198, 220, 221, 281)}

# memfd_create: its memory is in no mapping that could be measured. Programs fall back to files.
_UNMAPPED_MEMORY_CALL = {"x86_64": 319, "aarch64": 279}

_SANDBOX_CALLS = {"x86_64": (165, 166, 155, 308, 272), "aarch64": (40, 39, 41, 268, 97)}
"""mount, umount2, pivot_root, setns, unshare: a deployment zygote needs them to confine its forks."""


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


_REFUSE = (_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.EPERM)
_ALLOW = (_BPF_RETURN, 0, 0, _SECCOMP_ALLOW)


def _build_program(
    *,
    refuses: bool = True,
    allowed: tuple[int, ...] = (),
    shares_processes: bool = False,
    is_build: bool = False,
    is_build_tool: bool = False,
) -> bytes:
    """Return a filter.

    Args:
        refuses: Refuse the calls that no instance needs.
        allowed: Exceptions.
        shares_processes: Also refuse what reaches other processes where there are no namespaces.
        is_build: Also refuse sockets, threads, child processes and other programs.
        is_build_tool: Also refuse memory that is in no mapping.
    """
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
    ]  # fmt: skip
    if is_build:
        for number in _BUILD_CALLS[os.uname().machine]:
            code += [(_BPF_JUMP_EQUAL, 0, 1, number), _REFUSE]
    if is_build_tool:
        code += [(_BPF_JUMP_EQUAL, 0, 1, _UNMAPPED_MEMORY_CALL[os.uname().machine])]
        code += [(_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.ENOSYS)]
    if shares_processes:
        code += _shared_process_code(os.uname().machine)
    if refuses:
        code += [(_BPF_JUMP_EQUAL, 0, 1, clone3), (_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.ENOSYS)]
        for number in refused:
            if number not in allowed:
                code += [(_BPF_JUMP_EQUAL, 0, 1, number), _REFUSE]
        code += [(_BPF_JUMP_EQUAL, 0, 3, clone), (_BPF_LOAD, 0, 0, _argument(0))]
        code += [(_BPF_JUMP_ANY_BIT, 0, 1, syscalls.CLONE_NEWUSER), _REFUSE]
    code.append(_ALLOW)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _shared_process_code(machine: str) -> list[tuple[int, int, int, int]]:
    # Programs fall back to something else where a kernel was built without System V objects (ENOSYS).
    code = []  # type: list[tuple[int, int, int, int]]
    for number in _SHARED_OBJECT_CALLS[machine]:
        code += [(_BPF_JUMP_EQUAL, 0, 1, number), (_BPF_RETURN, 0, 0, _SECCOMP_ERRNO | errno.ENOSYS)]
    code += [(_BPF_JUMP_EQUAL, 0, 4, _SOCKET_CALL[machine]), (_BPF_LOAD, 0, 0, _argument(0))]
    code += [(_BPF_JUMP_EQUAL, 0, 1, _AF_UNIX), _REFUSE, _ALLOW]
    code += [(_BPF_JUMP_EQUAL, 0, 5, _SOCKETPAIR_CALL[machine]), (_BPF_LOAD, 0, 0, _argument(1))]
    code += [(_BPF_AND, 0, 0, _SOCK_TYPE_MASK), (_BPF_JUMP_EQUAL, 0, 1, _SOCK_DGRAM), _REFUSE, _ALLOW]
    for number, arguments in _OWN_PROCESS_CALLS[machine].items():
        code.append((_BPF_JUMP_EQUAL, 0, 3 * len(arguments) + 1, number))
        for index in arguments:
            code += [(_BPF_LOAD, 0, 0, _argument(index)), (_BPF_JUMP_EQUAL, 1, 0, 0), _REFUSE]
        code.append(_ALLOW)
    return code


def _argument(index: int) -> int:
    """Return the offset of the low half of an argument in struct seccomp_data."""
    return 16 + 8 * index


_IS_KNOWN_MACHINE = os.uname().machine in _CALL_NUMBERS
_PROGRAMS = {}  # type: dict[str, bytes]
if _IS_KNOWN_MACHINE:  # built once per zygote, not per instance
    _PROGRAMS = {
        "instance": _build_program(),
        "zygote": _build_program(allowed=_SANDBOX_CALLS[os.uname().machine]),
        "shared-processes": _build_program(refuses=False, shares_processes=True),
        "build": _build_program(shares_processes=True, is_build=True),
        "build-tool": _build_program(shares_processes=True, is_build_tool=True),
    }


def restrict_system_calls(*, allow_sandbox_calls: bool = False) -> None:
    """Refuse the calls that no instance needs with ``EPERM``.

    Args:
        allow_sandbox_calls: Allow the calls that a deployment zygote needs to confine its forks.

    Raises:
        OSError: There is no filter for this machine's architecture.
    """
    _install("zygote" if allow_sandbox_calls else "instance")


def restrict_shared_processes() -> None:
    """Refuse calls that reach other processes of the user, for an instance without namespaces of its own.

    Raises:
        OSError: There is no filter for this machine's architecture.
    """
    _install("shared-processes")


def restrict_build() -> None:
    """Refuse sockets, threads, child processes, other programs, and what is refused to instances at ``landlock``.

    Raises:
        OSError: There is no filter for this machine's architecture.
    """
    _install("build")


def restrict_build_tool() -> None:
    """Refuse what is refused to instances at any level, and memory that cannot be measured.

    Raises:
        OSError: There is no filter for this machine's architecture.
    """
    _install("build-tool")


def _install(name: str) -> None:
    program = _PROGRAMS.get(name)
    if not program:
        raise OSError(errno.ENOSYS, "no system-call filter for this machine")
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    syscalls.prctl(syscalls.PR_SET_SECCOMP, syscalls.SECCOMP_MODE_FILTER, header)
