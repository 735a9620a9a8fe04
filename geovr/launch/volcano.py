"""Volcano's Job (batch.volcano.sh/v1alpha1), as strict models of the parts that are used.

Its admission rules are checked here too, so that a wrong job fails before anything is submitted:
pkg/webhooks/admission/jobs/validate in volcano-sh/volcano. Pod templates are Kubernetes' own; tests
hold them to its schemas.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
DnsName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)
]
_POD_NAME_LENGTH = 63


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Policy(_Strict):
    """What happens to the job when an event or an exit code of a pod is seen."""

    action: Literal["AbortJob", "RestartJob", "RestartTask", "TerminateJob", "CompleteJob"]
    event: Literal["*", "PodFailed", "PodEvicted", "Unknown", "TaskCompleted"] | None = None
    exitCode: int | None = Field(None, ge=1, le=255)

    @model_validator(mode="after")
    def _one_cause(self) -> Policy:
        if (self.event is None) == (self.exitCode is None):
            raise ValueError("a policy has either an event or an exitCode")
        return self


class Task(_Strict):
    """One node of the job."""

    name: Label
    replicas: Literal[1]
    minAvailable: Literal[1]
    maxRetry: int = Field(0, ge=0)
    policies: list[Policy] = []
    template: dict[str, Any]

    @model_validator(mode="after")
    def _causes_differ(self) -> Task:
        causes = [policy.event or policy.exitCode for policy in self.policies]
        if len(set(causes)) != len(causes):
            raise ValueError(f"task {self.name}: an event or exit code has two policies")
        return self


class Spec(_Strict):
    """What the job is."""

    schedulerName: Literal["volcano"]
    queue: DnsName
    priorityClassName: DnsName | None = None
    minAvailable: int = Field(..., ge=1)
    maxRetry: int = Field(..., ge=0)
    plugins: dict[Literal["svc", "env", "ssh"], list[str]]
    tasks: list[Task] = Field(..., min_length=1)

    @model_validator(mode="after")
    def _gang(self) -> Spec:
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError(f"two tasks have one name: {', '.join(names)}")
        if self.minAvailable != len(self.tasks):
            raise ValueError("all nodes start together or none: minAvailable is not all tasks")
        return self


class Metadata(_Strict):
    """What the job is called."""

    name: Label
    namespace: Label
    labels: dict[str, str] = {}


class VolcanoJob(_Strict):
    """The whole custom resource."""

    apiVersion: Literal["batch.volcano.sh/v1alpha1"]
    kind: Literal["Job"]
    metadata: Metadata
    spec: Spec

    @model_validator(mode="after")
    def _pod_names_fit(self) -> VolcanoJob:
        for task in self.spec.tasks:
            pod = f"{self.metadata.name}-{task.name}-0"
            if len(pod) > _POD_NAME_LENGTH:
                raise ValueError(f"pod name {pod} is longer than {_POD_NAME_LENGTH} characters")
        return self
