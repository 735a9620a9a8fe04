"""The secrets that the dev overlay names, with values that nobody chose."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

NAMESPACE = "geovr"
DATABASE = "mlflow"
DATABASE_HOST = "geovr-postgres.geovr.svc:5432"


def auth_file(database_uri: str) -> str:
    """MLflow's file about its accounts: the database they are kept in, and what a new one may."""
    return (
        "[mlflow]\n"
        "default_permission = READ\n"
        # the file's reader takes a percent sign for the start of a name
        f"database_uri = {database_uri.replace('%', '%%')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )


def values() -> dict[str, dict[str, str]]:
    """Name -> key -> value of every secret, each time another.

    The pipeline signs in to MLflow as its admin here; a prod overlay has an account of its own.
    """
    password, admin = token_urlsafe(24), token_urlsafe(24)
    uri = f"postgresql+psycopg2://{NAMESPACE}:{quote(password)}@{DATABASE_HOST}/{DATABASE}"
    return {
        "geovr-s3": {
            "AWS_ACCESS_KEY_ID": f"geovr-{token_urlsafe(9)}",
            "AWS_SECRET_ACCESS_KEY": token_urlsafe(30),
        },
        "geovr-postgres": {"password": password},
        "geovr-mlflow-server": {
            "database-uri": uri,
            "admin-username": "geovr",
            "admin-password": admin,
            "flask-secret-key": token_urlsafe(32),
            "basic_auth.ini": auth_file(uri),
        },
        "geovr-mlflow-client": {
            "MLFLOW_TRACKING_USERNAME": "geovr",
            "MLFLOW_TRACKING_PASSWORD": admin,
        },
        "geovr-notify": {"hmac-key": token_urlsafe(32)},
    }


def secrets() -> list[dict[str, Any]]:
    """The same as Kubernetes takes them."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "type": "Opaque",
            "stringData": data,
        }
        for name, data in values().items()
    ]
