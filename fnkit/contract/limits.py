"""Limits and defaults of the Functions API.

The annotation of a limit says what it limits, in which unit, and where and when that was published. The page
docs/limits.md is generated from these annotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final


@dataclass(frozen=True)
class Source:
    """Where a limit comes from.

    Attributes:
        title: The text of the link.
        url: Empty if there is nothing to link to.
        date: When this was published, last validated by its author, or recorded; empty for a choice of fnkit.
    """

    title: str
    url: str
    date: str


@dataclass(frozen=True)
class Limit:
    """What an integer limits.

    Attributes:
        subject: The limited quantity.
        unit: Plural; ``bytes``, ``MiB`` and ``seconds`` are converted to larger units on the page.
        source: Where the number comes from.
    """

    subject: str
    unit: str
    source: Source


_SCALEWAY: Final = "https://www.scaleway.com/en/docs/serverless-functions"
_DOCS: Final = "https://github.com/scaleway/docs-content/blob/main"
_SDK: Final = "https://github.com/scaleway/scaleway-sdk-js/blob/main/packages_generated/function/src/v1beta1"

LIMITATIONS: Final = Source(
    "Functions limitations", f"{_SCALEWAY}/reference-content/functions-limitations/", "2025-09"
)
LIMITATIONS_NOW: Final = Source(LIMITATIONS.title, LIMITATIONS.url, "2026-11")
ENTRIES_RAISED: Final = Source(
    "changelog of 2025-12-18",
    f"{_DOCS}/changelog/december2025/2025-12-18-functions-changed-environment-variables-and-secret-vari.mdx",
    "2025-12-18",
)
VALUES_RAISED: Final = Source(
    "changelog of 2026-06-11",
    f"{_DOCS}/changelog/june2026/2026-06-11-functions-changed-environment-variables-limitation-upgr.mdx",
    "2026-06-11",
)
SDK_RULES: Final = Source("the API's rules in the JavaScript SDK", f"{_SDK}/validation-rules.gen.ts", "2026-11")
AUTOSCALING: Final = Source("autoscaling", f"{_SCALEWAY}/reference-content/functions-autoscaling/", "2025-09")
RECORDED: Final = Source("recorded traffic", "", "2026-07")
ENVOY: Final = Source(
    "Envoy's defaults",
    "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/header_size_limits",
    "2026-11",
)
OWN: Final = Source("fnkit's choice", "", "")

ENVIRONMENT_MAX_ENTRIES: Final[
    Annotated[int, Limit("variables of a function and its namespace together", "variables", ENTRIES_RAISED)]
] = 200
ENVIRONMENT_VALUE_MAX_CHARS: Final[
    Annotated[int, Limit("the value of a variable", "characters", VALUES_RAISED)]
] = 65536
VARIABLE_NAME_MAX_CHARS: Final[Annotated[int, Limit("the name of a variable or secret", "characters", OWN)]] = 1000
SECRETS_MAX_ENTRIES: Final[
    Annotated[int, Limit("secrets of a function and its namespace together", "secrets", ENTRIES_RAISED)]
] = 200
SECRET_VALUE_MAX_BYTES: Final[Annotated[int, Limit("the value of a secret", "bytes", LIMITATIONS)]] = 65536

NAMESPACES_MAX: Final[Annotated[int, Limit("namespaces of a project", "namespaces", LIMITATIONS)]] = 100
FUNCTIONS_MAX: Final[Annotated[int, Limit("functions of an organization", "functions", LIMITATIONS)]] = 1000
MEMORY_MAX_MB: Final[
    Annotated[int, Limit("memory × `max_scale` of all functions of an organization", "MiB", LIMITATIONS)]
] = 600 * 1024
DOMAINS_MAX: Final[Annotated[int, Limit("custom domains of a function", "domains", LIMITATIONS)]] = 50
SCALE_MAX: Final[Annotated[int, Limit("`max_scale` and `min_scale`", "instances", LIMITATIONS)]] = 50
TIMEOUT_MIN_SECONDS: Final[Annotated[int, Limit("the shortest `timeout`", "seconds", LIMITATIONS)]] = 10
TIMEOUT_MAX_SECONDS: Final[Annotated[int, Limit("the longest `timeout`", "seconds", LIMITATIONS)]] = 3600

ARCHIVE_MAX_BYTES: Final[Annotated[int, Limit("a zip archive", "bytes", LIMITATIONS)]] = 100 * 1024 * 1024
UNPACKED_MAX_BYTES: Final[Annotated[int, Limit("unpacked code", "bytes", LIMITATIONS)]] = 500 * 1024 * 1024
UPLOAD_URL_SECONDS: Final[Annotated[int, Limit("validity of an upload URL", "seconds", RECORDED)]] = 3600
BUILD_MAX_SECONDS: Final[Annotated[int, Limit("the build of a function", "seconds", LIMITATIONS_NOW)]] = 40 * 60

DISK_MAX_BYTES: Final[Annotated[int, Limit("the disk of an instance", "bytes", LIMITATIONS)]] = 1024 * 1024 * 1024
PAYLOAD_MAX_BYTES: Final[
    Annotated[int, Limit("the body of a request, if it declares its length", "bytes", LIMITATIONS)]
] = 6 * 1024 * 1024
HEAD_MAX_BYTES: Final[Annotated[int, Limit("the headers of a request or response", "bytes", ENVOY)]] = 60 * 1024
RESPONSE_HEADERS_MAX: Final[Annotated[int, Limit("headers of a response", "headers", ENVOY)]] = 100
LOG_LINES_PER_MINUTE: Final[
    Annotated[int, Limit("log lines of a function per minute (published: of a project)", "lines", LIMITATIONS)]
] = 30_000
SCALE_TO_ONE_AFTER_SECONDS: Final[
    Annotated[int, Limit("idle time after which one instance is left", "seconds", AUTOSCALING)]
] = 30
SCALE_TO_ZERO_AFTER_SECONDS: Final[
    Annotated[int, Limit("idle time after which no instance is left", "seconds", AUTOSCALING)]
] = 900

# 28-character namespace label + "-" + 34 = a 63-character DNS label
FUNCTION_NAME_MAX: Final[Annotated[int, Limit("the name of a function", "characters", RECORDED)]] = 34
NAMESPACE_NAME_MAX: Final[Annotated[int, Limit("the name of a namespace", "characters", OWN)]] = 100
TEXT_MAX_CHARS: Final[
    Annotated[int, Limit("the description of a function or namespace, a tag, a cron's name", "characters", OWN)]
] = 4096
TAGS_MAX: Final[Annotated[int, Limit("tags of a function or namespace", "tags", OWN)]] = 256

TRIGGER_NAME_MAX: Final[Annotated[int, Limit("the name of a trigger", "characters", SDK_RULES)]] = 50
TRIGGER_DESCRIPTION_MAX: Final[Annotated[int, Limit("the description of a trigger", "characters", SDK_RULES)]] = 255
NATS_SUBJECT_MAX: Final[Annotated[int, Limit("a trigger's NATS subject", "characters", SDK_RULES)]] = 100
QUEUE_NAME_MAX: Final[Annotated[int, Limit("the name of a trigger's queue", "characters", SDK_RULES)]] = 100
MNQ_REGION_MAX: Final[Annotated[int, Limit("a trigger's `mnq_region`", "characters", SDK_RULES)]] = 20

CPU_BY_MEMORY: Final = {128: 70, 256: 140, 512: 280, 1024: 560, 2048: 1120, 3072: 1680, 4096: 2240}
"""CPU in mVCPU by memory in MB; no other memory sizes exist (published 2026-02; 128 and 256 were recorded)."""

DEFAULT_MEMORY: Final = 256  # recorded
DEFAULT_MIN_SCALE: Final = 0  # recorded
DEFAULT_MAX_SCALE: Final = 5  # recorded; the API document states 20
DEFAULT_TIMEOUT_SECONDS: Final = 300  # recorded: "300s"
REGIONS: Final = ("fr-par", "nl-ams", "pl-waw")  # API document
