"""`Storage`: one SQLite file that holds all a search has done, and survives the death of its process."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from weakref import finalize

from automl_keras.errors import ProjectError
from automl_keras.tuners.project_lock import ProjectLock

STORAGE_FILE = "search.sqlite"

# Script k brings a file of version k to version k + 1; a new file begins at 0.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE event (number INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, trial_id TEXT, "
        "data TEXT NOT NULL)",
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
)


class Event(NamedTuple):
    """Something that happened in a search.

    Attributes:
        kind: Such as "create" or "end".
        trial_id: The trial it happened to, or `None`.
        data: What is to be known of it, as JSON.
        time: Seconds since 1970.
        number: Its place among all events, from 1 on; 0 as long as it is not written.
    """

    kind: str
    trial_id: str | None
    data: Mapping[str, Any]
    time: float = 0.0
    number: int = 0


class StorageReader:
    """Reads what a `Storage` holds, also while another process writes to it.

    Args:
        folder: The project folder.

    Raises:
        ProjectError: If the folder has no storage, or one of a newer version of this package.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / STORAGE_FILE
        if not self.path.is_file():
            raise ProjectError(f"A project of a search must have the file {STORAGE_FILE}. Received: {folder}")
        with self._explained():
            # In WAL mode even a reader writes beside the file. Where it may not, and nobody writes, nothing changes.
            is_fixed = not os.access(folder, os.W_OK) and not Path(f"{self.path}-wal").exists()
            self._connect(f"{self.path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_fixed else ''}")
            self._check_version()

    def events(self, after: int = 0) -> list[Event]:
        """All events with a number above `after`, in order."""
        if self._is_empty():
            return []
        columns = "kind, trial_id, data, time, number"
        with self._explained():
            rows = self._connection.execute(f"SELECT {columns} FROM event WHERE number > ? ORDER BY number", (after,))
            found = rows.fetchall()
        # One call for all: half the time of one for each.
        data = json.loads(f"[{','.join(row[2] for row in found)}]")
        return [Event(row[0], row[1], item, row[3], row[4]) for row, item in zip(found, data, strict=True)]

    def fact(self, name: str) -> Any:
        """The latest value of a fact, `None` if there is none."""
        if self._is_empty():
            return None
        with self._explained():
            row = self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _connect(self, uri: str) -> None:
        # `isolation_level=None`: this class alone begins transactions. Its end may come in any thread.
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0)
        finalize(self, self._connection.close)  # else it is open until garbage is collected

    def _check_version(self) -> int:
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise ProjectError(
                f"The project was written by a newer version of automl_keras; install that one to go on with it. "
                f"Received: {self.path} with version={version}, known are versions up to {len(MIGRATIONS)}"
            )
        return version

    def _is_empty(self) -> bool:
        """Whether the file has no tables yet, such as when its process was killed before it made them."""
        with self._explained():
            return self._check_version() == 0

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ProjectError(
                f"The records of the search must be readable and writable; what was recorded before is safe. "
                f"Received: {self.path} ({error})"
            ) from error


class Storage(StorageReader):
    """The records of one search: a log of events, which is the truth, and facts, of which the latest counts.

    Every call of `append` is one short transaction: it is written whole or not at all, and once it has returned no
    death of the process can undo it. A power failure may take the latest few (WAL with `synchronous=NORMAL`), never
    damage the others. The folder must not be on a network file system.

    One process writes at a time, and in it the `Storage` that was opened last: any other is refused.
    It may be used from several threads, but not in a forked child.

    Args:
        folder: The project folder; made if need be.

    Raises:
        ProjectError: If the folder cannot be written, another process is using it, or a newer version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / STORAGE_FILE
        self._mutex = threading.RLock()
        self._process = os.getpid()
        self._token = json.dumps(uuid.uuid4().hex)
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = ProjectLock.hold(folder)
            self._open()

    def append(self, events: Sequence[Event] = (), facts: Mapping[str, Any] | None = None) -> list[Event]:
        """Add events and replace facts, all together or not at all.

        Returns:
            The events with their times and numbers.

        Raises:
            ProjectError: If they could not be written.
        """
        now, written = time.time(), []
        with self._transaction() as connection:
            for event in events:
                row = (now, event.kind, event.trial_id, json.dumps(event.data))
                cursor = connection.execute("INSERT INTO event (time, kind, trial_id, data) VALUES (?, ?, ?, ?)", row)
                written.append(event._replace(time=now, number=cursor.lastrowid or 0))
            for name, value in (facts or {}).items():
                connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))
        return written

    def close(self) -> None:
        """Let go of the file and of the lock."""
        super().close()
        del self._lock

    def _open(self) -> None:
        self._connect(self.path.absolute().as_uri())
        self._check_version()
        connection = self._connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        for script in MIGRATIONS[self._check_version() :]:
            for statement in script:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        connection.execute("INSERT OR REPLACE INTO fact VALUES ('owner', ?)", (self._token,))
        connection.execute("COMMIT")
        self._inode = self._inode_in_place()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if os.getpid() != self._process:
            raise ProjectError(
                f"A search must be recorded by the process that began or resumed it, {self._process}, not by a forked "
                f"child. Received: process {os.getpid()}"
            )
        with self._mutex, self._explained():
            inode = self._inode_in_place()
            if inode is None:
                self._restore()
            elif inode != self._inode:
                raise self._superseded()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                owner = self._connection.execute("SELECT value FROM fact WHERE name = 'owner'").fetchone()
                if owner != (self._token,):
                    raise self._superseded()
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _inode_in_place(self) -> int | None:
        """What the file at the path is now; `None` if there is none."""
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return None

    def _superseded(self) -> ProjectError:
        return ProjectError(
            f"The project has been opened anew, so what was opened before can no longer write to it. "
            f"Received: {self.path.parent}"
        )

    def _restore(self) -> None:
        """Write the file again: somebody deleted it, such as a late worker with `overwrite=True`."""
        deleted = self._connection
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = ProjectLock.hold(self.path.parent)
        restored = sqlite3.connect(self.path)
        deleted.backup(restored)
        restored.close()
        deleted.close()
        self._open()
