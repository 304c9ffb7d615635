"""Linux system calls that Python does not provide, through ctypes.

Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_RELATIME = 1 << 21
MNT_DETACH = 2
# 1024 and 2048 are noatime and nodiratime, which have the same numbers in mount and statvfs.
_FLAGS_SHARED_WITH_STATVFS = MS_NODEV | MS_NOEXEC | 1024 | 2048
_STATVFS_RELATIME = 4096

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
SECBIT_NO_SETUID_FIXUP = 4
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2

# Numbers of system calls; the first two differ between machines.
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_KEYCTL_JOIN_SESSION_KEYRING = 1
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, operation: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{operation}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """Make a system call by its number.

    Raises:
        OSError: The call failed.
    """
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _check(int(_libc.syscall(ctypes.c_long(number), *converted)), f"system call {number}")


def unshare(flags: int) -> None:
    """Move this process to new namespaces of these kinds (``CLONE_NEW…``)."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Join the namespace that a descriptor refers to."""
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount a file system, or change an existing mount."""
    result = _libc.mount(
        os.fsencode(source) if source else None,
        os.fsencode(target),
        os.fsencode(kind) if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    _check(result, f"mount {kind or source} on {target}")


def bind(source: str, target: str, *, readonly: bool) -> None:
    """Bind ``source`` to ``target``, optionally read-only.

    A bind mount becomes read-only by a remount only. Within a user namespace, the remount must keep the flags that
    the outer namespace locked, or it fails with ``EPERM`` (mount_namespaces(7)).
    """
    mount(source, target, None, MS_BIND | MS_REC)
    if readonly:
        make_readonly(target)


def make_readonly(target: str) -> None:
    """Make a mount read-only, with the other flags that it has."""
    present = os.statvfs(target).f_flag
    flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | (present & _FLAGS_SHARED_WITH_STATVFS)
    if present & _STATVFS_RELATIME:
        flags |= MS_RELATIME
    mount(None, target, None, flags)


def unmount(target: str) -> None:
    """Detach a mount."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount of {target}")


def change_root(new_root: str) -> None:
    """Make ``new_root``, which must be a mount point, the root and detach the old one."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root has no known number on {os.uname().machine}")
    os.chdir(new_root)
    # pivot_root(".", ".") stacks the old root on the new one, so no directory is needed to hold it
    # (pivot_root(2)).
    syscall(number, b".", b".")
    unmount(".")
    os.chdir("/")


def is_in_user_namespace() -> bool:
    """Return whether this process is in a user namespace other than the machine's."""
    with open("/proc/self/uid_map") as uid_map:
        return uid_map.read().split() != ["0", "0", "4294967295"]


def join_session_keyring() -> None:
    """Join a new, empty session keyring. The inherited one belongs to the user who started the platform.

    Does nothing if the kernel has no key store or refuses the call. If the user's quota of keyrings is used up, the
    keyring of the zygote stays, which is empty too.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, KeyError):
        syscall(_KEYCTL[os.uname().machine], _KEYCTL_JOIN_SESSION_KEYRING, None)


def sethostname(name: str) -> None:
    """Set the host name of this UTS namespace."""
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")


def prctl(option: int, *arguments: object) -> None:
    """Set an attribute of this process."""
    converted = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    # Some options fail with EINVAL unless unused arguments are 0.
    converted += [ctypes.c_ulong(0)] * (4 - len(converted))
    _check(_libc.prctl(option, *converted), f"prctl {option}")


def drop_capabilities() -> None:
    """Drop all capabilities of this process."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    _check(_libc.capset(header, data), "capset")


def keep_capability(number: int) -> None:
    """Drop all capabilities but one, which programs that this process executes get as well.

    A change from root to another user keeps it if ``SECBIT_NO_SETUID_FIXUP`` was set before.

    Raises:
        OSError: This process does not have the capability.
    """
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", *(1 << number,) * 3, 0, 0, 0))
    _check(_libc.capset(header, data), "capset")
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)
