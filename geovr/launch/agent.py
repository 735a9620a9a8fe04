"""torchrun with an exit code that says why: `python -m geovr.launch.agent` takes its arguments.

torchrun itself ends with 1 whatever its workers ended with. A scheduler has to know more: a user's
mistake must not be tried again, an interrupted job must.
"""

from __future__ import annotations

import os
import sys
import tempfile

from geovr.errors import Interrupted
from geovr.launch.channel import ERRORS, Channel


def main() -> None:
    """Run torchrun, tell the job's channel how it ended, and exit with that code."""
    place = sys.argv[sys.argv.index("--job") + 1]
    channel = Channel(place)
    node = int(os.environ.get("GEOVR_NODE", "0"))
    channel.put_agent(node, os.getpid())
    os.environ["GEOVR_AGENT"] = str(os.getpid())
    with tempfile.TemporaryDirectory(prefix="geovr-output-") as output:
        # the ranks of a node write one output
        os.environ["GEOVR_NODE_OUTPUT"] = output
        code = _run(channel)
    channel.put_exit_code(node, code)
    sys.exit(code)


def _run(channel: Channel) -> int:
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        torchrun.main(sys.argv[1:])
    except SignalException:
        return Interrupted.exit_code
    except ChildFailedError as error:
        print(error, file=sys.stderr, flush=True)
        return _code(channel, [failure.exitcode for failure in error.failures.values()])
    except Exception as error:
        # the store of the rendezvous went away with another node's agent
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return _code(channel, [Interrupted.exit_code])
    return 0


def _code(channel: Channel, workers: list[int]) -> int:
    """The code of an agent whose workers failed.

    Where one rank ends by the user's mistake, the others lose their connections to it. It has told
    the channel before it closed them, so every agent gives the same code.
    """
    told = channel.told()
    if told is not None and told.final:
        code: int = ERRORS[told.error].exit_code  # type: ignore[attr-defined]
        return code
    lost = any(code < 0 or code == Interrupted.exit_code for code in workers)
    return Interrupted.exit_code if lost else 1


if __name__ == "__main__":
    main()
