"""brokers.toml: accepted entries, and errors that name the line and contain no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.deploy.loading import load_project
from fnkit.errors import ProjectInvalid
from fnkit.plan import desired_state
from fnkit.platform.brokers.config_file import BrokersInvalid, read_brokers, referenced_variables
from fnkit.platform.brokers.model import Brokers, NatsBroker, Selector, SqsBroker
from fnkit.platform.control.events.queues.broker_config import BrokerConfig
from fnkit.platform.model.settings import QueueSettings

PROJECT = "11111111-2222-4333-8444-555555555555"
FULL_CONFIG = f"""
[[nats]]
account = "{"A" * 56}"
project = "{PROJECT}"
region = "fr-par"
url = "nats://one:4222, nats://two:4222"
user = "me"
password = "${{SECRET}}"

[[nats]]
url = "tls://anywhere:4222"

[[sqs]]
region = "nl-ams"
endpoint = "https://sqs.example.org"
access_key = "AK"
secret_key = "${{SECRET}}-tail"
queue_url = "https://sqs.example.org/{{project}}/{{queue}}"
"""


def problems(text: str, variables: dict[str, str] | None = None) -> list[tuple[int | None, str, str]]:
    with pytest.raises(BrokersInvalid) as raised:
        read_brokers(text, "brokers.toml", variables or {})
    assert {problem.file for problem in raised.value.problems} == {"brokers.toml"}
    return [(problem.line, problem.code, problem.message) for problem in raised.value.problems]


def test_every_setting_is_read() -> None:
    found = read_brokers(FULL_CONFIG, "brokers.toml", {"SECRET": "s3cret"})

    assert found.nats[0] == NatsBroker(
        url="nats://one:4222, nats://two:4222",
        selector=Selector(account="A" * 56, project=PROJECT, region="fr-par"),
        user="me",
        password="s3cret",
    )
    assert found.nats[1] == NatsBroker(url="tls://anywhere:4222")
    assert found.sqs == (
        SqsBroker(
            endpoint="https://sqs.example.org",
            region_name="nl-ams",
            access_key="AK",
            secret_key="s3cret-tail",
            selector=Selector(region="nl-ams"),
            queue_url="https://sqs.example.org/{project}/{queue}",
        ),
    )
    assert "s3cret" not in repr(found)


def test_empty_file_has_no_brokers() -> None:
    assert read_brokers("# nothing yet\n", "brokers.toml", {}) == Brokers()


def test_most_specific_matching_entry_is_selected_or_none() -> None:
    found = read_brokers(FULL_CONFIG, "brokers.toml", {"SECRET": "s"})

    assert found.nats_for("A" * 56, PROJECT, "fr-par") == found.nats[0]
    assert found.nats_for("A" * 56, PROJECT, "nl-ams") == found.nats[1]
    assert found.sqs_for(PROJECT, "nl-ams") == found.sqs[0]
    assert found.sqs_for(PROJECT, "fr-par") is None


def test_referenced_variables_are_found() -> None:
    assert referenced_variables('a = "${ONE}${TWO}" # $THREE ${not-four}') == {"ONE", "TWO"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[nats]\n", (1, "brokers-syntax")),
        ("[nats]\nurl = 'nats://h:1'\n", (1, "broker-type")),
        ("\n[[kafka]]\n", (2, "broker-unknown-key")),
        ("[[nats]]\nurl = 'nats://h:1'\ncolor = 'red'\n", (3, "broker-unknown-key")),
        ("[[nats]]\nregion = 'fr-par'\n", (1, "broker-missing")),
        ("[[nats]]\nurl = 4222\n", (2, "broker-type")),
        ("[[nats]]\nurl = ''\n", (2, "broker-type")),
        ("[[nats]]\nurl = 'http://h:1'\n", (2, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:99999'\n", (2, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\naccount = 'short'\n", (3, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\nproject = 'mine'\n", (3, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\nregion = 'mars'\n", (3, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\nuser = 'me'\n", (3, "broker-missing")),
        ("[[nats]]\nurl = 'nats://h:1'\nuser = 'me'\npassword = 'p'\nnkey = 'SU'\n", (5, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\ncredentials = '/nowhere.creds'\n", (3, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\ncredentials = '/etc/hosts'\n", (3, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\nnkey = 'SUWITHASLIP'\n", (3, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\nnkey = '/etc/hosts'\n", (3, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\npassword = 'p'\n", (3, "broker-missing")),
        ("[[nats]]\nurl = 'nats://h:1'\nclient_key = '/etc/hosts'\n", (3, "broker-missing")),
        ("[[nats]]\nurl = 'nats://h:1,ws://i:1'\n", (2, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://me:p@h:1'\ntoken = 't'\n", (2, "broker-invalid")),
        ("[[nats]]\nurl = 'nats://h:1'\ntoken = '${UNSET}'\n", (3, "broker-variable")),
        ("[[nats]]\nurl = 'nats://h:1'\n[[nats]]\nurl = 'nats://i:1'\n", (3, "broker-twice")),
        ("[[sqs]]\nendpoint = 'https://e'\nsecret_key = 's'\n", (1, "broker-missing")),
        (
            "[[sqs]]\nendpoint = 'https://e'\naccess_key = 'a'\nsecret_key = 's'\nqueue_url = 'https://e/{who}'\n",
            (5, "broker-invalid"),
        ),
    ],
)
def test_error_has_line_and_code(text: str, expected: tuple[int, str]) -> None:
    assert [(line, code) for line, code, _ in problems(text)] == [expected]


def test_all_errors_are_reported_together_without_values() -> None:
    text = "[[nats]]\nurl = 'hunter2'\nregion = 'hunter3'\n[[sqs]]\nendpoint = 'hunter4'\n"
    found = problems(text)

    assert [code for _, code, _ in found] == ["broker-invalid"] * 3 + ["broker-missing"] * 2
    assert "hunter" not in str(found)


def test_nats_trigger_without_account_is_a_project_error(tmp_path: Path) -> None:
    (tmp_path / "fnkit.toml").write_text('name = "shop"\n')
    (tmp_path / "main.py").write_text(
        "from fnkit import trigger\n\n\n@trigger(nats='orders')\ndef on_order(event, context):\n    return ''\n"
    )
    project = load_project(tmp_path)

    with pytest.raises(ProjectInvalid) as raised:
        desired_state(project, (), project_id=PROJECT, region="fr-par")
    (problem,) = raised.value.problems
    assert (problem.code, problem.file, problem.line) == ("nats-account-missing", "main.py", 4)


def test_built_in_sqs_endpoint_serves_all_regions_until_the_file_has_a_service(tmp_path: Path) -> None:
    file = tmp_path / "brokers.toml"
    own = QueueSettings(sqs_endpoint="http://127.0.0.1:8484", sqs_access_key="a", sqs_secret_key="b")
    settings = BrokerConfig(file, own)
    for region in ("fr-par", "nl-ams"):
        assert settings.sqs_for("p", region) == SqsBroker(
            endpoint="http://127.0.0.1:8484",
            region_name=region,
            access_key="a",
            secret_key="b",
            creates_queues=True,
        )
    entry = '[[sqs]]\nregion = "fr-par"\nendpoint = "http://127.0.0.1:1"\naccess_key = "a"\nsecret_key = "b"\n'
    file.write_text(entry)
    assert settings.reload_if_changed()
    configured = settings.sqs_for("p", "fr-par")
    assert isinstance(configured, SqsBroker)
    assert (configured.endpoint, configured.creates_queues) == ("http://127.0.0.1:1", False)
    assert settings.sqs_for("p", "nl-ams") == f"no [[sqs]] entry in {file} matches project p, region nl-ams"


def test_missing_broker_error_includes_errors_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "brokers.toml"
    file.write_text('[[sqs]]\nendpoint = "http://127.0.0.1:1"\naccess_key = "a"\nsecret_key = "${UNSET}"\n')
    settings = BrokerConfig(file, QueueSettings(nats_unavailable_reason="there is no broker"))
    expected = f"{file}:4: secret_key refers to ${{UNSET}}, which is not set."
    assert str(settings.sqs_for("p", "fr-par")).startswith(expected)
    assert str(settings.nats_for("a", "p", "fr-par")).startswith(expected)
    file.write_text("")
    assert settings.reload_if_changed()
    assert settings.sqs_for("p", "fr-par") == "no SQS service is configured"
    assert settings.nats_for("a", "p", "fr-par") == "there is no broker"
