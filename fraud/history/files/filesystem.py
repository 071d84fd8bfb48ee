"""Whether a folder lies on a disk of this machine: locks of several processes mean nothing over a network."""

import re
import sys
from pathlib import Path

from fraud.errors import HistoryError

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "9p", "virtiofs", "afs", "ncpfs"),
        *("ceph", "glusterfs", "lustre", "beegfs", "gpfs", "gfs2", "ocfs2", "orangefs", "pvfs2", "moosefs", "davfs"),
    }
)
IN_PLACE = frozenset({"ext2", "ext3", "ext4", "tmpfs"})
"""They write over what is there without new room, always: xfs may share it with a copy."""
NETWORK_FUSE = (
    *("sshfs", "s3fs", "rclone", "ceph", "gluster", "davfs", "gcsfuse", "mountpoint-s3", "blobfuse", "juicefs"),
    *("goofys", "mfs", "curlftpfs", "smbnetfs", "hdfs"),
)
"""After ``fuse.``, or what was mounted."""
_OCTAL = re.compile(r"\\([0-7]{3})")


def check_local(folder: Path, mounts: Path = MOUNTS) -> None:
    """Raise HistoryError where ``folder``, which need not exist yet, lies on a network file system."""
    kind = kind_of(folder, mounts)
    if kind is not None and is_network(kind):
        raise HistoryError(
            f"{folder} lies on a network file system ({kind}), where workers cannot share the history store: name a "
            "folder on a disk of this machine in FRAUD_HISTORY_URL"
        )


def can_be_mapped(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Whether files of ``folder`` can be written to in memory: elsewhere a full disk ends the process that does."""
    return kind_of(folder, mounts) in IN_PLACE


def is_network(kind: str) -> bool:
    """Whether a type of file system, such as ``fuse.sshfs``, is one."""
    name = kind.lower()
    fuse = name.removeprefix("fuse.") if name.startswith("fuse.") else ""
    return name in NETWORK or fuse in NETWORK or any(fuse.startswith(one) for one in NETWORK_FUSE)


def kind_of(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """The type of the file system that holds ``folder``; None where the system does not say.

    Of two mounts on one place the later one hides the other.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return _of_mount_command(folder) if sys.platform == "darwin" else None
    path, found, longest = folder.resolve(), None, -1
    for line in lines:
        before, _, after = line.partition(" - ")
        words = before.split(" ")
        if len(words) < 5 or not after:
            continue
        point = Path(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), words[4]))
        if (path == point or point in path.parents) and len(point.parts) >= longest:
            found, longest = after.split(" ")[0], len(point.parts)
    return found


def _of_mount_command(folder: Path) -> str | None:
    """macOS has no such file: ``mount`` prints ``DEVICE on PLACE (TYPE, ...)``."""
    import subprocess

    try:
        printed = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    path, found, longest = folder.resolve(), None, -1
    for match in re.finditer(r"^.* on (.*) \(([^,)]+)", printed, re.MULTILINE):
        point = Path(match[1])
        if (path == point or point in path.parents) and len(point.parts) >= longest:
            found, longest = match[2], len(point.parts)
    return found
