"""The errors a user can meet, each with the exit code the command line gives it."""


class UserError(Exception):
    """The user's mistake: the message names the file or key, what is wrong and what to do."""

    exit_code = 2


class GateRefused(Exception):
    """A gate, an evaluation with answers missing, or `geovr promote` said no.

    The message carries the URI of what is kept.
    """

    exit_code = 3


class Interrupted(Exception):
    """Work was stopped from outside and can be taken up again by the same command."""

    exit_code = 75


class TrainingDiverged(Exception):
    """A loss or gradient was not finite; the message names the step and its clips."""

    exit_code = 1


class RunFailed(Exception):
    """A run on a cluster, or of a study, failed or was cancelled; the message names it."""

    exit_code = 1


class StoreError(Exception):
    """An object is missing or damaged, or can't be written; the message names it and the remedy."""

    exit_code = 1


class LostObject(StoreError):
    """An object that a store answers for is not there, or is not what it was."""
