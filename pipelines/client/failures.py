"""What KFP's server refuses or can't do, as a user reads it: what happened, and the remedy."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from geovr.errors import Interrupted, UserError

_TRANSIENT = (408, 429, 500, 502, 503, 504)
_REMEDIES = {
    400: "the request doesn't fit this server; compare its version with that of the installed kfp",
    401: "no token, or one that has expired; put one into KFP_TOKEN, or name a file in"
    " KFP_TOKEN_FILE",
    403: "the token's account has no right to this; ask for the namespace's role in KFP, or give"
    " another --namespace",
    404: "nothing is there; check --host (its path too), --namespace and the name",
    409: "it is there already, made by someone else at the same moment; run the same command again",
}


class Away(Interrupted):
    """The server gives no answer or is in trouble; the same command may work in a while."""


def transient(error: Exception) -> bool:
    """Whether the same request may work in a moment."""
    status = getattr(error, "status", None)
    return not isinstance(error, UserError) and (status is None or status in _TRANSIENT)


def told(error: Any) -> str:
    """What the server itself says; KFP has two forms of errors, proxies before it have others."""
    body = error.body if hasattr(error, "body") else None
    reason = str(getattr(error, "reason", None) or error).splitlines()[-1]
    if not body:
        return reason
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    try:
        values = json.loads(text)
    except ValueError:
        return reason
    if isinstance(values, dict):
        for key in ("message", "error_message", "error"):
            if values.get(key):
                return str(values[key])
    return reason


def as_user_reads(error: Any, doing: str, host: str) -> Exception:
    """The exception to raise for a request that failed for good."""
    status = getattr(error, "status", None)
    if status is None:
        return Away(
            f"{host}: {doing}: no answer: {told(error)}; check --host (or KFP_ENDPOINT) and the"
            " network, then run the same command again: nothing is done twice"
        )
    if status == 0:  # kfp_server_api's own number for TLS that failed
        return UserError(
            f"{host}: {doing}: {told(error)}; name the certificate authority's file with --ca-file"
        )
    name = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "?"
    if status in _TRANSIENT:
        return Away(
            f"{host}: {doing}: {status} {name}: {told(error)}; the server is in trouble; run the"
            " same command again when it is well: nothing is done twice"
        )
    if 300 <= status < 400:
        return UserError(
            f"{host}: {doing}: {status} {name}: sent on to a sign-in page; give a token that the"
            " proxy before KFP accepts in KFP_TOKEN, or go past it with kubectl port-forward"
        )
    remedy = _REMEDIES.get(status, "look into the log of KFP's api server")
    return UserError(f"{host}: {doing}: {status} {name}: {told(error)}; {remedy}")
