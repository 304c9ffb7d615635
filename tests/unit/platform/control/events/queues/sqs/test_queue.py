"""SQS triggers: signing regions, queue URLs, queue attributes and error classification."""

from __future__ import annotations

import pytest

from fnkit.platform.brokers.model import SqsBroker
from fnkit.platform.control.events.queues.sqs.endpoint import (
    SqsClientConfig,
    endpoint_at_broker,
    endpoint_of_source,
    signing_region,
)
from fnkit.platform.control.events.queues.sqs.errors import (
    ReceiptHandleExpired,
    SqsRequestRejected,
    SqsUnavailable,
    error_from_response,
)
from fnkit.platform.control.events.queues.sqs.queue import parse_attributes
from fnkit.platform.model.records import QueueSource, SqsSource

CONFIG = SqsClientConfig("https://sqs.example.com", "fr-par", "AKIDX", "very-secret")


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://sqs.mnq.fr-par.scaleway.com", "fr-par"),
        ("https://sqs.eu-west-3.amazonaws.com/", "eu-west-3"),
        ("https://sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://eu-west-1.queue.amazonaws.com", "eu-west-1"),
        ("https://SQS.EU-West-3.amazonaws.com:443", "eu-west-3"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://sqs.us-east-2.api.aws", "us-east-2"),
        ("https://vpce-0f1-x7.sqs.eu-central-1.vpce.amazonaws.com", "eu-central-1"),
        ("http://sqs.eu-west-1.localhost.localstack.cloud:4566/000000000000", "eu-west-1"),
        ("http://127.0.0.1:9324/elastic/mq", "fallback"),
        ("http://127.0.0.1:4566", "fallback"),
        ("https://sqs.mnq.fr-par.scaleway.com.example.org", "fallback"),
    ],
)
def test_signing_region_is_the_region_in_the_endpoint(endpoint: str, region: str) -> None:
    assert signing_region(endpoint, "fallback") == region


def test_queue_url_template_of_a_broker_is_filled_in() -> None:
    source = QueueSource(queue="jobs", project_id="p-1", region="nl-ams")
    url = "https://sqs.example.com/{region}/project-{project}/{queue}"
    broker = SqsBroker(endpoint=CONFIG.endpoint, region_name="r", access_key="a", secret_key="b", queue_url=url)

    assert endpoint_at_broker(source, broker).url == "https://sqs.example.com/nl-ams/project-p-1/jobs"


def test_external_queue_is_named_by_its_url_and_repr_has_no_keys() -> None:
    source = SqsSource(
        endpoint="https://user:pw@sqs.example.com",
        queue_url="https://x/1/jobs.fifo",
        access_key="AK",
        ciphertext=b"",
    )
    resolved = endpoint_of_source(source, "SK", "pl-waw")

    assert (resolved.queue, resolved.config.region_name, resolved.config.host) == (
        "jobs.fifo",
        "pl-waw",
        "sqs.example.com",
    )
    assert "SK" not in repr(resolved)
    assert "AK" not in repr(resolved)


@pytest.mark.parametrize(
    ("url", "queue"),
    [
        ("https://sqs.mnq.fr-par.scaleway.com/project-7f2/jobs", "jobs"),
        ("https://sqs.eu-west-3.amazonaws.com/123456789012/jobs.fifo", "jobs.fifo"),
        ("http://localhost:9324/elastic/mq/000000000000/jobs/", "jobs"),
        ("http://jobs.localhost:4566/jobs", "jobs"),
    ],
)
def test_queue_name_is_read_from_any_url_form_and_url_is_kept(url: str, queue: str) -> None:
    source = SqsSource(endpoint="http://localhost:4566", queue_url=url, access_key="AK", ciphertext=b"")
    resolved = endpoint_of_source(source, "SK", "fr-par")

    assert (resolved.queue, resolved.url) == (queue, url)
    assert parse_attributes(resolved.queue, {}).is_fifo == queue.endswith(".fifo")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
def test_credential_errors_are_reported_as_rejected_keys(code: str) -> None:
    config = SqsClientConfig("https://sqs.example.com", "fr-par", "", "")

    assert str(error_from_response(code, "it is expired", 403, config)) == (
        f"SQS at sqs.example.com does not accept the keys: {code}: it is expired"
    )


@pytest.mark.parametrize("policy", ['{"maxReceiveCount": 6}', '{"maxReceiveCount": "6"}'])
def test_last_attempt_under_a_redrive_policy_is_the_fourth(policy: str) -> None:
    attributes = parse_attributes("jobs", {"VisibilityTimeout": "45", "RedrivePolicy": policy})

    assert (attributes.visibility_timeout, attributes.max_receive_count) == (45, 6)
    assert [attributes.attempt_number(received) for received in (1, 3, 4, 5, 6, 7)] == [1, 3, 3, 3, 4, 4]


def test_attempt_is_the_receive_count_without_redrive_policy() -> None:
    attributes = parse_attributes("jobs", {"VisibilityTimeout": "0"})

    assert [attributes.attempt_number(received) for received in (1, 4, 5)] == [1, 4, 5]
    assert (attributes.visibility_timeout, attributes.lease_seconds, attributes.lease_interval) == (0, 3, 1.0)


def test_unreadable_attributes_fall_back_to_defaults() -> None:
    attributes = parse_attributes("jobs.fifo", None)

    assert (attributes.visibility_timeout, attributes.max_receive_count, attributes.is_fifo) == (30, 0, True)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", 400, SqsRequestRejected),
        ("AccessDenied", 403, SqsRequestRejected),
        ("ThrottlingException", 400, SqsUnavailable),
        ("RequestThrottled", 403, SqsUnavailable),
        ("OtherError", 503, SqsUnavailable),
        ("OtherError", 429, SqsUnavailable),
        ("ReceiptHandleIsInvalid", 404, ReceiptHandleExpired),
        ("OtherError", 400, SqsRequestRejected),
    ],
)
def test_error_code_and_status_select_the_error_class_without_keys(
    code: str, status: int, kind: type[Exception]
) -> None:
    found = error_from_response(code, "key AKIDX with very-secret is wrong", status, CONFIG)

    assert type(found) is kind
    assert "AKIDX" not in str(found)
    assert "very-secret" not in str(found)
