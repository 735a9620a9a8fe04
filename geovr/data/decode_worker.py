"""The process that opens untrusted files: little memory, no files to write, one job at a time.

Jobs come as JSON lines on standard input; each answer on standard output is eight bytes of length,
then a byte that tells an object (0) from a JSON refusal (1; 3 when memory ran out, after which the
process is not asked again), then that. A first, empty answer (2) says that the process is ready.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any

from geovr.data.clips import encode_clip
from geovr.data.sampling import SamplerConfig
from geovr.data.video import LimitsConfig, VideoError, decode_images, decode_video

OBJECT, REFUSAL, READY, EXHAUSTED = 0, 1, 2, 3


def limit_process(limits: LimitsConfig) -> None:
    """Cap address space, and forbid writing any file."""
    memory = limits.memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def answer(job: dict[str, Any], limits: LimitsConfig) -> tuple[int, bytes]:
    """The object of a job, or why there is none."""
    paths = [Path(path) for path in job["paths"]]
    try:
        if job["images"]:
            decoded = decode_images(paths, limits)
        else:
            decoded = decode_video(paths[0], SamplerConfig(**job["sampler"]), limits)
        return OBJECT, encode_clip(
            decoded.frames_THWC, decoded.timestamps_T, decoded.frame_indices_T, decoded.duration
        )
    except VideoError as error:
        return REFUSAL, json.dumps({"reason": error.reason, "remedy": error.remedy}).encode()
    except MemoryError:
        reason = f"decoding needs more than {limits.memory_mb} MB"
        remedy = "scale it down, or raise ingest.limits.memory_mb"
        return EXHAUSTED, json.dumps({"reason": reason, "remedy": remedy}).encode()
    except OSError as error:
        refusal = {"reason": f"it can't be read: {error.strerror}", "remedy": "check the file"}
        return REFUSAL, json.dumps(refusal).encode()
    except Exception as error:  # a decoder's bug on a strange file is that file's business alone
        refusal = {
            "reason": f"it can't be decoded ({type(error).__name__}: {error})",
            "remedy": "re-encode it from its source",
        }
        return REFUSAL, json.dumps(refusal).encode()


def main() -> None:
    """Serve jobs until standard input ends."""
    limits = LimitsConfig(**json.loads(sys.argv[1]))
    import av  # noqa: F401 - loaded before the limits, which leave room for pixels, not for code

    limit_process(limits)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    out.write(struct.pack("<QB", 0, READY))
    out.flush()
    for line in sys.stdin:
        kind, data = answer(json.loads(line), limits)
        out.write(struct.pack("<QB", len(data), kind))
        out.write(data)
        out.flush()


if __name__ == "__main__":
    main()
