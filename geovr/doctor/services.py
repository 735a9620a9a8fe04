"""What is reached over a network or a socket: store, S3, MLflow, Docker, Kubernetes; and DVC."""

from __future__ import annotations

import configparser
import os
import secrets
import shutil
from pathlib import Path

from geovr.doctor.finding import Needs, Trouble


def store(needs: Needs) -> str:
    """An object is put into the store, read and removed; on a disk `writing` has tried that."""
    from geovr.storage import Store, StoreError

    if not needs.store.startswith("s3://"):
        return f"{needs.store}, a directory"
    key, body = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    place = Store.open(needs.store)
    try:
        sha256 = place.put(key, body)
        back = place.get(key, sha256)
        place.remove(key)
    except StoreError as error:
        raise Trouble(
            str(error), "check the bucket's name and rights, AWS_ENDPOINT_URL, and the credentials"
        ) from error
    if back != body:
        raise Trouble(f"{place.uri}: gives other bytes than it took", "check that server")
    return f"{place.uri}: written, read and removed"


def s3_credentials(needs: Needs) -> str:
    """Where credentials come from; never what they are."""
    from geovr.storage_s3_client import credentials_source

    source = credentials_source()
    if source is None:
        raise Trouble(
            "none",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or mount a role's token",
            "missing",
        )
    return f"from {source}"


def mlflow(needs: Needs) -> str:
    """The tracking server answers, or its database opens."""
    from geovr import tracking

    where = tracking.redacted(tracking.tracking_uri())
    try:
        return tracking.ping()
    except Exception as error:  # whatever a database or a server may say
        told = str(error).replace(tracking.tracking_uri(), where).split("\n", 1)[0]
        raise Trouble(
            f"{where}: {told}",
            "start that server, or correct MLFLOW_TRACKING_URI; without it a database in GEOVR_HOME"
            " is used",
        ) from error


def docker(needs: Needs) -> str:
    """An engine that answers."""
    remedy = "start Docker's engine (Debian: apt-get install docker.io), or set DOCKER_HOST"
    try:
        import docker as engine

        version = engine.from_env(timeout=5).version()
    except ImportError as error:
        raise Trouble("the package docker is missing", "make setup", "missing") from error
    except Exception as error:  # docker's own, and those of requests below it
        raise Trouble(str(error).split("\n", 1)[0][:200], remedy, "missing") from error
    return f"engine {version['Version']}"


def kubernetes(needs: Needs) -> str:
    """A context is configured; its API server is not asked."""
    from kubernetes import config

    if Path("/var/run/secrets/kubernetes.io/serviceaccount/token").is_file():
        return "in a pod, with a service account"
    try:
        _, active = config.list_kube_config_contexts()
    except config.ConfigException as error:
        raise Trouble(
            "no context", "set KUBECONFIG to the file of your cluster", "missing"
        ) from error
    return f"context {active['name']}"


def dvc(needs: Needs) -> str:
    """Git and DVC are there, this is a DVC repository, and it has a remote."""
    from importlib.metadata import version

    if shutil.which("git") is None:
        raise Trouble("git is missing", "install git", "missing")
    found = f"DVC {version('dvc')}"
    settings = Path(".dvc/config")
    if not Path(".dvc").is_dir():
        raise Trouble(f"{found}; not a DVC repository", "run dvc init here", "missing")
    parser = configparser.ConfigParser()
    parser.read([settings, Path(".dvc/config.local")])
    remotes = [name for name in parser.sections() if name.strip("'").startswith("remote ")]
    if not remotes:
        raise Trouble(
            f"{found}; data are versioned, but no remote is set to push them to",
            "dvc remote add --default NAME s3://BUCKET/PREFIX",
            "missing",
        )
    return f"{found}, {len(remotes)} remote{'s' * (len(remotes) > 1)}"


def proxies(needs: Needs) -> str:
    """Variables that send traffic elsewhere, which is why things may not be reached."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "AWS_ENDPOINT_URL")
    found = [name for name in names if os.environ.get(name) or os.environ.get(name.lower())]
    return f"set: {', '.join(found)}" if found else "none set"
