"""What a deployment needs in a cluster: a Secret, and a Pod for each instance. Pure.

A Pod gets what the local sandbox enforces: no privileges, a user of its own, the runtime's system-call filter, no
account of the cluster, no write access to anything but its own disk, which is the writable layer of its container
(1 GiB, as published). It has no volumes, not even a ``/tmp`` in memory or a file with its key: a kubelet checks
only every 300 ms whether volumes are mounted, which would be a quarter of a cold start.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from lightkube.models.core_v1 import (
    Affinity,
    Capabilities,
    Container,
    ContainerPort,
    EnvVar,
    EnvVarSource,
    LocalObjectReference,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodSecurityContext,
    PodSpec,
    ResourceRequirements,
    SeccompProfile,
    SecretKeySelector,
    SecurityContext,
    Toleration,
    TopologySpreadConstraint,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.core_v1 import Pod, Secret

from fnkit.contract.invocation.environment import (
    CODE_DIRECTORY,
    HOME_DIRECTORY,
    USER_NAME,
    instance_environment,
)
from fnkit.contract.limits import DISK_MAX_BYTES, TIMEOUT_MAX_SECONDS
from fnkit.platform.data_plane.kubernetes.settings import (
    FUNCTION_LABEL,
    GENERATION_LABEL,
    LABEL_PREFIX,
    NETWORK_LABEL,
    REVISION_LABEL,
    KubernetesEngineSettings,
)
from fnkit.platform.model.derived_keys import instance_key
from fnkit.platform.model.routing import Route

CONTAINER: Final = "function"
PORT: Final = 8080
_USER_ID: Final = 1000  # of the files in an image
_MIB: Final = 1024 * 1024
_CORE_RUNTIME_MEMORY: Final = 48  # MiB beside the function's own: it takes 23, and 35 with a body of 6 MiB
_DISK_REQUEST: Final = 16  # MiB; a node that reserved the whole limit for each instance would be full at once
_CPU_SHARE: Final = 10  # a request is this fraction of the mVCPU: instances are idle most of the time
_KEY_ITEM: Final = "instance-key"  # no variable has this name: a dash is not allowed in one
_EVICTION_SECONDS: Final = 10  # on a node that is lost; the default of 300 would keep its Pods counted for so long
_TIMEOUT: Final = TIMEOUT_MAX_SECONDS + 60  # the gateway's timeout decides; this ends what a dead gateway left
_NEVER: Final = 10**9
_ADDED_VARIABLES: Final = (  # by Kubernetes to every container; enableServiceLinks is about others
    "HOSTNAME",
    "KUBERNETES_PORT",
    "KUBERNETES_PORT_443_TCP",
    "KUBERNETES_PORT_443_TCP_ADDR",
    "KUBERNETES_PORT_443_TCP_PORT",
    "KUBERNETES_PORT_443_TCP_PROTO",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "KUBERNETES_SERVICE_PORT_HTTPS",
)
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class DeploymentObjects:
    """The objects of a deployment.

    Attributes:
        route: The deployment.
        revision: Differs between deployments whose instances differ in anything.
        secret: Its secrets, and the key of its instances.
    """

    route: Route
    revision: str
    secret: Secret
    _name: str
    _labels: dict[str, str]
    _annotations: dict[str, str]
    _spec: PodSpec

    def new_pod(self, avoided_nodes: Sequence[str] = ()) -> Pod:
        """Return the Pod of one more instance, with a name of its own, that is not placed on these nodes."""
        name = f"{self._name}-{uuid.uuid4().hex[:8]}"
        spec = copy.copy(self._spec)
        spec.affinity = _away_from(avoided_nodes) if avoided_nodes else None
        return Pod(metadata=ObjectMeta(name=name, labels=self._labels, annotations=self._annotations), spec=spec)


def build_objects(route: Route, settings: KubernetesEngineSettings) -> DeploymentObjects:
    """Return the objects of a deployment. The same deployment has the same revision in every process."""
    data = {
        name: base64.b64encode(value.encode()).decode()
        for name, value in {
            **{name: route.environment[name] for name in route.secret_names},
            _KEY_ITEM: instance_key(settings.secret_key, route.function_id, route.generation),
        }.items()
    }
    spec = _pod_spec(route, settings)
    # With the secret key: names and labels can be read by more people than secrets.
    content = msgspec.json.encode([spec.to_dict(), data, route.generation], order="sorted")
    revision = hmac.new(settings.secret_key.encode(), content, hashlib.sha256).hexdigest()[:24]
    name = f"{settings.object_prefix}-{revision}"
    _name_secret(spec, name)
    labels = {
        **settings.all_labels,
        FUNCTION_LABEL: route.function_id,
        GENERATION_LABEL: str(route.generation),
        REVISION_LABEL: revision,
        **({NETWORK_LABEL: route.private_network_id} if route.private_network_id else {}),
    }
    annotations = {f"{LABEL_PREFIX}/function": f"{route.region}/{route.namespace}/{route.name}"}
    slug = re.sub("[^a-z0-9-]+", "-", route.name.lower()).strip("-")[:30] or "function"
    return DeploymentObjects(
        route=route,
        revision=revision,
        secret=Secret(
            metadata=ObjectMeta(name=name, labels=labels, annotations=annotations),
            type="Opaque",
            immutable=True,
            data=data,
        ),
        _name=f"{slug}-{route.generation}",
        _labels=labels,
        _annotations=annotations,
        _spec=spec,
    )


def _away_from(nodes: Sequence[str]) -> Affinity:
    names = [NodeSelectorRequirement(key="metadata.name", operator="NotIn", values=[node]) for node in nodes]
    required = NodeSelector(nodeSelectorTerms=[NodeSelectorTerm(matchFields=names)])
    return Affinity(nodeAffinity=NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=required))


def _pod_spec(route: Route, settings: KubernetesEngineSettings) -> PodSpec:
    return PodSpec(
        restartPolicy="Never",
        automountServiceAccountToken=False,
        enableServiceLinks=False,
        terminationGracePeriodSeconds=0,
        hostname=route.name if _DNS_LABEL.fullmatch(route.name) else None,
        imagePullSecrets=[LocalObjectReference(name=registry_secret_name(settings))],
        securityContext=PodSecurityContext(
            runAsNonRoot=True,
            runAsUser=_USER_ID,
            runAsGroup=_USER_ID,
            seccompProfile=SeccompProfile(type="RuntimeDefault"),
        ),
        tolerations=[
            Toleration(
                key=f"node.kubernetes.io/{state}",
                operator="Exists",
                effect="NoExecute",
                tolerationSeconds=_EVICTION_SECONDS,
            )
            for state in ("not-ready", "unreachable")
        ],
        topologySpreadConstraints=[  # so that a lost node takes few instances of a function with it
            TopologySpreadConstraint(
                maxSkew=1,
                topologyKey="kubernetes.io/hostname",
                whenUnsatisfiable="ScheduleAnyway",
                labelSelector=LabelSelector(matchLabels={FUNCTION_LABEL: route.function_id}),
            )
        ],
        containers=[
            Container(
                name=CONTAINER,
                image=route.image,
                imagePullPolicy="IfNotPresent",
                ports=[ContainerPort(containerPort=PORT)],
                env=_environment(route),
                resources=_resources(route, hard_cpu=settings.hard_cpu),
                securityContext=SecurityContext(
                    allowPrivilegeEscalation=False, capabilities=Capabilities(drop=["ALL"])
                ),
            )
        ],
    )


def _environment(route: Route) -> list[EnvVar]:
    """Return the variables. Secrets are read from the Secret, whose name is not known yet."""
    environment = instance_environment(
        route.environment_spec, home=HOME_DIRECTORY, root=CODE_DIRECTORY, user=USER_NAME
    )
    if "PATH" not in route.environment:
        del environment["PATH"]  # that of the image, whose interpreter may be anywhere
    secrets = {name for name in route.secret_names if environment.get(name) == route.environment[name]}
    own = {
        "FNKIT_TIMEOUT_SECONDS": str(_TIMEOUT),
        "FNKIT_IDLE_SECONDS": str(_NEVER),
        "FNKIT_WITHHELD_VARIABLES": ",".join(name for name in _ADDED_VARIABLES if name not in environment),
    }
    return [
        _secret_variable("FNKIT_INSTANCE_KEY", _KEY_ITEM),
        *(_secret_variable(name, name) for name in sorted(secrets)),
        *(
            # Kubernetes would replace $(NAME).
            EnvVar(name=name, value=value.replace("$", "$$"))
            for name, value in sorted({**environment, **own}.items())
            if name not in secrets
        ),
    ]


def _secret_variable(name: str, item: str) -> EnvVar:
    return EnvVar(name=name, valueFrom=EnvVarSource(secretKeyRef=SecretKeySelector(key=item)))


def _name_secret(spec: PodSpec, name: str) -> None:
    for variable in spec.containers[0].env or ():
        if variable.valueFrom is not None and variable.valueFrom.secretKeyRef is not None:
            variable.valueFrom.secretKeyRef.name = name


def _resources(route: Route, *, hard_cpu: bool) -> ResourceRequirements:
    memory = f"{route.memory + _CORE_RUNTIME_MEMORY}Mi"
    return ResourceRequirements(
        requests={
            "memory": memory,
            "cpu": f"{max(1, route.cpu if hard_cpu else route.cpu // _CPU_SHARE)}m",
            "ephemeral-storage": f"{_DISK_REQUEST}Mi",
        },
        limits={
            "memory": memory,
            "ephemeral-storage": f"{DISK_MAX_BYTES // _MIB}Mi",
            **({"cpu": f"{route.cpu}m"} if hard_cpu else {}),
        },
    )


def registry_secret_name(settings: KubernetesEngineSettings) -> str:
    """Return the name of the Secret with which nodes log in to the platform's registry."""
    return f"{settings.object_prefix}-registry"
