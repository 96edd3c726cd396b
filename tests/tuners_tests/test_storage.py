import json
import math
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from automl_keras.errors import ProjectError
from automl_keras.tuners import storage as storage_module
from automl_keras.tuners.storage import STORAGE_FILE, Event, Storage, StorageReader


def in_child(work: Callable[[], Any]) -> str:
    """What a function returns, or the error it raises, in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = str(work())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)  # no handlers of the parent
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def filled(folder: Path, number: int = 3) -> Storage:
    storage = Storage(folder)
    for index in range(number):
        storage.append([Event("create", str(index), {"values": {"x": index}})], {"latest": index})
    return storage


def refuses_to_write(statement: str) -> type[sqlite3.Connection]:
    """Connections on which a statement fails as on a full disk."""

    class FullDisk(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql.startswith(statement):
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *arguments)

    return FullDisk


def test_events_and_facts_come_back_exactly(tmp_path: Path) -> None:
    numbers = [0.1, 1 / 3, 2**80, -0.0, 5e-324, math.inf, math.nan, True, "ü", None]
    storage = Storage(tmp_path)
    first, second = storage.append(
        [Event("create", "0", {"values": numbers}), Event("space", None, {})], {"a": numbers}
    )
    storage.append([Event("end", "0", {})], {"a": [2]})
    reader = StorageReader(tmp_path)
    events = reader.events()
    assert [(e.kind, e.trial_id, e.number) for e in events] == [("create", "0", 1), ("space", None, 2), ("end", "0", 3)]
    assert json.dumps(events[0].data["values"]) == json.dumps(numbers)
    assert events[:2] == [first._replace(data=events[0].data), second]
    assert reader.events(after=2) == events[2:]
    assert reader.fact("a") == [2]
    assert reader.fact("b") is None


def test_writes_are_in_wal_and_survive_without_close(tmp_path: Path) -> None:
    storage = filled(tmp_path)
    connection = sqlite3.connect(tmp_path / STORAGE_FILE)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert in_child(lambda: len(StorageReader(tmp_path).events())) == "3"
    storage.close()


def test_all_of_a_transaction_or_nothing(tmp_path: Path) -> None:
    storage = filled(tmp_path)
    with pytest.raises(TypeError):
        storage.append([Event("create", "3", {}), Event("create", "4", {"values": object()})], {"latest": 4})
    assert len(storage.events()) == 3
    storage.append([Event("end", "0", {})])
    assert storage.fact("latest") == 2


def test_threads_take_turns(tmp_path: Path) -> None:
    storage = Storage(tmp_path)

    def write(name: str) -> None:
        for index in range(50):
            storage.append([Event("update", name, {"index": index})])

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    events = storage.events()
    assert [event.number for event in events] == list(range(1, 201))
    for name in "0123":
        assert [e.data["index"] for e in events if e.trial_id == name] == list(range(50))


class TestOneProcessAtATime:
    def test_another_process_is_refused_by_name(self, tmp_path: Path) -> None:
        storage = filled(tmp_path)
        said = in_child(lambda: Storage(tmp_path))
        assert said.startswith("ProjectError") and f"in use by process {os.getpid()}" in said
        storage.append([Event("end", "0", {})])
        assert len(storage.events()) == 4

    def test_it_is_free_once_its_process_has_died(self, tmp_path: Path) -> None:
        assert in_child(lambda: len(filled(tmp_path).events())) == "3"
        assert len(Storage(tmp_path).events()) == 3

    def test_it_is_free_once_closed(self, tmp_path: Path) -> None:
        filled(tmp_path).close()
        assert in_child(lambda: len(Storage(tmp_path).events())) == "3"

    def test_the_latest_of_a_process_writes(self, tmp_path: Path) -> None:
        older, newer = filled(tmp_path), Storage(tmp_path)
        with pytest.raises(ProjectError, match="opened anew"):
            older.append([Event("end", "0", {})])
        newer.append([Event("end", "1", {})])
        older.close()
        assert in_child(lambda: Storage(tmp_path)).startswith("ProjectError")  # the lock is still held
        assert [event.trial_id for event in newer.events(after=3)] == ["1"]

    def test_a_forked_child_does_not_write(self, tmp_path: Path) -> None:
        storage = filled(tmp_path)
        assert "forked child" in in_child(lambda: storage.append([Event("end", "0", {})]))
        storage.append([Event("end", "0", {})])
        assert len(storage.events()) == 4


class TestDeleted:
    def test_deleted_while_in_use_is_written_again(self, tmp_path: Path) -> None:
        storage = filled(tmp_path / "project")
        shutil.rmtree(tmp_path / "project")
        storage.append([Event("end", "0", {})])
        assert [event.kind for event in StorageReader(tmp_path / "project").events()] == ["create"] * 3 + ["end"]
        assert in_child(lambda: Storage(tmp_path / "project")).startswith("ProjectError")

    def test_replaced_while_in_use_is_left_alone(self, tmp_path: Path) -> None:
        older = filled(tmp_path / "project")
        shutil.rmtree(tmp_path / "project")
        newer = filled(tmp_path / "project", 1)
        with pytest.raises(ProjectError, match="opened anew"):
            older.append([Event("end", "0", {})])
        assert len(newer.events()) == 1


class TestFailingWrites:
    @pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO event", "INSERT OR REPLACE", "COMMIT"])
    def test_full_disk(self, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        filled(tmp_path).close()
        connect = sqlite3.connect
        storage = Storage(tmp_path)
        with monkeypatch.context() as patch:
            factory = refuses_to_write(statement)
            broken = connect(tmp_path / STORAGE_FILE, isolation_level=None, factory=factory)
            patch.setattr(storage, "_connection", broken)
            with pytest.raises(ProjectError, match=r"recorded before is safe.*disk is full"):
                storage.append([Event("end", "0", {})], {"latest": 9})
        assert len(storage.events()) == 3
        assert storage.fact("latest") == 2
        storage.append([Event("end", "0", {})])
        assert len(storage.events()) == 4

    def test_file_that_may_not_grow(self, tmp_path: Path) -> None:
        storage = filled(tmp_path)
        [pages] = storage._connection.execute("PRAGMA page_count").fetchone()
        storage._connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(ProjectError, match="full"):
            storage.append([Event("end", "0", {"message": "x" * 100_000})])
        assert len(storage.events()) == 3
        storage._connection.execute("PRAGMA max_page_count=1000000")
        storage.append([Event("end", "0", {"message": "x" * 100_000})])
        assert len(StorageReader(tmp_path).events()) == 4

    @pytest.fixture
    def readable(self) -> Iterator[Path]:
        """A folder that everybody may read, and nobody but root write."""
        folder = Path(tempfile.mkdtemp())
        filled(folder / "project").close()
        for path in (folder, *folder.rglob("*")):
            path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH | (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))
        yield folder / "project"
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)

    @pytest.mark.parametrize("name", ["project", "project/new"])
    def test_read_only_folder(self, name: str, readable: Path) -> None:
        said = in_child(lambda: (_drop_privileges(), Storage(readable.parent / name)))
        assert said.startswith("ProjectError") and str(readable.parent / name) in said
        assert in_child(lambda: (_drop_privileges(), len(StorageReader(readable).events()))) == "(None, 3)"


def _drop_privileges() -> None:
    if os.getuid() == 0:
        os.setuid(65534)


class TestVersions:
    def test_newer_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        filled(tmp_path).close()
        connection = sqlite3.connect(tmp_path / STORAGE_FILE)
        connection.execute("PRAGMA user_version=99")
        connection.close()
        before = (tmp_path / STORAGE_FILE).read_bytes()
        for open_it in (Storage, StorageReader):
            with pytest.raises(ProjectError, match=r"newer version.*version=99"):
                open_it(tmp_path)
        assert (tmp_path / STORAGE_FILE).read_bytes() == before

    def test_older_is_brought_up_to_date(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        filled(tmp_path).close()
        newer = (*storage_module.MIGRATIONS, ("ALTER TABLE event ADD COLUMN host TEXT",))
        monkeypatch.setattr(storage_module, "MIGRATIONS", newer)
        assert len(StorageReader(tmp_path).events()) == 3  # reading changes nothing
        upgraded = Storage(tmp_path)
        assert upgraded._connection.execute("SELECT host FROM event").fetchall() == [(None,)] * 3
        assert upgraded._connection.execute("PRAGMA user_version").fetchone() == (2,)

    @pytest.mark.parametrize("content", [None, b"no database at all, but long enough to be one" * 9])
    def test_what_is_no_project(self, content: bytes | None, tmp_path: Path) -> None:
        if content is not None:
            (tmp_path / STORAGE_FILE).write_bytes(content)
            with pytest.raises(ProjectError, match="not a database"):
                Storage(tmp_path)
        with pytest.raises(ProjectError, match=str(tmp_path)):
            StorageReader(tmp_path)


def test_reader_sees_what_another_process_writes(tmp_path: Path) -> None:
    go, gone = os.pipe(), os.pipe()

    def write() -> None:
        storage = Storage(tmp_path)
        while name := os.read(go[0], 1).decode():
            storage.append([Event("create", name, {})])
            os.write(gone[1], b".")

    child = os.fork()
    if child == 0:
        os.close(go[1])
        write()
        os._exit(0)
    for number in range(3):
        os.write(go[1], str(number).encode())
        os.read(gone[0], 1)
        assert [event.trial_id for event in StorageReader(tmp_path).events()] == list("012"[: number + 1])
    os.close(go[1])
    os.waitpid(child, 0)
