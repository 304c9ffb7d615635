"""What SQS triggers read out of settings, attributes and errors."""

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

ACCESS = SqsClientConfig("https://sqs.example.com", "fr-par", "AKIDX", "very-secret")


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
        ("http://127.0.0.1:9324/elastic/mq", "otherwise"),
        ("http://127.0.0.1:4566", "otherwise"),
        ("https://sqs.mnq.fr-par.scaleway.com.example.org", "otherwise"),
    ],
)
def test_requests_are_signed_for_the_region_that_an_endpoint_names(endpoint: str, region: str) -> None:
    assert signing_region(endpoint, "otherwise") == region


def test_a_broker_s_queue_url_is_filled_in() -> None:
    source = QueueSource(queue="jobs", project_id="p-1", region="nl-ams")
    url = "https://sqs.example.com/{region}/project-{project}/{queue}"
    broker = SqsBroker(endpoint=ACCESS.endpoint, region_name="r", access_key="a", secret_key="b", queue_url=url)

    assert endpoint_at_broker(source, broker).url == "https://sqs.example.com/nl-ams/project-p-1/jobs"


def test_a_queue_anywhere_is_named_by_its_address_and_shows_no_keys() -> None:
    source = SqsSource(
        endpoint="https://user:pw@sqs.example.com",
        queue_url="https://x/1/jobs.fifo",
        access_key="AK",
        ciphertext=b"",
    )
    place = endpoint_of_source(source, "SK", "pl-waw")

    assert (place.queue, place.config.region_name, place.config.host) == ("jobs.fifo", "pl-waw", "sqs.example.com")
    assert "SK" not in repr(place)
    assert "AK" not in repr(place)


@pytest.mark.parametrize(
    ("url", "queue"),
    [
        ("https://sqs.mnq.fr-par.scaleway.com/project-7f2/jobs", "jobs"),
        ("https://sqs.eu-west-3.amazonaws.com/123456789012/jobs.fifo", "jobs.fifo"),
        ("http://localhost:9324/elastic/mq/000000000000/jobs/", "jobs"),
        ("http://jobs.localhost:4566/jobs", "jobs"),
    ],
)
def test_every_form_of_a_queue_s_address_names_it_and_is_asked_for_as_it_was_written(url: str, queue: str) -> None:
    source = SqsSource(endpoint="http://localhost:4566", queue_url=url, access_key="AK", ciphertext=b"")
    place = endpoint_of_source(source, "SK", "fr-par")

    assert (place.queue, place.url) == (queue, url)
    assert parse_attributes(place.queue, {}).is_fifo == queue.endswith(".fifo")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
def test_keys_that_are_wrong_or_no_longer_right_are_called_that(code: str) -> None:
    empty = SqsClientConfig("https://sqs.example.com", "fr-par", "", "")

    assert str(error_from_response(code, "it is expired", 403, empty)) == (
        f"SQS at sqs.example.com does not accept the keys: {code}: it is expired"
    )


@pytest.mark.parametrize("policy", ['{"maxReceiveCount": 6}', '{"maxReceiveCount": "6"}'])
def test_where_a_policy_counts_its_last_attempt_is_the_fourth(policy: str) -> None:
    traits = parse_attributes("jobs", {"VisibilityTimeout": "45", "RedrivePolicy": policy})

    assert (traits.visibility_timeout, traits.max_receive_count) == (45, 6)
    assert [traits.attempt_number(received) for received in (1, 3, 4, 5, 6, 7)] == [1, 3, 3, 3, 4, 4]


def test_without_a_policy_the_queue_s_count_is_the_attempt() -> None:
    traits = parse_attributes("jobs", {"VisibilityTimeout": "0"})

    assert [traits.attempt_number(received) for received in (1, 4, 5)] == [1, 4, 5]
    assert (traits.visibility_timeout, traits.lease_seconds, traits.lease_interval) == (0, 3, 1.0)


def test_a_queue_that_may_not_be_asked_is_taken_for_a_usual_one() -> None:
    traits = parse_attributes("jobs.fifo", None)

    assert (traits.visibility_timeout, traits.max_receive_count, traits.is_fifo) == (30, 0, True)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", 400, SqsRequestRejected),
        ("AccessDenied", 403, SqsRequestRejected),
        ("ThrottlingException", 400, SqsUnavailable),
        ("RequestThrottled", 403, SqsUnavailable),
        ("Whatever", 503, SqsUnavailable),
        ("Whatever", 429, SqsUnavailable),
        ("ReceiptHandleIsInvalid", 404, ReceiptHandleExpired),
        ("Whatever", 400, SqsRequestRejected),
    ],
)
def test_an_error_says_whether_waiting_helps(code: str, status: int, kind: type[Exception]) -> None:
    found = error_from_response(code, "key AKIDX with very-secret is wrong", status, ACCESS)

    assert type(found) is kind
    assert "AKIDX" not in str(found)
    assert "very-secret" not in str(found)
