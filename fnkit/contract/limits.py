"""Limits and defaults of the Functions API, each with its source.

DOC is Scaleway's page on Functions limitations as of September 2025; REC is recorded traffic of 2025 and 2026.
"""

from __future__ import annotations

from typing import Final

ARCHIVE_MAX_BYTES: Final = 100 * 1024 * 1024  # DOC: zip 100 MiB
UNPACKED_MAX_BYTES: Final = 500 * 1024 * 1024  # DOC: code unzipped 500 MiB
DISK_MAX_BYTES: Final = 1024 * 1024 * 1024  # DOC: ephemeral disk per instance
PAYLOAD_MAX_BYTES: Final = 6 * 1024 * 1024  # DOC and core runtime: 6291456
HEAD_MAX_BYTES: Final = 60 * 1024  # Envoy's default max_request_headers_kb, and the same for responses
RESPONSE_HEADERS_MAX: Final = 100  # Envoy's default max_headers_count

CPU_BY_MEMORY: Final = {128: 70, 256: 140, 512: 280, 1024: 560, 2048: 1120, 3072: 1680, 4096: 2240}
"""CPU in mVCPU by memory in MB; no other memory sizes exist (DOC, vCPU and memory tiers, 2026-02; REC 128, 256)."""

DEFAULT_MEMORY: Final = 256  # REC
DEFAULT_MIN_SCALE: Final = 0  # REC
DEFAULT_MAX_SCALE: Final = 5  # REC; the API document states 20
DEFAULT_TIMEOUT_SECONDS: Final = 300  # REC "300s"
SCALE_MAX: Final = 50  # DOC
TIMEOUT_MIN_SECONDS: Final = 10  # DOC
TIMEOUT_MAX_SECONDS: Final = 3600  # DOC: 60 min since 2025
SCALE_TO_ONE_AFTER_SECONDS: Final = 30  # DOC: functions-autoscaling
SCALE_TO_ZERO_AFTER_SECONDS: Final = 900  # DOC: functions-autoscaling

DOMAINS_MAX: Final = 50  # DOC: custom domains per function
ENVIRONMENT_MAX_ENTRIES: Final = 100  # DOC: per function and namespace together
ENVIRONMENT_VALUE_MAX_CHARS: Final = 1000  # DOC
SECRETS_MAX_ENTRIES: Final = 100  # DOC: per function and namespace together
SECRET_VALUE_MAX_BYTES: Final = 65536  # DOC
FUNCTION_NAME_MAX: Final = 34  # REC: 28-character namespace label + "-" + 34 = a 63-character DNS label

UPLOAD_URL_SECONDS: Final = 3600  # REC: X-Amz-Expires
REGIONS: Final = ("fr-par", "nl-ams", "pl-waw")  # API document
