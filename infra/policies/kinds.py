"""Custom kinds as strict models of the parts that are used: a typing error is a finding."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from geovr.launch.volcano import VolcanoJob

Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)
]
Quantity = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")
]
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]+(h|m|s))+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(_Strict):
    """What a resource is called."""

    name: Name
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Placed(Metadata):
    """The same, in a namespace."""

    namespace: Name


class _Cluster(_Strict):
    metadata: Metadata


class _Namespaced(_Strict):
    metadata: Placed


class QueueSpec(_Strict):
    """Volcano: a queue's share of the cluster."""

    weight: int = Field(..., ge=1)
    reclaimable: bool
    capability: dict[str, Quantity] | None = None
    deserved: dict[str, Quantity] | None = None


class Queue(_Cluster):
    """Volcano's Queue."""

    apiVersion: Literal["scheduling.volcano.sh/v1beta1"]
    kind: Literal["Queue"]
    spec: QueueSpec


class Toleration(_Strict):
    """A taint that is put up with."""

    key: str
    operator: Literal["Exists", "Equal"]
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class FlavorSpec(_Strict):
    """Kueue: which nodes."""

    nodeLabels: dict[str, str] = {}
    tolerations: list[Toleration] = []


class ResourceFlavor(_Cluster):
    """Kueue's ResourceFlavor."""

    apiVersion: Literal["kueue.x-k8s.io/v1beta2"]
    kind: Literal["ResourceFlavor"]
    spec: FlavorSpec = FlavorSpec()


class FlavorResource(_Strict):
    """Kueue: how much of one resource."""

    name: str
    nominalQuota: Quantity
    borrowingLimit: Quantity | None = None


class FlavorQuotas(_Strict):
    """Kueue: how much of one flavour."""

    name: Name
    resources: list[FlavorResource] = Field(..., min_length=1)


class ResourceGroup(_Strict):
    """Kueue: resources that come from the same flavours."""

    coveredResources: list[str] = Field(..., min_length=1)
    flavors: list[FlavorQuotas] = Field(..., min_length=1)

    @model_validator(mode="after")
    def _all_covered(self) -> ResourceGroup:
        for flavor in self.flavors:
            if [resource.name for resource in flavor.resources] != self.coveredResources:
                raise ValueError(f"flavour {flavor.name} must list just the covered resources")
        return self


class Labels(_Strict):
    """A selector by labels."""

    matchLabels: dict[str, str]


class Preemption(_Strict):
    """Kueue: who may be evicted."""

    withinClusterQueue: Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"]
    reclaimWithinCohort: Literal["Never", "LowerPriority", "Any"]


class ClusterQueueSpec(_Strict):
    """Kueue: quotas, and for which namespaces."""

    namespaceSelector: Labels
    queueingStrategy: Literal["StrictFIFO", "BestEffortFIFO"]
    preemption: Preemption
    resourceGroups: list[ResourceGroup] = Field(..., min_length=1)
    cohortName: Name | None = None


class ClusterQueue(_Cluster):
    """Kueue's ClusterQueue."""

    apiVersion: Literal["kueue.x-k8s.io/v1beta2"]
    kind: Literal["ClusterQueue"]
    spec: ClusterQueueSpec


class LocalQueueSpec(_Strict):
    """Kueue: whose quota a namespace uses."""

    clusterQueue: Name


class LocalQueue(_Namespaced):
    """Kueue's LocalQueue."""

    apiVersion: Literal["kueue.x-k8s.io/v1beta2"]
    kind: Literal["LocalQueue"]
    spec: LocalQueueSpec


class WorkloadPriorityClass(_Cluster):
    """Kueue's WorkloadPriorityClass."""

    apiVersion: Literal["kueue.x-k8s.io/v1beta2"]
    kind: Literal["WorkloadPriorityClass"]
    value: int
    description: str


class StoreRef(_Strict):
    """External secrets: which store; one of the namespace, never of the cluster."""

    kind: Literal["SecretStore"]
    name: Name


class Template(_Strict):
    """External secrets: the secret that is made."""

    type: str | None = None
    engineVersion: Literal["v2"]
    data: dict[str, str] | None = None


class Target(_Strict):
    """External secrets: what it is called."""

    name: Name
    creationPolicy: Literal["Owner"]
    template: Template | None = None


class RemoteRef(_Strict):
    """External secrets: where a value lies."""

    key: str
    property: str | None = None


class SecretData(_Strict):
    """External secrets: one key."""

    secretKey: str
    remoteRef: RemoteRef


class ExternalSecretSpec(_Strict):
    """External secrets: one secret."""

    refreshInterval: Duration
    secretStoreRef: StoreRef
    target: Target
    data: list[SecretData] = Field(..., min_length=1)


class ExternalSecret(_Namespaced):
    """ExternalSecret of the External Secrets Operator."""

    apiVersion: Literal["external-secrets.io/v1"]
    kind: Literal["ExternalSecret"]
    spec: ExternalSecretSpec


class SecretStoreSpec(_Strict):
    """One provider; what that wants to know is its own."""

    provider: dict[str, dict[str, Any]] = Field(..., min_length=1, max_length=1)


class SecretStore(_Namespaced):
    """SecretStore of the External Secrets Operator."""

    apiVersion: Literal["external-secrets.io/v1"]
    kind: Literal["SecretStore"]
    spec: SecretStoreSpec


class PipelineSpec(_Strict):
    """KFP: a pipeline's name."""

    displayName: str | None = None
    description: str | None = None


class Pipeline(_Namespaced):
    """KFP's Pipeline, in its native mode."""

    apiVersion: Literal["pipelines.kubeflow.org/v2beta1"]
    kind: Literal["Pipeline"]
    spec: PipelineSpec = PipelineSpec()


class PipelineVersionSpec(_Strict):
    """KFP: a compiled pipeline."""

    pipelineName: str
    pipelineSpec: dict[str, Any]
    platformSpec: dict[str, Any] | None = None
    displayName: str | None = None
    description: str | None = None


class PipelineVersion(_Namespaced):
    """KFP's PipelineVersion, in its native mode."""

    apiVersion: Literal["pipelines.kubeflow.org/v2beta1"]
    kind: Literal["PipelineVersion"]
    spec: PipelineVersionSpec


KINDS: dict[tuple[str, str], type[BaseModel]] = {
    (str(model.model_fields["apiVersion"].annotation.__args__[0]), name): model  # type: ignore[union-attr]
    for name, model in (
        ("Job", VolcanoJob),
        *(
            (model.__name__, model)
            for model in (
                Queue, ResourceFlavor, ClusterQueue, LocalQueue, WorkloadPriorityClass,
                ExternalSecret, SecretStore, Pipeline, PipelineVersion,
            )
        ),
    )
}  # fmt: skip
"""apiVersion and kind -> its model."""
