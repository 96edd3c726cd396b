"""Who can reach the servers that tests start."""

import contextlib
import ipaddress
from pathlib import Path


def process_tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    tree = [root]
    for process in tree:
        tree += children.get(process, [])
    return tree


def listeners(*processes: int) -> set[tuple[str, int]]:
    """The addresses and ports on which processes accept TCP connections."""
    inodes = set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):  # it has been closed meanwhile
                inodes.add(entry.readlink().as_posix())
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in inodes:
                words, port = local.split(":")
                packed = b"".join(bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8))
                address = ipaddress.ip_address(packed)
                found.add((str(getattr(address, "ipv4_mapped", None) or address), int(port, 16)))
    return found
