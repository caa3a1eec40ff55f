"""The socket and the server-info file: claimed, published and removed so that nothing of another server is touched."""

import json
import logging
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..constants import CONTRACT_VERSION, SERVER_INFO_END
from ..errors import StartError

logger = logging.getLogger(__name__)

_PROBE_TIMEOUT: Final = 1.0
_LONGEST_PATH: Final = 107 - len(".new")
"""What a socket address holds (``sun_path``, less its final zero), for the draft's longer name."""

_SOCKET_MODE: Final = 0o777
"""Containers of a pod may run as different users, and connecting takes the right to write."""


_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o777
"""The dataplane, which may run as another user, leaves errors in these folders too and removes the oldest."""


def write_new(path: str, data: bytes) -> None:
    """Write a file that everybody may read, whatever the umask. What is at ``path`` is replaced; a link there is not
    followed.

    Raises:
        OSError: it cannot be written; nothing is left then.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, _FILE_MODE)
    except FileExistsError:  # left by a process that was killed, or put there
        os.unlink(path)
        descriptor = os.open(path, flags, _FILE_MODE)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, _FILE_MODE)
            file.write(data)
    except BaseException:
        os.unlink(path)
        raise


def make_open_folder(path: str) -> None:
    """Make a folder, and those above it, that every user may write to, whatever the umask. Existing ones stay as they
    are. Raises: OSError."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_open_folder(parent)
    try:
        os.mkdir(path, _FOLDER_MODE)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    else:
        os.chmod(path, _FOLDER_MODE)


class Claim:
    """A path that is ours from ``publish`` to ``remove``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.draft = f"{path}.new"
        self._inode: tuple[int, int] | None = None

    def publish(self) -> None:
        """Put the finished draft in place, in one step."""
        os.replace(self.draft, self.path)
        self._inode = _inode(self.path)

    def remove(self) -> None:
        """Remove what was published, unless somebody has replaced it since; and a draft. Never raises: the server
        ends, and what cannot be removed is replaced at the next start."""
        try:
            Path(self.draft).unlink(missing_ok=True)
            if self._inode is not None and _inode(self.path) == self._inode:
                os.unlink(self.path)
        except OSError as error:
            logger.debug("cannot remove %s: %s", self.path, error)
        self._inode = None


def claim_socket(path: str) -> Claim:
    """Make way for a socket at ``path``.

    The server binds and listens at ``Claim.draft``; only then is the socket published, so that whoever sees it can
    connect.

    Raises:
        StartError: a live server answers there, something else than a socket is there, or the folder is unusable.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise StartError(f"cannot listen on {path}: the folder {folder} does not exist")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise StartError(f"cannot listen on {path}: the path is too long for a socket, at most {_LONGEST_PATH} bytes")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        mode = 0
    except OSError as error:
        raise StartError(f"cannot listen on {path}: {error.strerror}") from error
    if mode and not stat.S_ISSOCK(mode):
        raise StartError(f"cannot listen on {path}: a file that is not a socket is in the way")
    if mode and _answers(path):
        raise StartError(
            f"cannot listen on {path}: another server is listening there; stop it or use another sock_path"
        )
    claim = Claim(path)
    try:
        Path(claim.draft).unlink(missing_ok=True)
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"cannot listen on {path}: {error.strerror}") from error
    return claim


def open_to_all(path: str) -> None:
    """Let the dataplane connect, whoever it runs as."""
    os.chmod(path, _SOCKET_MODE)


def claim_info(path: str) -> Claim:
    """Remove a predecessor's server-info file, which the dataplane would believe.

    Raises:
        StartError: it cannot be removed, or its folder is unusable.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise StartError(f"cannot write the server-info file {path}: the folder {folder} does not exist")
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"cannot replace the server-info file {path}: {error.strerror}") from error
    return Claim(path)


def write_info(claim: Claim, minimum_numaflow_version: str, metadata: Mapping[str, str]) -> None:
    """Write the server-info file (contract: ``rust/numaflow-shared/src/server_info.rs``).

    Raises:
        StartError: it cannot be written.
    """
    info = {
        "protocol": "uds",
        "language": "python",
        "minimum_numaflow_version": minimum_numaflow_version,
        "version": CONTRACT_VERSION,
        "metadata": dict(metadata),
    }
    try:
        write_new(claim.draft, (json.dumps(info) + SERVER_INFO_END).encode())
        claim.publish()
    except OSError as error:
        raise StartError(f"cannot write the server-info file {claim.path}: {error.strerror}") from error


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # busy or not permitted: somebody is there
        return True


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
