"""What a platform needs once in a cluster: the login of nodes to its registry, and rules of the network. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import msgspec
from lightkube.models.meta_v1 import LabelSelector, LabelSelectorRequirement, ObjectMeta
from lightkube.models.networking_v1 import (
    IPBlock,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from lightkube.resources.core_v1 import Secret
from lightkube.resources.networking_v1 import NetworkPolicy

from fnkit.platform.data_plane.kubernetes.deployment_objects import PORT, registry_secret_name
from fnkit.platform.data_plane.kubernetes.settings import (
    FUNCTION_LABEL,
    NETWORK_LABEL,
    PLATFORM_LABEL,
    KubernetesEngineSettings,
)
from fnkit.platform.model.derived_keys import registry_pull_key

PLATFORM_POD_LABELS: Final = {"app.kubernetes.io/name": "fnkit-platform"}
"""The labels of the Pod that a platform runs in, if it runs in the cluster."""
_LINK_LOCAL: Final = ("169.254.0.0/16", "fe80::/10")  # where clouds serve the credentials of their machines


def registry_login(settings: KubernetesEngineSettings) -> Secret:
    """Return the Secret with which nodes log in to the platform's registry."""
    login = base64.b64encode(f"nologin:{registry_pull_key(settings.secret_key)}".encode()).decode()
    document = msgspec.json.encode({"auths": {settings.registry_host: {"auth": login}}})
    return Secret(
        metadata=ObjectMeta(name=registry_secret_name(settings), labels=settings.all_labels),
        type="kubernetes.io/dockerconfigjson",
        data={".dockerconfigjson": base64.b64encode(document).decode()},
    )


def instance_policy(settings: KubernetesEngineSettings, gateway_addresses: Sequence[str]) -> NetworkPolicy:
    """Return the rule for all instances: only the gateway calls them, and they call all but link-local addresses.

    Args:
        settings: The settings.
        gateway_addresses: From which a gateway outside of the cluster connects.
    """
    gateways = [
        NetworkPolicyPeer(podSelector=LabelSelector(matchLabels=PLATFORM_POD_LABELS)),
        *(NetworkPolicyPeer(ipBlock=IPBlock(cidr=_single(address))) for address in gateway_addresses),
    ]
    return NetworkPolicy(
        metadata=ObjectMeta(name=instance_policy_name(settings), labels=settings.all_labels),
        spec=NetworkPolicySpec(
            podSelector=LabelSelector(
                matchLabels={PLATFORM_LABEL: settings.platform_id},
                matchExpressions=[LabelSelectorRequirement(key=FUNCTION_LABEL, operator="Exists")],
            ),
            policyTypes=["Ingress", "Egress"],
            ingress=[
                NetworkPolicyIngressRule(from_=gateways, ports=[NetworkPolicyPort(port=PORT, protocol="TCP")])
            ],
            egress=[
                NetworkPolicyEgressRule(
                    to=[
                        NetworkPolicyPeer(ipBlock=IPBlock(cidr="0.0.0.0/0", except_=[_LINK_LOCAL[0]])),
                        NetworkPolicyPeer(ipBlock=IPBlock(cidr="::/0", except_=[_LINK_LOCAL[1]])),
                        NetworkPolicyPeer(namespaceSelector=LabelSelector()),
                    ]
                )
            ],
        ),
    )


def instance_policy_name(settings: KubernetesEngineSettings) -> str:
    """Return the name of the rule for all instances."""
    return f"{settings.object_prefix}-instances"


def private_network_policy(settings: KubernetesEngineSettings, network_id: str) -> NetworkPolicy:
    """Return the rule that lets instances of the functions of a private network connect to each other."""
    members = {PLATFORM_LABEL: settings.platform_id, NETWORK_LABEL: network_id}
    return NetworkPolicy(
        metadata=ObjectMeta(name=f"{settings.object_prefix}-network-{network_id}", labels=settings.all_labels),
        spec=NetworkPolicySpec(
            podSelector=LabelSelector(matchLabels=members),
            policyTypes=["Ingress"],
            ingress=[
                NetworkPolicyIngressRule(from_=[NetworkPolicyPeer(podSelector=LabelSelector(matchLabels=members))])
            ],
        ),
    )


def _single(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"
