"""What tests of S3 under faults are given."""

from tests.faults.s3_place import pauses, place, proxy

__all__ = ["pauses", "place", "proxy"]
