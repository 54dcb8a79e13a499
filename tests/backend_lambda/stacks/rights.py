"""Who may do what: roles, keys, policies of resources."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.backend_lambda.stacks.reading import (
    Broken,
    allows,
    at,
    condition_keys,
    is_anybody,
    known_action,
    of_identities,
    of_keys,
    of_resources,
    policies_of,
    rule,
    several,
    statements,
)
from tests.backend_lambda.stacks.templates import ACCOUNT, Resource, Template, named

_LAMBDA_NETWORK = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}
"""Lambda makes interfaces whose names nobody knows before: allowed on all, and taken from the function's own code by a Deny."""
_ON_ALL = {
    "polly:SynthesizeSpeech"  # its only resource is a lexicon, and none is used
}
_BOUND_OTHERWISE = {"ses:SendEmail": "ses:fromaddress"}
"""By a condition: the identity may be an address or its domain."""


@rule
def actions_are_named(template: Template) -> Iterator[Broken]:
    """A pattern allows what nobody has thought of, also what AWS adds tomorrow."""
    for one, statement in [*of_identities(template), *of_resources(template)]:
        if not allows(statement):
            continue
        for negated in ("NotAction", "NotResource", "NotPrincipal"):
            if negated in statement:
                yield one.id, f"allows by {negated}"
        for action in several(statement.get("Action")):
            if "*" in action or "?" in action:
                yield one.id, f"allows {action}"


@rule
def actions_exist(template: Template) -> Iterator[Broken]:
    """A misspelt right is missing where it is needed, or denied to nobody."""
    for one, statement in [*of_identities(template), *of_resources(template), *of_keys(template)]:
        for action in several(statement.get("Action")):
            if "*" not in action and known_action(action) is None:
                yield one.id, f"{action} is no action of AWS"


def _is_wide(resource: str) -> bool:
    """Whether an ARN names no thing, or all of a kind."""
    if resource == "*":
        return True
    if not resource.startswith("arn:"):
        return False  # another resource of the template
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return True
    _, _, service, region, account, rest = parts
    if "*" in service or "*" in account or ("*" in region and service != "bedrock"):
        return True  # an inference profile leads to models in several regions
    pieces = re.split(r"[/:]", rest)
    if pieces[0].startswith("*"):
        return True
    return service not in {"s3", "s3vectors"} and len(pieces) > 1 and set(pieces[1:]) == {"*"}


@rule
def resources_are_named(template: Template) -> Iterator[Broken]:
    """What may be done with everything of a kind will one day be done with what it was not meant for."""
    for one, statement in of_identities(template):
        if not allows(statement):
            continue
        actions = several(statement.get("Action"))
        for resource in several(statement.get("Resource")):
            if not _is_wide(resource) or _is_of_the_gateway(template, one):
                continue
            for action in actions:
                needed = (known_action(action) or {}).get("Resources")
                is_bound = _BOUND_OTHERWISE.get(action) in condition_keys(statement)
                is_network = action in _LAMBDA_NETWORK and _is_taken_back(template, one, action)
                if needed and action not in _ON_ALL and not is_bound and not is_network:
                    yield one.id, f"{action} on {resource}"
    for one, statement in of_resources(template):
        if (
            allows(statement)
            and one.type != "AWS::EC2::VPCEndpoint"
            and "*" in several(statement.get("Resource"))
        ):
            yield one.id, "allows something on everything"


def _is_of_the_gateway(template: Template, policy: Resource) -> bool:
    """API Gateway has one role for the logs of a whole account and region, whichever groups there are."""
    roles = {name for one in template.of("AWS::ApiGateway::Account") for name in named(one.properties)}
    holders = set(named(policy.properties.get("Roles")))
    return bool(holders) and holders <= roles


def _is_taken_back(template: Template, policy: Resource, action: str) -> bool:
    """A Deny for the code of the function itself."""
    return any(
        statement.get("Effect") == "Deny"
        and action in several(statement.get("Action"))
        and "lambda:sourcefunctionarn" in condition_keys(statement)
        for one, statement in of_identities(template)
        if one.id == policy.id
    )


@rule
def roles_are_passed_on_narrowly(template: Template) -> Iterator[Broken]:
    """Who may pass any role to any service has the rights of all of them."""
    for one, statement in of_identities(template):
        if allows(statement) and "iam:PassRole" in several(statement.get("Action")):
            if any("*" in resource for resource in several(statement.get("Resource"))):
                yield one.id, "passes any role"
            if "iam:passedtoservice" not in condition_keys(statement):
                yield one.id, "passes a role to any service"


_SOURCES = {"aws:sourceaccount", "aws:sourcearn"}
_SAYS_ITS_SOURCE = {
    "bedrock.amazonaws.com",
    "events.amazonaws.com",
    "healthlake.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "scheduler.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
}
"""Services that are documented to say for which account and resource they take a role. To ask it of others would make their roles unusable:
a condition on a key that is not sent is false.
"""

_DOES_NOT_SAY = {
    "apigateway.amazonaws.com",
    "codedeploy.amazonaws.com",
    "malware-protection-plan.guardduty.amazonaws.com",
    "rds.amazonaws.com",
    "s3.amazonaws.com",
}
"""Nothing of AWS's shows the trust of such a role (logs, deployments, scans, proxies, copies) with one."""


@rule
def trust_is_narrow(template: Template) -> Iterator[Broken]:
    """A role is for one service, acting for this account: no confused deputy."""
    for role in template.of("AWS::IAM::Role"):
        trusts = statements(role.properties.get("AssumeRolePolicyDocument"))
        if len(trusts) != 1:
            yield role.id, f"has {len(trusts)} statements of trust"
        for trust in trusts:
            principal = trust.get("Principal")
            services = several(principal.get("Service")) if isinstance(principal, dict) else []
            if not isinstance(principal, dict) or set(principal) != {"Service"} or len(services) != 1:
                yield role.id, "is trusted to more than one service"
            elif services[0] in _SAYS_ITS_SOURCE and not condition_keys(trust) & _SOURCES:
                yield role.id, f"{services[0]} may act for any account"
            elif services[0] in _DOES_NOT_SAY and condition_keys(trust) & _SOURCES:
                yield role.id, f"asks {services[0]} for what it is not known to say"
            if several(trust.get("Action")) != ["sts:AssumeRole"]:
                yield role.id, f"trusts with {trust.get('Action')}"


@rule
def no_policies_of_others(template: Template) -> Iterator[Broken]:
    """A managed policy of AWS is wider than needed, and AWS changes it."""
    for role in template.of("AWS::IAM::Role"):
        for policy in several(role.properties.get("ManagedPolicyArns")):
            if not named(policy):
                yield role.id, f"takes {policy}"


@rule
def keys_say_who(template: Template) -> Iterator[Broken]:
    """A key that anybody can use encrypts nothing."""
    for key, statement in of_keys(template):
        principal = statement.get("Principal")
        is_root = isinstance(principal, dict) and str(principal.get("AWS", "")).endswith(":root")
        if not allows(statement):
            continue
        if is_anybody(principal):
            yield key.id, "is open to everybody"
        if not is_root:
            if any("*" in action for action in several(statement.get("Action"))):
                yield key.id, f"allows {statement.get('Action')} to {principal}"
            only_looks = several(statement.get("Action")) == ["kms:DescribeKey"]
            is_rule = principal == {"Service": "events.amazonaws.com"} and key.id in _keys_of_told_topics(
                template
            )
            if not statement.get("Condition") and not only_looks and not is_rule:
                yield key.id, f"has no condition for {principal}"


def _keys_of_told_topics(template: Template) -> set[str]:
    """Of topics that rules of EventBridge write to. It does not say there for whom it asks: the SNS developer guide ("Managing encryption
    keys") says that aws:SourceAccount and aws:SourceArn are not supported. Which rule may write is said by the topic's policy.
    """
    targets = [
        target for one in template.of("AWS::Events::Rule") for target in one.properties.get("Targets", ())
    ]
    return {
        key
        for topic in template.behind([target.get("Arn") for target in targets])
        if topic.type == "AWS::SNS::Topic"
        for key in named(topic.properties.get("KmsMasterKeyId"))
    }


def _users_of_keys(template: Template) -> Iterator[tuple[Resource, object, str]]:
    """What is encrypted, with which key, and the service that must be let use it, for it works without a role of ours."""
    for one in template.of("AWS::Logs::LogGroup"):
        yield one, one.properties.get("KmsKeyId"), f"logs.{template.configuration.region}.amazonaws.com"
    for one in template.of("AWS::S3Vectors::VectorBucket", "AWS::S3Vectors::Index"):
        yield one, at(one.properties, "EncryptionConfiguration.KmsKeyArn"), "indexing.s3vectors.amazonaws.com"
    for one in template.of("AWS::Events::EventBus"):
        yield one, one.properties.get("KmsKeyIdentifier"), "events.amazonaws.com"
    senders = [
        ("cloudwatch.amazonaws.com", one.properties.get("AlarmActions"))
        for one in template.of("AWS::CloudWatch::Alarm")
    ]
    senders += [
        ("events.amazonaws.com", one.properties.get("Targets", {}))
        for one in template.of("AWS::Events::Rule")
    ]
    senders += [
        ("s3.amazonaws.com", one.properties.get("NotificationConfiguration", {}))
        for one in template.of("AWS::S3::Bucket")
    ]
    for one in template.of("AWS::SNS::Topic", "AWS::SQS::Queue"):
        for service in {service for service, told in senders if one.id in named(told)}:
            yield one, one.properties.get("KmsMasterKeyId"), service
    for distribution in template.of("AWS::CloudFront::Distribution"):
        for one in template.behind(distribution.properties["DistributionConfig"]["Origins"]):
            if one.type == "AWS::S3::Bucket":
                yield one, one.properties.get("BucketEncryption"), "cloudfront.amazonaws.com"


@rule
def keys_let_their_services_work(template: Template) -> Iterator[Broken]:
    """Else nothing is logged, told, indexed or given out, and nobody sees why."""
    for one, value, service in _users_of_keys(template):
        for key in template.behind(value):
            allowed = {
                str(found)
                for statement in statements(key.properties.get("KeyPolicy"))
                if allows(statement) and "kms:Decrypt" in several(statement["Action"])
                for found in several(at(statement, "Principal.Service"))
            }
            unasked = service == "events.amazonaws.com" and one.type == "AWS::SNS::Topic"
            if service not in allowed:
                yield key.id, f"does not let {service} work with {one.id}"
            elif unasked and not _lets_without_asking(key, service):
                yield key.id, f"asks {service} for what it does not say of {one.id}"
            elif one.type == "AWS::Logs::LogGroup" and not _is_meant(template, key, one):
                yield key.id, f"does not mean {one.properties.get('LogGroupName')}"


def _lets_without_asking(key: Resource, service: str) -> bool:
    return any(
        allows(statement)
        and not condition_keys(statement) & _SOURCES
        and "kms:Decrypt" in several(statement["Action"])
        and service in several(at(statement, "Principal.Service"))
        for statement in statements(key.properties.get("KeyPolicy"))
    )


def _is_meant(template: Template, key: Resource, group: Resource) -> bool:
    """Whether the pattern of a key's policy has the name of a log group."""
    where = f"arn:aws:logs:{template.configuration.region}:{ACCOUNT}:log-group"
    patterns = [
        pattern
        for statement in statements(key.properties.get("KeyPolicy"))
        for pattern in several(at(statement, "Condition.ArnLike.kms:EncryptionContext:aws:logs:arn"))
    ]
    return any(
        fnmatch.fnmatchcase(f"{where}:{group.properties['LogGroupName']}", pattern) for pattern in patterns
    )


@rule
def functions_have_their_own_roles(template: Template) -> Iterator[Broken]:
    """With a common role each function may do what any of them needs."""
    seen: dict[str, str] = {}
    for function in template.of("AWS::Lambda::Function"):
        for role in template.behind(function.properties.get("Role")):
            if role.id in seen:
                yield function.id, f"has the role of {seen[role.id]}"
            seen[role.id] = function.id
        if not template.behind(function.properties.get("Role")):
            yield function.id, "has a role from elsewhere"


_EACH = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
_S3_KEY = {"kms:Decrypt", "kms:GenerateDataKey"}
_DATABASE = {"rds-db:connect", *_LAMBDA_NETWORK}
_WRITES_DOCUMENTS = {
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    *_S3_KEY,
}
_TELLS_ITS_FAILURE = {"sqs:SendMessage", *_S3_KEY}
ACTIONS: Mapping[str, set[str]] = {
    "ApiFunction": {
        *_EACH,
        *_DATABASE,
        *_WRITES_DOCUMENTS,
        "kms:Sign",
        "kms:GetPublicKey",
        "transcribe:StartStreamTranscriptionWebSocket",
        "polly:SynthesizeSpeech",
        "ses:SendEmail",
        "secretsmanager:GetSecretValue",
    },
    "ChatFunction": {
        *_EACH,
        *_DATABASE,
        "kms:GetPublicKey",
        "kms:Decrypt",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "bedrock:InvokeModelWithResponseStream",
        "bedrock:Retrieve",
        "bedrock:ApplyGuardrail",
    },
    "ProcessingFunction": {
        *_EACH,
        *_DATABASE,
        *_WRITES_DOCUMENTS,
        "s3:GetObjectVersionTagging",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "textract:DetectDocumentText",
        "comprehendmedical:DetectEntitiesV2",
    },
    "MigrationFunction": {*_EACH, *_DATABASE, *_TELLS_ITS_FAILURE},
    "AuditHeadsFunction": {*_EACH, *_DATABASE, *_TELLS_ITS_FAILURE, "s3:PutObject", "s3:PutObjectRetention"},
    "AuditVerifyFunction": {
        *_EACH,
        *_DATABASE,
        *_TELLS_ITS_FAILURE,
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
    },
    "RotationFunction": {
        *_EACH,
        *_TELLS_ITS_FAILURE,
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:GetRandomPassword",
        "rds:ModifyDBInstance",
        "rds:DescribeDBInstances",
    },
    "HealthLakeFunction": {
        *_EACH,
        *_DATABASE,
        *_WRITES_DOCUMENTS,
        *_TELLS_ITS_FAILURE,
        "healthlake:StartFHIRImportJob",
        "healthlake:DescribeFHIRImportJob",
        "iam:PassRole",
    },
    "UrgentCallFunction": {
        *_EACH,
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "kms:Decrypt",
        "ssm:GetParameter",
        "connect:StartOutboundVoiceContact",
    },
}
"""What each function's code does, and Lambda does for it. A new right must be written here too."""


def actions_of(template: Template, function: Resource) -> set[str]:
    """Everything its role allows."""
    return {
        action
        for role in template.behind(function.properties.get("Role"))
        for statement in policies_of(template, role)
        if allows(statement)
        for action in several(statement.get("Action"))
    }


@rule
def functions_do_only_what_is_listed(template: Template) -> Iterator[Broken]:
    """A right that the code does not need helps only who has broken in."""
    for function in template.of("AWS::Lambda::Function"):
        for action in sorted(actions_of(template, function) - ACTIONS.get(function.id, set())):
            if "*" not in action:  # that is another rule's
                yield function.id, f"may {action}, which rights.ACTIONS does not have"


FOLDERS: Mapping[str, Mapping[str, set[str]]] = {
    "ApiFunction": {
        "s3:GetObject": {"c/*", "health"},
        "s3:GetObjectVersion": {"c/*", "health"},
        "s3:PutObject": {"c/*", "q/*"},
        "s3:DeleteObject": {"*"},
        "s3:DeleteObjectVersion": {"*"},
    },
    "ChatFunction": {"s3:GetObject": {"t/*"}, "s3:GetObjectVersion": {"t/*"}},
    "ProcessingFunction": {
        "s3:GetObject": {"c/*"},
        "s3:GetObjectVersion": {"c/*"},
        "s3:GetObjectVersionTagging": {"c/*"},
        "s3:PutObject": {"q/*", "t/*"},
        "s3:DeleteObject": {"*"},
        "s3:DeleteObjectVersion": {"*"},
    },
}
"""What each function's code does with which of the patients' documents (services/uploads.Place): c/ a document, q/ quarantine, t/ its text."""
_DOCUMENTS = "⟨DocumentsBucket.Arn⟩/"


def folders_of(template: Template, function: Resource) -> dict[str, set[str]]:
    """By action, the keys of documents that its role allows it with."""
    found: dict[str, set[str]] = {}
    for role in template.behind(function.properties.get("Role")):
        for statement in policies_of(template, role):
            for resource in several(statement.get("Resource")) if allows(statement) else ():
                for action in (
                    several(statement.get("Action")) if str(resource).startswith(_DOCUMENTS) else ()
                ):
                    found.setdefault(action, set()).add(resource.removeprefix(_DOCUMENTS))
    return found


@rule
def documents_are_reached_by_folder(template: Template) -> Iterator[Broken]:
    """Else one mistake with a key hands out what is in quarantine, or plants text that the assistant believes."""
    for function in template.of("AWS::Lambda::Function"):
        may = FOLDERS.get(function.id, {})
        for action, keys in folders_of(template, function).items():
            if "*" in action:
                continue  # that is another rule's
            for key in sorted(keys - may.get(action, set())):
                yield function.id, f"may {action} of {key}, which rights.FOLDERS does not have"


_NEGATED = ("notequals", "notlike")


def _exemptions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Condition keys and values that a Deny is not for."""
    for test, facts in statement.get("Condition", {}).items():
        if any(part in test.lower() for part in _NEGATED):
            for key, values in facts.items():
                for value in several(values):
                    yield key.lower(), str(value)


@rule
def nobody_names_himself_out_of_a_denial(template: Template) -> Iterator[Broken]:
    """Who may make roles gives one the name that is exempt."""
    for one, statement in [*of_identities(template), *of_resources(template), *of_keys(template)]:
        for key, value in _exemptions(statement) if not allows(statement) else ():
            if key.startswith("aws:principal") and re.search(r"[*?]", value):
                yield one.id, f"denies to all but {value}, whoever that is"


@rule
def a_denial_is_for_what_is_said(template: Template) -> Iterator[Broken]:
    """A negated test, with IfExists or without, holds for a header that is not sent: S3 would refuse every upload that says nothing."""
    for one, statement in of_resources(template):
        if allows(statement):
            continue
        must_be_there = {
            key.lower()
            for key, value in statement.get("Condition", {}).get("Null", {}).items()
            if str(value).lower() == "false"
        }
        for key in sorted({key for key, _ in _exemptions(statement) if key.startswith("s3:x-amz-")}):
            if key not in must_be_there:
                yield one.id, f"refuses who does not say {key}"


@rule
def nobody_is_everybody(template: Template) -> Iterator[Broken]:
    """Who is allowed is named, or bound by a condition on who asks."""
    bound = {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceaccount",
        "aws:sourcearn",
    }
    for one, statement in of_resources(template):
        if not allows(statement):
            continue
        principal = statement.get("Principal")
        if is_anybody(principal) and not condition_keys(statement) & bound:
            yield one.id, "allows everybody"
        is_service = isinstance(principal, dict) and "Service" in principal
        if is_service and not condition_keys(statement) & bound:
            yield one.id, f"{principal} may come for any account"


def _sources(statement: Mapping[str, Any]) -> list[str]:
    """The resources that a service may act for."""
    return [
        str(value)
        for facts in statement.get("Condition", {}).values()
        for key, values in facts.items()
        if key.lower() == "aws:sourcearn"
        for value in several(values)
    ]


@rule
def queues_take_from_the_named(template: Template) -> Iterator[Broken]:
    """Whoever may make a rule could else give a function work; and a rule whose name is misspelt here gives none."""
    for policy in template.of("AWS::SQS::QueuePolicy"):
        for statement in statements(policy.properties.get("PolicyDocument")):
            principal = statement.get("Principal")
            is_service = allows(statement) and isinstance(principal, dict) and "Service" in principal
            if not is_service or not statement.get("Condition"):  # no condition at all is another rule's
                continue
            if not _sources(statement) or any(re.search(r"[*?]", source) for source in _sources(statement)):
                yield policy.id, f"{statement.get('Sid')} does not name who sends"
    for rule_ in template.of("AWS::Events::Rule"):
        goals = [target.get("Arn") for target in rule_.properties.get("Targets", ())]
        goals += [at(target, "DeadLetterConfig.Arn") for target in rule_.properties.get("Targets", ())]
        for queue in template.behind(goals):
            if queue.type == "AWS::SQS::Queue" and not _may_send(template, rule_, queue):
                yield rule_.id, f"may not send to {queue.id}"


def _may_send(template: Template, sender: Resource, queue: Resource) -> bool:
    name = sender.properties.get("Name")
    return any(
        not _sources(statement)
        or any(
            sender.id in named(source) or source.endswith(f":rule/{name}") for source in _sources(statement)
        )
        for policy in template.of("AWS::SQS::QueuePolicy")
        if queue.id in named(policy.properties.get("Queues"))
        for statement in statements(policy.properties.get("PolicyDocument"))
        if allows(statement) and "events.amazonaws.com" in several(at(statement, "Principal.Service"))
    )


_OWN_BUCKETS = "arn:aws:s3:::health-helper-"
"""The stack's name comes first in theirs, but the name of a bucket belongs to whoever took it first."""


@rule
def the_way_to_s3_ends_at_ours(template: Template) -> Iterator[Broken]:
    """Names of buckets are of the whole world: a pattern is a way out for who owns one that fits it."""
    for one in template.of("AWS::EC2::VPCEndpoint"):
        if not str(one.properties.get("ServiceName")).endswith(".s3"):
            continue
        for statement in statements(one.properties.get("PolicyDocument")):
            for resource in several(statement.get("Resource")) if allows(statement) else ():
                bucket = str(resource).partition("/")[0]
                is_ours = bucket.startswith(_OWN_BUCKETS) and _is_of_this_account(statement)
                if not template.behind(bucket) and re.search(r"[*?]", bucket) and not is_ours:
                    yield one.id, f"leads to {bucket}, whoever owns it"


def _is_of_this_account(statement: Mapping[str, Any]) -> bool:
    return any(
        key.lower() == "aws:resourceaccount" and several(value) == [ACCOUNT]
        for test, facts in statement.get("Condition", {}).items()
        if test in {"StringEquals", "ArnEquals"}
        for key, value in facts.items()
    )


@rule
def endpoints_have_policies(template: Template) -> Iterator[Broken]:
    """Without one a private way to a service leads to everybody's account."""
    for one in template.of("AWS::EC2::VPCEndpoint"):
        if not statements(one.properties.get("PolicyDocument")):
            yield one.id, "leads everywhere"


@rule
def functions_are_called_by_the_named(template: Template) -> Iterator[Broken]:
    """No URL without sign-in, and no service that calls for somebody else."""
    for one in template.of("AWS::Lambda::Url"):
        if one.properties.get("AuthType") != "AWS_IAM":
            yield one.id, "can be called by everybody"
    for one in template.of("AWS::Lambda::Permission"):
        facts = one.properties
        if facts.get("Principal") == "*" or not (facts.get("SourceArn") or facts.get("SourceAccount")):
            yield one.id, "can be called for anybody"
        if facts.get("Principal") == "s3.amazonaws.com" and not facts.get("SourceAccount"):
            yield one.id, "can be called for a bucket of the same name in another account"
