"""Every template, in every configuration that somebody may deploy, keeps every rule."""

from __future__ import annotations

import re

import pytest

from backend_lambda import settings
from tests.backend_lambda.stacks import rules, templates
from tests.backend_lambda.stacks.reading import REPOSITORY, RULES, policies_of, several, variables
from tests.backend_lambda.stacks.rights import ACTIONS, FOLDERS, actions_of, folders_of
from tests.backend_lambda.stacks.serving import reads_its_own
from tests.backend_lambda.stacks.templates import CONFIGURATIONS, Configuration

ALL = [str(one) for one in CONFIGURATIONS]
CORE = [name for name in ALL if name.startswith("core,")]


def test_every_template_is_judged() -> None:
    assert {one.stack for one in CONFIGURATIONS} == set(templates.names())


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=ALL)
def test_the_configurations_can_be_deployed(configuration: Configuration) -> None:
    """By their own rules and patterns. And the resolver follows them: no condition and no reference is left."""
    assert templates.refused(configuration) == []
    assert templates.template(str(configuration)).resources


@pytest.mark.parametrize("name", ALL)
def test_every_rule_is_kept(name: str) -> None:
    found = rules.findings(templates.template(name))
    assert not found, "\n".join(
        f"{one.resource} {one.what}  ({one.rule}: {RULES[one.rule].__doc__})" for one in found
    )


def test_every_rule_says_why() -> None:
    assert [name for name, check in RULES.items() if not check.__doc__] == []


def test_the_table_of_rights_has_nothing_that_no_function_has() -> None:
    """Else the next one who adds it is not asked."""
    held: dict[str, set[str]] = {}
    for name in ALL:
        template = templates.template(name)
        for function in template.of("AWS::Lambda::Function"):
            held.setdefault(function.id, set()).update(actions_of(template, function))
    assert {
        name: sorted(actions - held.get(name, set()))
        for name, actions in ACTIONS.items()
        if actions - held.get(name, set())
    } == {}


def test_the_table_of_folders_has_nothing_that_no_function_has() -> None:
    template = templates.template("core, production, everything")
    functions = {one.id: one for one in template.of("AWS::Lambda::Function")}
    assert {name: folders_of(template, functions[name]) for name in FOLDERS} == FOLDERS


_BY_AWS = {"logs", "xray", "ec2", "rds-db"}
"""What Lambda itself, or the database's driver with a token that is signed here, does with a function's role."""
_CALLS = {
    "bedrock:ApplyGuardrail": "guardrailConfig",  # ConverseStream with a guardrail needs it
    "bedrock:InvokeModelWithResponseStream": "converse_stream",
    "iam:PassRole": "DataAccessRoleArn",  # whoever starts an import hands HealthLake its role
    "kms:Decrypt": "SSE|get_object|receive",  # S3 and SQS do, for who reads
    "kms:GenerateDataKey": "put_object|copy_object",  # S3 and SQS do, for who writes
    "s3:DeleteObject": "delete_objects",
    "s3:DeleteObjectVersion": "delete_objects",
    "s3:GetObject": "get_object|head_object",
    "s3:GetObjectVersion": "VersionId",
    "s3:GetObjectVersionTagging": "get_object_tagging",
    "s3:ListBucket": "head_object",  # without it S3 says 403 where there is nothing
    "s3:ListBucketVersions": "list_object_versions",
    "s3:PutObject": "put_object",
    "s3:PutObjectRetention": "ObjectLockMode",
    "ses:SendEmail": "send_email",
    "sqs:DeleteMessage": "",  # Lambda's event source mapping
    "sqs:GetQueueAttributes": "",
    "sqs:ReceiveMessage": "",
    "sqs:SendMessage": "",  # Lambda's dead-letter queue
    "transcribe:StartStreamTranscriptionWebSocket": "stream-transcription-websocket",
}
"""How the code asks for it, where that is not the action's name."""


@pytest.mark.parametrize("action", sorted({action for actions in ACTIONS.values() for action in actions}))
def test_the_code_calls_what_it_may(action: str) -> None:
    service, _, name = action.partition(":")
    if service in _BY_AWS:
        assert not re.search(rf'_clients\("{service}"\)', _code())
        return
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    assert re.search(_CALLS.get(action, snake.replace("_db", "_?db_?")), _code())


def _code() -> str:
    package = REPOSITORY / "backend_lambda"
    paths = [*package.glob("aws/*.py"), *package.glob("*.py"), *package.glob("services/*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize("name", CORE)
def test_the_settings_take_every_functions_environment(name: str) -> None:
    template = templates.template(name)
    judged = 0
    for function in template.of("AWS::Lambda::Function"):
        if reads_its_own(function):
            continue
        environment = {key: str(value) for key, value in variables(function).items()}
        assert settings.read(environment).stage == template.given["Stage"]
        judged += 1
    assert judged >= 5


def test_every_function_signs_in_as_itself() -> None:
    """The login in the URL is the one that its role may sign in as, and no other."""
    template = templates.template("core, production, everything")
    for function in template.of("AWS::Lambda::Function"):
        urls = [
            str(value)
            for key, value in variables(function).items()
            if key in {"HH_DATABASE_URL", "HH_REPLICA_URL"}
        ]
        logins = {url.removeprefix("postgresql://").partition("@")[0] for url in urls if url}
        role = template.behind(function.properties["Role"])[0]
        may = {
            str(resource).rpartition("/")[2]
            for statement in policies_of(template, role)
            if "rds-db:connect" in several(statement["Action"])
            for resource in several(statement["Resource"])
        }
        assert logins == may, function.id


_REFUSED: dict[str, tuple[str, dict[str, str]]] = {
    "production without a name": ("core, production", {"DomainName": ""}),
    "production without a zone": ("core, production", {"HostedZoneId": ""}),
    "what patients say, anywhere in the world": ("core, production", {"Residency": "global"}),
    "two regions without a common name": ("core, dev", {"RegionRole": "primary"}),
    "a standby of nobody": ("core, standby", {"PrimaryDatabaseArn": ""}),
    "a standby without the signing key": ("core, standby", {"PrimarySigningKeyArn": ""}),
    "a standby without the owner's secret": ("core, standby", {"PrimaryOwnerSecretArn": ""}),
    "a promoted one without its source": ("core, promoted", {"PrimaryDatabaseArn": ""}),
    "a promoted one without the signing key": ("core, promoted", {"PrimarySigningKeyArn": ""}),
    "a promoted one without the owner's secret": ("core, promoted", {"PrimaryOwnerSecretArn": ""}),
    "a promoted one that erases nowhere else": ("core, promoted", {"OtherRegion": ""}),
    "a primary of nobody": ("core, primary", {"OtherRegion": ""}),
    "Deepgram without its key": ("core, dev", {"SpeechToText": "deepgram"}),
    "Cartesia without its key": ("core, dev", {"TextToSpeech": "cartesia"}),
    "an issuer without TLS": ("core, dev", {"OidcIssuers": "http://login.clinic.example"}),
    "a cache without TLS": ("core, dev", {"CacheUrl": "redis://cache.clinic.example:6379"}),
    "an address that is none": ("core, dev", {"AlarmEmail": "operations"}),
    "a stage that is none": ("core, dev", {"Stage": "local"}),
    "the edge in production with CloudFront's own name": (
        "edge, production",
        {"DomainName": "", "HostedZoneId": ""},
    ),
    "the edge with a name and no zone": ("edge, production", {"HostedZoneId": ""}),
    "the edge with two zones": ("edge, production", {"NewZoneName": "clinic.example"}),
    "the edge with half a replica": ("edge, production", {"ReplicaBucketName": "health-helper-edge-copy"}),
    "countries in words": ("edge, production", {"AllowedCountries": "Germany"}),
}


@pytest.mark.parametrize(("name", "changed"), _REFUSED.values(), ids=_REFUSED)
def test_what_must_not_be_deployed_is_refused(name: str, changed: dict[str, str]) -> None:
    before = next(one for one in CONFIGURATIONS if str(one) == name)
    after = Configuration(before.stack, "changed", {**before.parameters, **changed}, before.region)
    assert templates.refused(after)


@pytest.mark.parametrize("stack", [name for name in templates.names() if name.startswith("optional/")])
def test_an_optional_stack_asks_for_what_the_core_gives(stack: str) -> None:
    """By the same names, so that the outputs can be copied."""
    given = {*templates.template("core, production").outputs, "Stage", "CoreStackName"}
    configuration = next(one for one in CONFIGURATIONS if one.stack == stack)
    source = templates.source(configuration)
    groups = source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    wanted = next(group["Parameters"] for group in groups if "core.yaml" in group["Label"]["default"])
    network = [
        name for name in source["Parameters"] if name.endswith(("SecurityGroupId", "SubnetIds", "VpcId"))
    ]
    assert {*wanted, *network} <= given


def test_the_edge_asks_for_what_its_replica_gives() -> None:
    given = templates.template("edge-replica, production").outputs
    wanted = {
        name.removeprefix("Replica")
        for name in templates.template("edge, production").given
        if name.startswith("Replica")
    }
    assert wanted == set(given)


def test_the_edge_belongs_into_virginia() -> None:
    assert templates.refused(Configuration("edge", "elsewhere", {}, "eu-central-1"))
    assert templates.refused(Configuration("edge-replica", "at the first", {}, "us-east-1"))
