"""`ProjectLock`: one process at a time writes to a project folder."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import ClassVar
from weakref import WeakValueDictionary, finalize

from automl_keras.errors import ProjectError

LOCK_FILE = "search.lock"


class ProjectLock:
    """An advisory lock on a project folder, which dies with its process. Made by `ProjectLock.hold(folder)`.

    It is a transaction that never ends, in an empty SQLite file: SQLite knows how every system locks. All that
    opens the folder in one process shares the lock; a forked child does not inherit it.
    """

    # A lock belongs to a process, so the process has to know those it holds.
    _held: ClassVar[WeakValueDictionary[tuple[int, Path], ProjectLock]] = WeakValueDictionary()

    def __init__(self, path: Path) -> None:
        # `isolation_level=None`: this class alone begins transactions. Its end may come in any thread.
        connection = sqlite3.connect(path, isolation_level=None, timeout=0.0, check_same_thread=False)
        finalize(self, connection.close)  # else it is open until garbage is collected
        try:
            connection.execute("BEGIN IMMEDIATE")
            # The version of an empty file means nothing, and can be read while the lock is held.
            connection.execute(f"PRAGMA user_version={os.getpid()}")
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            [holder] = connection.execute("PRAGMA user_version").fetchone()
            raise ProjectError(
                f"A project must be used by one process at a time; this one is in use by process {holder}. "
                f"Received: {path.parent}"
            ) from error
        self._inode = path.stat().st_ino

    @classmethod
    def hold(cls, folder: Path) -> ProjectLock:
        """The lock on an existing folder. It is free again once nothing in this process refers to it.

        Raises:
            ProjectError: If another process holds it.
            sqlite3.Error: If the folder cannot be written.
        """
        path = folder.resolve() / LOCK_FILE
        lock = cls._held.get((os.getpid(), path))
        if lock is None or not (path.exists() and path.stat().st_ino == lock._inode):
            lock = cls._held[os.getpid(), path] = cls(path)
        return lock
