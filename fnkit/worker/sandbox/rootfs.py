"""The root directory of an instance: a writable view of what all forks of a zygote share.

It is an overlay. Its lower layer is the skeleton (``skeleton``), which the zygote builds once; its upper layer
receives what the instance writes and belongs to it alone. ``/usr/local`` and the code of the function are overlays
of their own, over directories of the machine. ``/usr`` and the like are bound on top, read-only. Standard library
only, Python 3.8 and later, Linux only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import typing

from . import skeleton, syscalls

READ_ONLY, MEMORY, DISK = 0, 1, 2
"""Where the upper layers are; there are none if the kernel refuses overlays."""
_MEMORY_SIZE = "size=1024m,mode=0755"
_BASE_SIZE = "size=64m,mode=0755"
_OUTSIDE_SIZE = "size=1m,mode=0755"
_ACCOUNTS_SPACE = b"\n" * 256
"""Taken when a root is mounted: the disk may be full by the time its user is known, and the start must not fail."""


class RootFilesystem:
    """The root directory that a zygote prepares for its forks; each fork mounts its own.

    Args:
        base: A directory, on which ``build`` mounts a tmpfs.
        codes: The directory that contains the code of all functions.
        usr_local: The machine's ``/usr/local``.
        interpreter: The directories of the interpreter; ``None`` to find them.
        toolchain: Further directories, those of a toolchain.

    Attributes:
        path: Where a fork mounts its root.
        storage: ``READ_ONLY``, ``MEMORY`` or ``DISK``.
    """

    def __init__(
        self,
        base: str,
        codes: str,
        usr_local: str = skeleton.USR_LOCAL_PATH,
        interpreter: list[str] | None = None,
        toolchain: typing.Sequence[str] = (),
    ) -> None:
        self.base = base
        self.path = base + "/root"
        self.storage = READ_ONLY
        self._codes = codes
        self._interpreter = interpreter
        self._toolchain = toolchain
        self._usr_local = usr_local
        self._mounts = []  # type: list[str]
        self._account_files = []  # type: list[int]

    def build(self) -> None:
        """Build what all forks share."""
        syscalls.mount("tmpfs", self.base, "tmpfs", syscalls.MS_NOSUID, _BASE_SIZE)
        if self._interpreter is None:
            self._interpreter = skeleton.outermost([*skeleton.interpreter_directories(), *self._toolchain])
        umask = os.umask(0)
        for name in ("skeleton", "root", "memory", "usr-local"):
            os.mkdir(f"{self.base}/{name}")
        self._mounts = skeleton.build_skeleton(self.base + "/skeleton", self._interpreter)
        if os.path.isdir(self._usr_local):
            skeleton.mirror_directory(self._usr_local, self.base + "/usr-local")
        os.umask(umask)

    def detect_storage(self, disk: str) -> None:
        """Find out where upper layers can be.

        Args:
            disk: A directory to try it in, which is created and removed.
        """
        memory = self.base + "/memory"
        syscalls.mount("tmpfs", memory, "tmpfs", syscalls.MS_NOSUID, _BASE_SIZE)
        for storage, layers in ((DISK, disk), (MEMORY, memory + "/layers")):
            with contextlib.suppress(OSError):
                _mount_overlay(self.path, [self.base + "/skeleton"], layers)
                syscalls.unmount(self.path)
                # Without attributes, an overlay can be mounted, but a directory that replaces a deleted one would
                # show the content of that one.
                os.setxattr(layers + "/upper", _attribute_name(), b"")
                self.storage = storage
                break
        shutil.rmtree(disk, ignore_errors=True)
        syscalls.unmount(memory)

    def mount(self, disk: str, *, is_zygote: bool = False) -> None:
        """Mount a root for this process at ``path``, in its own mount namespace.

        Args:
            disk: A directory for what is written; empty if it is kept in memory.
            is_zygote: The process becomes a deployment zygote: it keeps its own files in memory, and its forks
                theirs in directories of ``disk``.
        """
        memory = self.base + "/memory"
        syscalls.mount("tmpfs", memory, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, _MEMORY_SIZE)
        for name, mode in (("tmp", 0o1777), ("shm", 0o1777), ("app", 0o755), ("layers", 0o755)):
            os.mkdir(f"{memory}/{name}")
            os.chmod(f"{memory}/{name}", mode)
        layers = disk if self.storage == DISK and disk and not is_zygote else memory + "/layers"
        if self.storage == READ_ONLY:
            syscalls.mount(self.base + "/skeleton", self.path, None, syscalls.MS_BIND)
            syscalls.make_readonly(self.path)
            syscalls.bind(memory + "/app", self.path + skeleton.HOME_PATH, readonly=False)
            os.mkdir(self.path + skeleton.CODE_PATH)
            for name, path in (("passwd", skeleton.PASSWD_PATH), ("group", skeleton.GROUP_PATH)):
                os.close(os.open(f"{memory}/{name}", os.O_CREAT | os.O_WRONLY, 0o644))
                syscalls.bind(f"{memory}/{name}", self.path + path, readonly=False)
        else:
            _fill_upper_layer(layers + "/root/upper")
            _mount_overlay(self.path, [self.base + "/skeleton"], layers + "/root")
        for path in (skeleton.PASSWD_PATH, skeleton.GROUP_PATH):
            self._account_files.append(os.open(self.path + path, os.O_WRONLY | os.O_CLOEXEC))
        for name, path in (("tmp", "/tmp"), ("shm", "/dev/shm")):
            syscalls.bind(f"{memory}/{name}", self.path + path, readonly=False)
        for path in self._mounts:
            if not os.path.lexists(self.path + path):  # hidden by the mount of /tmp or of the home directory
                os.makedirs(self.path + path)
            syscalls.bind(self.base + "/skeleton" + path, self.path + path, readonly=False)  # read-only already
        if self.storage != READ_ONLY and os.path.isdir(self.path + skeleton.USR_LOCAL_PATH):
            with contextlib.suppress(OSError):  # something is mounted below it: it stays read-only
                lower = [self.base + "/usr-local", self._usr_local]
                _mount_overlay(self.path + skeleton.USR_LOCAL_PATH, lower, layers + "/usr-local")
        self._bring_along(disk, layers, is_zygote=is_zygote)

    def _bring_along(self, disk: str, layers: str, *, is_zygote: bool) -> None:
        """Mount what is needed later from outside: once the root has changed, no path leads there."""
        inside = self.path + skeleton.OUTSIDE_PATH
        syscalls.mount("tmpfs", inside, "tmpfs", syscalls.MS_NOSUID, _OUTSIDE_SIZE)
        for name in ("base", "code", "codes", "disk", "layers", "original-codes", "usr-local"):
            os.mkdir(f"{inside}/{name}")
        # An overlay over the codes of all functions, of which the instance will see one directory: it takes far
        # longer to mount an overlay than to bind a directory.
        if self.storage == READ_ONLY:
            syscalls.bind(self._codes, inside + "/codes", readonly=True)
        else:
            _mount_overlay(inside + "/codes", [self._codes], layers + "/code")
        if disk:
            syscalls.bind(disk, inside + "/disk", readonly=False)
        if is_zygote:
            syscalls.bind(layers, inside + "/layers", readonly=False)
            syscalls.bind(self._codes, inside + "/original-codes", readonly=True)
            if os.path.isdir(self._usr_local):
                syscalls.bind(self._usr_local, inside + "/usr-local", readonly=True)

    def enter(self) -> None:
        """Make it the root of this process, which is slow: it takes the kernel up to a millisecond."""
        syscalls.change_root(self.path)

    def mount_code(self, code: str, uid: int) -> None:
        """Mount the code of the function in the root of this process, and write the accounts of its user.

        Args:
            code: The path of its directory below that of all codes.
            uid: The user that gets the home directory, and its group; 0 for the current one.
        """
        if uid:
            os.chown(skeleton.HOME_PATH, uid, uid)
        self._write_accounts(uid or os.geteuid(), uid or os.getegid())
        source = f"{skeleton.OUTSIDE_PATH}/codes/{code}"
        syscalls.bind(source, skeleton.CODE_PATH, readonly=self.storage == READ_ONLY)

    def _write_accounts(self, uid: int, gid: int) -> None:
        """Write ``/etc/passwd`` and ``/etc/group``: the instance's user, ``root`` and ``nobody``.

        Args:
            uid: The instance's user. It comes first, and so is found by its id even if that is one of the others'.
            gid: Its group.
        """
        name, home = skeleton.USER_NAME, skeleton.HOME_PATH
        users = f"{name}:x:{uid}:{gid}:{name}:{home}:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\n"
        nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        groups = f"{name}:x:{gid}:\nroot:x:0:\nnogroup:x:65534:\n"
        passwd, group = self._account_files
        for file, text in ((passwd, users + nobody), (group, groups)):
            os.ftruncate(file, os.pwrite(file, text.encode(), 0))
            os.close(file)

    def move_tmp_to_disk(self) -> None:
        """Replace ``/tmp``, and a home directory that is in memory, by directories on the disk, if there is one."""
        if not os.path.ismount(skeleton.OUTSIDE_PATH + "/disk"):
            return
        moved = [("tmp", "/tmp", 0o1777)]
        if self.storage == READ_ONLY:
            moved.append(("app", skeleton.HOME_PATH, 0o755))
        for name, path, mode in moved:
            directory = f"{skeleton.OUTSIDE_PATH}/disk/{name}"
            os.mkdir(directory)
            os.chmod(directory, mode)
            hidden = [(one, os.open(one, os.O_PATH)) for one in self._mounts if one.startswith(path + "/")]
            syscalls.bind(directory, path, readonly=False)
            for one, descriptor in hidden:
                os.makedirs(one)
                syscalls.bind(f"/proc/self/fd/{descriptor}", one, readonly=False)
                os.close(descriptor)
        if self.storage == READ_ONLY:
            os.mkdir(skeleton.CODE_PATH)

    def leave_outside(self) -> None:
        """Detach the directories of the outside. Before any user code runs."""
        syscalls.unmount(skeleton.OUTSIDE_PATH)

    def leave_other_codes(self, code: str) -> None:
        """Detach, in a deployment zygote, the codes of other functions. Before any user code runs."""
        originals = skeleton.OUTSIDE_PATH + "/original-codes"
        syscalls.bind(f"{originals}/{code}", skeleton.OUTSIDE_PATH + "/code", readonly=True)
        syscalls.unmount(originals)
        syscalls.unmount(skeleton.OUTSIDE_PATH + "/codes")

    def for_forks(self) -> RootFilesystem:
        """Build the root of the forks of a deployment zygote, which has entered its own. It belongs to its user."""
        inside = skeleton.OUTSIDE_PATH
        root = RootFilesystem(inside + "/base", inside + "/code", inside + "/usr-local", self._interpreter)
        root.build()
        root.storage = self.storage
        return root

    def written_directories(self, code: str) -> list[tuple[str, str]]:
        """Return the directories that show what a deployment zygote has written, each with the path that it has.

        Args:
            code: The path of the function's code below that of all codes.
        """
        found = [("/tmp", "/tmp"), ("/dev/shm", "/dev/shm")]
        if self.storage == READ_ONLY:
            return [*found, (skeleton.HOME_PATH, skeleton.HOME_PATH)]
        layers = skeleton.OUTSIDE_PATH + "/layers/"
        return [
            *found,
            (layers + "root/upper", ""),
            (layers + "usr-local/upper", skeleton.USR_LOCAL_PATH),
            (f"{layers}code/upper/{code}", skeleton.CODE_PATH),
        ]


def _fill_upper_layer(upper: str) -> None:
    """Create what each start changes, with the modes of the skeleton. The kernel would take longer to copy it."""
    os.makedirs(upper)
    umask = os.umask(0)
    for path in (skeleton.PASSWD_PATH, skeleton.GROUP_PATH, skeleton.HOME_PATH + "/"):
        os.makedirs(os.path.dirname(upper + path), exist_ok=True)
    for path in (skeleton.PASSWD_PATH, skeleton.GROUP_PATH):
        file = os.open(upper + path, os.O_CREAT | os.O_WRONLY, 0o666)
        os.write(file, _ACCOUNTS_SPACE)
        os.close(file)
    os.umask(umask)


def _mount_overlay(target: str, lower: list[str], layers: str) -> None:
    """Mount an overlay.

    Args:
        target: The mount point.
        lower: The lower layers, the topmost one first.
        layers: A directory for the upper layer and the working directory, which are created.

    Raises:
        OSError: The kernel refuses overlays, or one on this file system.
    """
    for name in ("upper", "work"):
        os.makedirs(f"{layers}/{name}", exist_ok=True)
    # A directory has the attributes that it has in its topmost layer: the user of the instance is not known yet.
    os.chmod(layers + "/upper", os.stat(lower[0]).st_mode)
    # Layers are named by descriptors: commas and colons in paths would be separators. "volatile" (Linux 5.10): what
    # an instance writes need not survive a power cut, and the end of an instance must not wait for the disk.
    opened = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in (*lower, layers)]
    try:
        paths = [f"/proc/self/fd/{descriptor}" for descriptor in opened]
        options = f"lowerdir={':'.join(paths[:-1])},upperdir={paths[-1]}/upper,workdir={paths[-1]}/work,volatile"
        if syscalls.is_in_user_namespace():
            options += ",userxattr"  # Linux 5.11
        syscalls.mount("overlay", target, "overlay", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _attribute_name() -> str:
    return "user.overlay.fnkit" if syscalls.is_in_user_namespace() else "trusted.overlay.fnkit"
