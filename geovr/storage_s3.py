"""Objects below an s3:// prefix. Large ones are read by ranges at once and written in parts.

Whatever S3 refuses for good is a StoreError that names the object and the remedy.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from geovr.errors import StoreError, UserError
from geovr.storage_s3_client import CONNECTIONS, s3_client
from geovr.storage_s3_failures import (
    arriving,
    asked_again,
    failures_named,
    names_failures,
    pause,
)

RANGE_BYTES = 8 << 20
"""Of one ranged read: S3 gives one connection about 90 MB/s, whatever the object's size."""
MULTIPART_BYTES = 64 << 20
"""What is longer is written in parts."""
_PART_BYTES = 16 << 20
_PAGE_KEYS = 1000
"""Of a listing; S3 gives no more."""
_CONFLICTS = 5
"""How often S3 is asked when another writer of the same key has not ended yet."""
_MISSING = ("NoSuchKey", "404")


class _Changed(Exception):
    """The object was replaced between two of its ranges."""


def _split_s3(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise UserError(f"{uri}: an S3 URI reads s3://bucket/prefix")
    if "@" in bucket:  # it would be told in manifests and messages
        raise UserError(
            f"s3://***@{bucket.rpartition('@')[2]}: holds a user or password; an S3 URI reads"
            " s3://bucket/prefix, and credentials come from the environment"
        )
    return bucket, prefix.strip("/")


class S3Backend:
    """Objects below an s3:// prefix; credentials and endpoint come from the environment.

    Goes to another process as its URI alone: a client can't, and a secret must not.
    """

    readings = 3

    def __init__(self, uri: str) -> None:
        self.bucket, self.prefix = _split_s3(uri)
        self.uri = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self.client = s3_client()

    def __reduce__(self) -> tuple[type[S3Backend], tuple[str]]:
        return S3Backend, (self.uri,)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="geovr-s3")

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @names_failures
    def write(self, key: str, data: bytes) -> None:
        """One PUT, or a multipart upload; S3 compares the sha256 of what arrives."""
        if len(data) <= MULTIPART_BYTES:
            self._put(key, data)
        else:
            self._put_in_parts(key, data)

    def _put_in_parts(self, key: str, data: bytes) -> None:
        from boto3.s3.transfer import TransferConfig

        def upload() -> None:
            # a part that fails for good aborts the upload; of a killed process parts stay that
            # nobody sees but the bill, which a lifecycle rule of the bucket
            # (AbortIncompleteMultipartUpload) removes
            self.client.upload_fileobj(
                io.BytesIO(data),
                self.bucket,
                self._key(key),
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                Config=TransferConfig(
                    multipart_threshold=MULTIPART_BYTES,
                    multipart_chunksize=_PART_BYTES,
                    max_concurrency=CONNECTIONS,
                ),
            )

        # an upload whose end was not answered may be gone when it is ended a second time
        asked_again(upload, "NoSuchUpload")

    def _put(self, key: str, data: bytes, **conditions: str) -> None:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self.client.put_object(
            Bucket=self.bucket,
            Key=self._key(key),
            Body=data,
            ChecksumSHA256=checksum,
            **conditions,
        )

    @names_failures
    def write_new(self, key: str, data: bytes) -> bool:
        """One PUT that fails when there is an object; tells whether it wrote.

        Raises:
            StoreError: when another writer of the key doesn't end.
        """
        from botocore.exceptions import ClientError

        for attempt in range(1, _CONFLICTS + 1):
            try:
                self._put(key, data, IfNoneMatch="*")
                return True
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in ("PreconditionFailed", "412"):
                    return False
                if code in ("NotImplemented", "501"):
                    return self._write_if_missing(key, data)
                if code not in ("ConditionalRequestConflict", "OperationAborted", "409"):
                    raise
            if attempt < _CONFLICTS:
                pause(attempt)
        raise StoreError(
            f"{self.uri}/{key}: ConditionalRequestConflict: another writer has not ended in"
            f" {_CONFLICTS} tries; find out who writes it, then run the same command again"
        )

    def _write_if_missing(self, key: str, data: bytes) -> bool:
        """For a store without conditions: of two writers at the same moment the later wins."""
        if self.size(key) is not None:
            return False
        self.write(key, data)
        return True

    @names_failures
    def read(self, key: str) -> bytes | None:
        """An object's bytes, None when there is none; ranges of one version of it.

        Raises:
            StoreError: when it is replaced again and again while it is read.
        """
        for _ in range(_CONFLICTS):
            try:
                return self._read(key)
            except _Changed:
                continue
        raise StoreError(
            f"{self.uri}/{key}: was replaced during each of {_CONFLICTS} reads; find out who writes"
            " it, then run the same command again"
        )

    def _read(self, key: str) -> bytes | None:
        from botocore.exceptions import ClientError

        try:
            first, answer = self._get(key, Range=f"bytes=0-{RANGE_BYTES - 1}")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _MISSING:
                return None
            if code not in ("InvalidRange", "416"):
                raise
            return self._get(key)[0]  # no byte at all
        told = re.fullmatch(r"bytes 0-\d+/(\d+)", answer.get("ContentRange") or "")
        if told is None:  # a server that knows no ranges has sent all of it
            return first
        size, version = int(told[1]), str(answer["ETag"])

        def rest(start: int) -> bytes:
            end = min(start + RANGE_BYTES, size) - 1
            return self._get(key, Range=f"bytes={start}-{end}", IfMatch=version)[0]

        try:
            return b"".join([first, *self._pool.map(rest, range(len(first), size, RANGE_BYTES))])
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412", *_MISSING):
                raise _Changed from None
            raise

    def _get(self, key: str, **how: str) -> tuple[bytes, dict[str, Any]]:
        """A body and what the server says about it."""

        def get() -> tuple[bytes, dict[str, Any]]:
            answer = self.client.get_object(Bucket=self.bucket, Key=self._key(key), **how)
            with arriving():
                return bytes(answer["Body"].read()), answer

        return asked_again(get)

    @names_failures
    def size(self, key: str) -> int | None:
        """Bytes of an object, None when there is none."""
        from botocore.exceptions import ClientError

        try:
            head = self.client.head_object(Bucket=self.bucket, Key=self._key(key))
            return int(head["ContentLength"])
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys below a prefix."""
        for item in self._listed(prefix):
            yield self._own(str(item["Key"]))

    def versions(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Keys below a prefix, each with its size and ETag."""
        for item in self._listed(prefix):
            yield self._own(str(item["Key"])), f"{item['Size']} {item['ETag']}"

    def _own(self, key: str) -> str:
        return key.removeprefix(self.prefix).lstrip("/") if self.prefix else key

    def _listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._key(prefix), PaginationConfig={"PageSize": _PAGE_KEYS}
        )
        with failures_named(f"{self.uri}/{prefix}"):
            for page in pages:
                yield from page.get("Contents", [])

    @names_failures
    def remove(self, key: str) -> None:
        """Delete an object; a missing one is fine."""
        from botocore.exceptions import ClientError

        try:
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise

    @names_failures
    def remove_partial(self, prefix: str) -> None:
        """Abort the multipart uploads below a prefix, which has no writer now."""
        from botocore.exceptions import ClientError

        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket, Prefix=self._key(prefix)
        )
        try:
            uploads = [found for page in pages for found in page.get("Uploads", [])]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDenied", "NotImplemented", "403", "501"):
                return  # a bucket's lifecycle rule does it there
            raise
        for upload in uploads:
            self._abort(upload["Key"], upload["UploadId"])

    def _abort(self, key: str, upload: str) -> None:
        from botocore.exceptions import ClientError

        try:
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchUpload", "404"):
                raise  # else the first try did it, and its answer was lost
