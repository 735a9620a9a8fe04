"""torch.distributed.checkpoint's files as objects of the store, each with its sha256.

Only the metadata is a pickle, and it is opened after its digest has matched the manifest's.
"""

from __future__ import annotations

import io
import os
import pickle
import queue
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch.distributed.checkpoint.filesystem import (
    FileSystemBase,
    FileSystemReader,
    FileSystemWriter,
)
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem
from torch.distributed.checkpoint.storage import WriteResult

from geovr.storage import Store, StoreError, sha256_bytes

METADATA = ".metadata"
_FILE_BYTES = 1 << 29
"""About so large a file becomes; a writer holds one of them in memory."""

# one process is no mistake here
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable")


class _Kept(io.BytesIO):
    """Stays readable when DCP closes it."""

    def close(self) -> None:
        """Leave it to the garbage collector."""


class _StoreFiles(FileSystemBase):
    """What DCP wants of a file system, on the store."""

    def __init__(self, store: Store, digests: dict[str, str]) -> None:
        self._store, self._digests = store, digests

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[io.IOBase]:
        key = str(path)
        name = key.rsplit("/", 1)[-1]
        if mode == "rb":
            data = self._store.get(key, self._digests[name])
            # the store verifies once a process; what is unpickled must be those very bytes
            if name == METADATA and sha256_bytes(data) != self._digests[name]:
                raise StoreError(f"{self._store.uri_of(key)}: changed since it was verified")
            yield io.BytesIO(data)
            return
        stream = _Kept()
        yield stream
        self._digests[name] = self._store.put(key, stream.getvalue())

    def concat_path(self, path: str | os.PathLike[str], suffix: str) -> str:
        return f"{path}/{suffix}"

    def init_path(self, path: str | os.PathLike[str]) -> str:
        return str(path)

    def mkdir(self, path: str | os.PathLike[str]) -> None:
        """Keys need no directories."""

    def exists(self, path: str | os.PathLike[str]) -> bool:
        return self._store.exists(str(path))

    def rm_file(self, path: str | os.PathLike[str]) -> None:
        self._store.remove(str(path))

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        raise NotImplementedError("objects of the store keep their keys")

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True


class StoreWriter(FileSystemWriter):
    """Writes this rank's tensors below a prefix; `digests` holds name -> sha256 after it.

    Args:
        store: where.
        prefix: of the step.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        # of several threads, one that fails would be taken for one that had nothing to do
        super().__init__(prefix, thread_count=1, sync_files=False)
        self.digests: dict[str, str] = {}
        self._store = store
        self.fs = _StoreFiles(store, self.digests)  # type: ignore[assignment]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Any:
        """As DCP's, but in files of about one size."""
        files: queue.Queue[tuple[str, str, list[WriteItem]]] = queue.Queue()
        for number, items in enumerate(_by_size(plan.items)):
            name = f"{plan.storage_data.prefix}{number}.distcp"
            files.put((f"{self.path}/{name}", name, items))
        return self._write_data(planner, files)

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """As DCP's, in one write."""
        metadata.storage_data = {r.index: r.storage_data for rank in results for r in rank}
        missing = metadata.state_dict_metadata.keys() - {i.fqn for i in metadata.storage_data}
        if missing:
            raise RuntimeError(f"{len(missing)} tensors were not written, e.g. {min(missing)}")
        key = f"{self.path}/{METADATA}"
        self.digests[METADATA] = self._store.put(key, pickle.dumps(metadata))


class StoreReader(FileSystemReader):
    """Reads what StoreWriter wrote; every file is verified before it is opened.

    Args:
        store: where.
        prefix: of the step.
        digests: of all its files, by name.
    """

    def __init__(self, store: Store, prefix: str, digests: Mapping[str, str]) -> None:
        super().__init__(prefix)
        self.fs = _StoreFiles(store, dict(digests))  # type: ignore[assignment]


def _by_size(items: list[WriteItem]) -> Iterator[list[WriteItem]]:
    group: list[WriteItem] = []
    size = 0
    for item in items:
        if group and size + _bytes(item) > _FILE_BYTES:
            yield group
            group, size = [], 0
        group.append(item)
        size += _bytes(item)
    if group:
        yield group


def _bytes(item: WriteItem) -> int:
    if item.tensor_data is None:
        return 0
    return item.tensor_data.chunk.sizes.numel() * item.tensor_data.properties.dtype.itemsize


def own_copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same values in memory of their own on the CPU, shards as shards.

    What is written while training goes on must not change under the writer's hands.
    """
    from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

    options = StagingOptions(
        use_pinned_memory=torch.cuda.is_available(),
        use_shared_memory=False,
        use_async_staging=False,
        use_non_blocking_copy=False,
    )
    stager = DefaultStager(options)
    return cast(dict[str, torch.Tensor], stager.stage(dict(tensors)))
