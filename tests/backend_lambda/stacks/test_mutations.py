"""The rules can fail: one harm of each kind, done to the real templates, is seen by the rule that is meant to see it, and by no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.backend_lambda.stacks import rules, templates
from tests.backend_lambda.stacks.reading import RULES, Finding, several
from tests.backend_lambda.stacks.templates import Configuration

Change = Callable[[dict[str, Any]], None]
EVERYTHING = "core, production, everything"


@dataclass(frozen=True, slots=True)
class Mutation:
    """what is done, in words; to which configuration; which rule sees it."""

    what: str
    rule: str
    change: Change
    configuration: str = EVERYTHING

    def __str__(self) -> str:
        return self.what


def _step(node: Any, step: str) -> Any:
    return node[int(step)] if isinstance(node, list) else node[step]


def put(path: str, value: Any) -> Change:
    """path: steps with "/" between them, such as "Resources/Api/Properties/Body"; what is not on the way is made."""

    def change(source: dict[str, Any]) -> None:
        *way, last = path.split("/")
        node: Any = source
        for step in way:
            if isinstance(node, dict):
                node = node.setdefault(step, {})
            else:
                node = node[int(step)]
        node[int(last) if isinstance(node, list) else last] = value

    return change


def of(resource: str, path: str, value: Any) -> Change:
    """Of a resource's properties."""
    return put(f"Resources/{resource}/Properties/{path}", value)


def without(path: str) -> Change:
    def change(source: dict[str, Any]) -> None:
        *way, last = path.split("/")
        node: Any = source
        for step in way:
            node = _step(node, step)
        del node[int(last) if isinstance(node, list) else last]

    return change


def lacks(resource: str, path: str) -> Change:
    return without(f"Resources/{resource}/Properties/{path}")


def more(resource: str, path: str, value: Any) -> Change:
    """One more at the end of a list, which is made where there is none."""

    def change(source: dict[str, Any]) -> None:
        node: Any = source["Resources"][resource]["Properties"]
        *way, last = path.split("/")
        for step in way:
            node = _step(node, step)
        node.setdefault(last, [])
        node[last] = [*node[last], value]

    return change


def right(resource: str, which: str, document: str = "PolicyDocument", **facts: Any) -> Change:
    """Changes the statement with this action or Sid. A fact of None is taken away."""

    def change(source: dict[str, Any]) -> None:
        for one in source["Resources"][resource]["Properties"][document]["Statement"]:
            options = [one, *one["Fn::If"][1:]] if "Fn::If" in one else [one]
            for statement in options:
                if which in several(statement.get("Action")) or which == statement.get("Sid"):
                    for name, value in facts.items():
                        if value is None:
                            del statement[name]
                        else:
                            statement[name] = value
                    return
        raise AssertionError(f"{resource} has no {which}")

    return change


def no_right(resource: str, which: str, document: str = "PolicyDocument") -> Change:
    def change(source: dict[str, Any]) -> None:
        held = source["Resources"][resource]["Properties"][document]
        kept = [one for one in held["Statement"] if which != one.get("Sid")]
        assert len(kept) == len(held["Statement"]) - 1
        held["Statement"] = kept

    return change


def if_copied(resource: str, change: Callable[[list[Any]], list[Any]]) -> Change:
    """Of the statements that are there only where the documents are erased elsewhere too."""

    def among(source: dict[str, Any]) -> None:
        document = source["Resources"][resource]["Properties"]["PolicyDocument"]
        depends = [one for one in document["Statement"] if one.get("Fn::If", [""])[0] == "ErasesCopy"]
        assert depends
        others = [one for one in document["Statement"] if one not in depends]
        document["Statement"] = [*others, *change(depends)]

    return among


def firewall(name: str, change: Callable[[dict[str, Any]], object]) -> Change:
    """Of a rule of the firewall, by its name."""

    def found(source: dict[str, Any]) -> None:
        for one in source["Resources"]["Firewall"]["Properties"]["Rules"]:
            for option in [one, *one["Fn::If"][1:]] if "Fn::If" in one else [one]:
                if option.get("Name") == name:
                    change(option)
                    return
        raise AssertionError(f"no rule {name}")

    return found


def with_path(statement: dict[str, Any], pattern: str) -> None:
    """Where a statement looks at the path, it looks for this."""
    for part in statement.values():
        if isinstance(part, dict):
            if "RegexString" in part:
                part["RegexString"] = pattern
            with_path(part, pattern)
        elif isinstance(part, list):
            for one in part:
                with_path({"": one}, pattern)


def plainly(statement: dict[str, Any]) -> None:
    """The path as it is written."""
    for part in statement.values():
        if isinstance(part, dict):
            if "TextTransformations" in part:
                part["TextTransformations"] = [{"Priority": 0, "Type": "NONE"}]
            plainly(part)


def without_metrics_of(path: str) -> Change:
    def change(source: dict[str, Any]) -> None:
        settings = source["Resources"]["ApiliveStage"]["Properties"]["MethodSettings"]
        (one,) = [one for one in settings if one["ResourcePath"] == path]
        one["MetricsEnabled"] = False

    return change


def routes(change: Callable[[dict[str, Any]], object]) -> Change:
    """Of the API's body."""
    return lambda source: void(change(source["Resources"]["Api"]["Properties"]["Body"]["paths"]))


def void(_: object) -> None:
    """What a change answers is of no interest."""


def all_of(*changes: Change) -> Change:
    def change(source: dict[str, Any]) -> None:
        for one in changes:
            one(source)

    return change


_ANY_BUCKET = {
    "Effect": "Allow",
    "Action": "s3:PutBucketPolicy",
    "Resource": {"Fn::GetAtt": ["DocumentsBucket", "Arn"]},
}
_PASSES = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": {"Fn::GetAtt": ["ApiRole", "Arn"]}}
_OPEN_QUEUE = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "sqs:SendMessage",
    "Resource": {"Fn::GetAtt": ["ArrivalsQueue", "Arn"]},
}
_OPEN_URL = {
    "Type": "AWS::Lambda::Url",
    "Properties": {"AuthType": "NONE", "TargetFunctionArn": {"Fn::GetAtt": ["ChatFunction", "Arn"]}},
}
_ADMIN = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::999999999999:role/x"},
    "Action": "kms:*",
    "Resource": "*",
    "Condition": {"Bool": {"a": "b"}},
}
_LIFTS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:BypassGovernanceRetention",
    "Resource": {"Fn::GetAtt": ["AuditBucket", "Arn"]},
    "Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*cloudformation*"}},
}
_ONLY_OUR_KEY = {
    "StringNotEqualsIfExists": {
        "s3:x-amz-server-side-encryption-aws-kms-key-id": {"Fn::GetAtt": ["DataKey", "Arn"]}
    }
}
_OF_OUR_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
_NEW_DOCUMENTS = {
    "Event": "s3:ObjectCreated:*",
    "Queue": {"Fn::GetAtt": ["ArrivalsQueue", "Arn"]},
    "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "c/"}]}},
}
_ANY_ANSWER = "arn:aws:s3:::cloudformation-custom-resource-response-*/*"
_OUR_PRINCIPALS = {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
_ALL_DOCUMENTS = {"Fn::Sub": "${DocumentsBucket.Arn}/*"}
_QUARANTINE = {"Fn::Sub": "${DocumentsBucket.Arn}/q/*"}
_BEHAVIOUR = "DistributionConfig/DefaultCacheBehavior"
_RIGHTS = (
    Mutation("all of S3", "actions_are_named", right("ApiPolicy", "s3:PutObject", Action="s3:*")),
    Mutation("everything", "actions_are_named", right("ChatPolicy", "kms:GetPublicKey", Action="*")),
    Mutation("all that begins with Get", "actions_are_named", right("AuditVerifyPolicy", "s3:GetObjectVersion", Action="s3:Get*")),
    Mutation("all but one action", "actions_are_named", right("FlowLogPolicy", "logs:PutLogEvents", NotAction="logs:DeleteLogGroup", Action=None)),
    Mutation("a queue lets its sender do all", "actions_are_named", right("ArrivalsQueuePolicy", "VerdictsOfGuardDuty", Action="sqs:*")),
    Mutation("a misspelt action", "actions_exist", right("FlowLogPolicy", "logs:PutLogEvents", Action=["logs:PutLogEvent"])),
    Mutation("signing with any key", "resources_are_named", right("ApiPolicy", "kms:Sign", Resource="*")),
    Mutation("any bucket's objects", "resources_are_named", right("ProcessingPolicy", "s3:PutObject", Resource="arn:aws:s3:::*")),
    Mutation("any model", "resources_are_named", right("ChatPolicy", "bedrock:Retrieve", Resource="arn:aws:bedrock:eu-central-1:111122223333:knowledge-base/*")),
    Mutation("any secret of any account", "resources_are_named", right("RotationPolicy", "secretsmanager:PutSecretValue", Resource="arn:aws:secretsmanager:eu-central-1:*:secret:health-helper/x")),
    Mutation("mail from any sender", "resources_are_named", right("ApiPolicy", "ses:SendEmail", Condition=None)),
    Mutation("the code may change the network", "resources_are_named", no_right("NetworkPolicy", "NotTheCode")),
    Mutation("a role for any service", "roles_are_passed_on_narrowly", more("DeploymentPolicy", "PolicyDocument/Statement", _PASSES)),
    Mutation("a role is trusted to a person's account", "trust_is_narrow", of("ApiRole", "AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "arn:aws:iam::999999999999:root"})),
    Mutation("a role is trusted to two services", "trust_is_narrow", of("ChatRole", "AssumeRolePolicyDocument/Statement/0/Principal/Service", ["lambda.amazonaws.com", "ec2.amazonaws.com"])),
    Mutation("a role acts for any account", "trust_is_narrow", lacks("KnowledgeRole", "AssumeRolePolicyDocument/Statement/0/Condition")),
    Mutation("a role that its service cannot take", "trust_is_narrow", of("GatewayLogRole", "AssumeRolePolicyDocument/Statement/0/Condition", _OF_OUR_ACCOUNT)),
    Mutation("a policy of AWS", "no_policies_of_others", of("ApiRole", "ManagedPolicyArns", ["arn:aws:iam::aws:policy/PowerUserAccess"])),
    Mutation("a key is open to all", "keys_say_who", more("DataKey", "KeyPolicy/Statement", {**_ADMIN, "Principal": "*", "Action": "kms:Decrypt"})),
    Mutation("a key without a condition", "keys_say_who", right("DataKey", "QueuesAndTopics", "KeyPolicy", Condition=None)),
    Mutation("a key is given to another account", "keys_say_who", more("SigningKey", "KeyPolicy/Statement", _ADMIN)),
    Mutation("a key without the logs", "keys_let_their_services_work", no_right("DataKey", "Logs", "KeyPolicy")),
    Mutation("a log that the key does not mean", "keys_let_their_services_work", of("AccessLog", "LogGroupName", "/elsewhere/edge"), "edge, production"),
    Mutation("a key without the queues", "keys_let_their_services_work", no_right("DataKey", "QueuesAndTopics", "KeyPolicy"), "core, production"),
    Mutation("a key without CloudFront", "keys_let_their_services_work", no_right("Key", "CloudFrontReads", "KeyPolicy"), "edge, production"),
    Mutation("two functions share a role", "functions_have_their_own_roles", of("AuditHeadsFunction", "Role", {"Fn::GetAtt": ["MigrationRole", "Arn"]})),
    Mutation("the API may open the bucket", "functions_do_only_what_is_listed", more("ApiPolicy", "PolicyDocument/Statement", _ANY_BUCKET)),
    Mutation("the chat may sign", "functions_do_only_what_is_listed", right("ChatPolicy", "kms:GetPublicKey", Action=["kms:GetPublicKey", "kms:Sign"])),
    Mutation("the queue takes messages from all", "nobody_is_everybody", more("ArrivalsQueuePolicy", "PolicyDocument/Statement", _OPEN_QUEUE)),
    Mutation("a service for any account", "nobody_is_everybody", right("DeadLettersPolicy", "VerdictsThatCouldNotBeDelivered", Condition=None)),
    Mutation("CloudFront for any account", "nobody_is_everybody", right("FilesPolicy", "OurDistributionReads", Condition=None), "edge, production"),
    Mutation("a way to everybody's buckets", "endpoints_have_policies", lacks("S3Endpoint", "PolicyDocument")),
    Mutation("a function's open URL", "functions_are_called_by_the_named", put("Resources/Door", _OPEN_URL)),
    Mutation("any API may call", "functions_are_called_by_the_named", lacks("ApiInvocation", "SourceArn")),
    Mutation("the API hands out quarantine", "documents_are_reached_by_folder", right("ApiPolicy", "s3:GetObject", Resource=_ALL_DOCUMENTS)),
    Mutation("the API writes what the assistant reads", "documents_are_reached_by_folder", right("ApiPolicy", "s3:PutObject", Resource=_ALL_DOCUMENTS)),
    Mutation("processing reads quarantine", "documents_are_reached_by_folder", right("ProcessingPolicy", "s3:GetObject", Resource=[_QUARANTINE])),
    Mutation("the chat reads the documents", "documents_are_reached_by_folder", right("ChatPolicy", "s3:GetObject", Resource={"Fn::Sub": "${DocumentsBucket.Arn}/c/*"})),
    Mutation("any rule gives work", "queues_take_from_the_named", right("ArrivalsQueuePolicy", "VerdictsOfGuardDuty", Condition=_OF_OUR_ACCOUNT)),
    Mutation("any rule that begins so gives work", "queues_take_from_the_named", right("ArrivalsQueuePolicy", "VerdictsOfGuardDuty", Condition={"ArnLike": {"aws:SourceArn": "arn:aws:events:eu-central-1:111122223333:rule/health-helper-*"}})),
    Mutation("a rule by another name", "queues_take_from_the_named", of("MalwareVerdicts", "Name", "health-helper-verdicts")),
    Mutation("a way to whoever owns a name", "the_way_to_s3_ends_at_ours", right("S3Endpoint", "AnswersToCloudFormation", Resource=_ANY_ANSWER)),
    Mutation("a way to whoever takes our name", "the_way_to_s3_ends_at_ours", right("S3Endpoint", "OurBuckets", Condition=_OUR_PRINCIPALS)),
    Mutation("a lock that a name opens", "nobody_names_himself_out_of_a_denial", more("AuditBucketPolicy", "PolicyDocument/Statement", _LIFTS)),
    Mutation("an upload must name the key", "a_denial_is_for_what_is_said", right("DocumentsBucketPolicy", "OnlyOurKey", Condition=_ONLY_OUR_KEY)),
    Mutation("a topic that rules cannot write to", "keys_let_their_services_work", right("DataKey", "Events", "KeyPolicy", Condition=_OF_OUR_ACCOUNT)),
    Mutation("a key without its rules", "keys_let_their_services_work", no_right("DataKey", "Events", "KeyPolicy")),
    Mutation("a person stays in the first region", "persons_are_erased_everywhere", of("ApiFunction", "Environment/Variables/HH_DOCUMENTS_COPY", {"Fn::If": ["CopiesBuckets", "a@b", ""]}), "core, promoted"),
    Mutation("a person may not be erased in the first region", "persons_are_erased_everywhere", if_copied("ApiPolicy", lambda held: held[:-1]), "core, promoted"),
    Mutation("a person stays in the copy", "persons_are_erased_everywhere", if_copied("ApiPolicy", lambda held: held[1:])),
)  # fmt: skip
_ENCRYPTION = (
    Mutation("a queue in the clear", "everything_is_encrypted_at_rest", lacks("ArrivalsQueue", "KmsMasterKeyId")),
    Mutation("a topic with AWS's key", "everything_is_encrypted_at_rest", all_of(of("Alarms", "KmsMasterKeyId", "alias/aws/sns"), right("DataKey", "Events", "KeyPolicy", Condition=_OF_OUR_ACCOUNT))),
    Mutation("a database in the clear", "everything_is_encrypted_at_rest", of("Database", "StorageEncrypted", False)),
    Mutation("a log in the clear", "everything_is_encrypted_at_rest", lacks("ChatLogGroup", "KmsKeyId")),
    Mutation("a bucket with AWS's key", "everything_is_encrypted_at_rest", of("DocumentsBucket", "BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault", {"SSEAlgorithm": "AES256"})),
    Mutation("settings in the clear", "everything_is_encrypted_at_rest", lacks("ApiFunction", "KmsKeyArn")),
    Mutation("a secret with AWS's key", "everything_is_encrypted_at_rest", lacks("OwnerSecret", "KmsKeyId")),
    Mutation("vectors with AWS's key", "everything_is_encrypted_at_rest", lacks("Vectors", "EncryptionConfiguration")),
    Mutation("a key that stays", "keys_rotate", of("DataKey", "EnableKeyRotation", False)),
    Mutation("a key that is soon gone", "keys_rotate", of("AuditKey", "PendingWindowInDays", 7)),
    Mutation("a bucket without TLS", "only_tls_is_spoken", no_right("DocumentsBucketPolicy", "OnlyTls")),
    Mutation("a queue without TLS", "only_tls_is_spoken", no_right("ArrivalsQueuePolicy", "OnlyTls")),
    Mutation("a topic without TLS", "only_tls_is_spoken", no_right("AlarmTopicPolicy", "OnlyTls"), "edge, production"),
    Mutation("a database without TLS", "only_tls_is_spoken", of("DatabaseParameters", "Parameters/rds.force_ssl", "0")),
    Mutation("a proxy without TLS", "only_tls_is_spoken", of("Proxy", "RequireTLS", False)),
    Mutation("an API with old TLS", "only_tls_is_spoken", of("ApiName", "SecurityPolicy", "TLS_1_0")),
    Mutation("an edge without TLS", "only_tls_is_spoken", of("Distribution", f"{_BEHAVIOUR}/ViewerProtocolPolicy", "allow-all"), "edge, production"),
    Mutation("an edge with old TLS", "only_tls_is_spoken", of("Distribution", "DistributionConfig/ViewerCertificate/Fn::If/1/MinimumProtocolVersion", "TLSv1"), "edge, production"),
    Mutation("a database whose name is not verified", "urls_of_the_database_verify", of("ChatFunction", "Environment/Variables/HH_DATABASE_URL", "postgresql://chat@p:5432/health?sslmode=require")),
    Mutation("a password in the template", "no_secret_is_written_down", all_of(lacks("OwnerSecret", "GenerateSecretString"), of("OwnerSecret", "SecretString", "correct horse"))),
)  # fmt: skip
_PUBLIC = (
    Mutation("a bucket that may be opened", "buckets_are_private", of("DocumentsBucket", "PublicAccessBlockConfiguration/BlockPublicPolicy", False)),
    Mutation("an open bucket", "buckets_are_private", of("ArticlesBucket", "AccessControl", "PublicRead")),
    Mutation("a bucket whose objects are others'", "buckets_are_private", lacks("Files", "OwnershipControls"), "edge, dev"),
    Mutation("a bucket that forgets", "buckets_keep_versions", of("DocumentsBucket", "VersioningConfiguration/Status", "Suspended")),
    Mutation("an audit that can be unlocked", "audit_is_locked", of("AuditBucket", "ObjectLockConfiguration/Rule/Fn::If/1/DefaultRetention/Mode", "GOVERNANCE")),
    Mutation("a database in the internet", "databases_are_private_and_kept", of("Database", "PubliclyAccessible", True)),
    Mutation("a database in one zone", "databases_are_private_and_kept", of("Database", "MultiAZ", False)),
    Mutation("a database that is soon deleted", "databases_are_private_and_kept", of("Database", "DeletionProtection", False)),
    Mutation("a database with a day of backups", "databases_are_private_and_kept", of("Database", "BackupRetentionPeriod", 1)),
    Mutation("a proxy that takes passwords", "databases_are_private_and_kept", of("Proxy", "Auth/0/IAMAuth", "DISABLED")),
    Mutation("a database open to all addresses", "gates_are_narrow", all_of(lacks("DatabaseFromProxy", "SourceSecurityGroupId"), of("DatabaseFromProxy", "CidrIp", "0.0.0.0/0"))),
    Mutation("a database with a way to the internet", "what_holds_data_has_no_way_out", of("DatabaseSubnets", "SubnetIds", [{"Ref": "PrivateA"}, {"Ref": "PrivateB"}])),
    Mutation("strangers' files are opened beside the internet", "what_holds_data_has_no_way_out", of("ProcessingFunction", "VpcConfig/SubnetIds", [{"Ref": "PrivateA"}])),
    Mutation("strangers' files are opened without a network", "what_holds_data_has_no_way_out", lacks("ProcessingFunction", "VpcConfig")),
    Mutation("a password for ever", "secrets_change", without("Resources/OwnerSecretRotation")),
    Mutation("a password for ever after a failover", "secrets_change", put("Resources/OwnerSecretRotation/Condition", "IsFirst"), "core, promoted"),
    Mutation("a password that a standby's rotation changes", "secrets_change", of("OwnerSecretRotation", "SecretId", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:another"), "core, promoted"),
    Mutation("a secret's copy under AWS's key", "copies_of_secrets_are_under_our_key", of("OwnerSecret", "ReplicaRegions", [{"Region": {"Ref": "OtherRegion"}}])),
    Mutation("all protocols out", "gates_are_narrow", of("ApiSecurityGroup", "SecurityGroupEgress/0/IpProtocol", "-1")),
    Mutation("all ports in", "gates_are_narrow", of("ProxyFromApi", "FromPort", 0)),
    Mutation("a database that may call out", "gates_are_narrow", lacks("DatabaseSecurityGroup", "SecurityGroupEgress")),
    Mutation("an API without a firewall", "a_firewall_stands_before", without("Resources/FirewallBeforeApi")),
    Mutation("a firewall that only counts", "a_firewall_stands_before", of("Firewall", "Rules/4/OverrideAction", {"Count": {}})),
    Mutation("an edge without a firewall", "a_firewall_stands_before", lacks("Distribution", "DistributionConfig/WebACLId"), "edge, production"),
    Mutation("records shut the chat", "an_emergency_does_not_wait_for_records", firewall("one-address", lambda one: one["Statement"]["RateBasedStatement"].pop("ScopeDownStatement"))),
    Mutation("records shut the chat under its own name", "an_emergency_does_not_wait_for_records", firewall("one-address", lambda one: with_path(one["Statement"], "^/live/v1/chat$"))),
    Mutation("questions without end", "an_emergency_does_not_wait_for_records", firewall("one-address-asks", lambda one: one.update(Action={"Count": {}}))),
    Mutation("a path in disguise", "a_path_in_disguise_is_counted", firewall("one-address-before-sign-in", lambda one: plainly(one["Statement"]))),
    Mutation("Route 53 is from abroad", "health_is_told_to_all_the_world", firewall("only-these-countries", lambda one: one.update(Statement=one["Statement"]["AndStatement"]["Statements"][0]))),
    Mutation("who asks for the health may ask for more", "health_is_told_to_all_the_world", firewall("only-these-countries", lambda one: with_path(one["Statement"], "/v1/health"))),
    Mutation("one address without end", "a_firewall_stands_before", of("Firewall", "Rules/1/Action", {"Count": {}}), "edge, production"),
)  # fmt: skip
_WATCHING = (
    Mutation("no alarm for a function", "everything_is_watched", without("Resources/AuditVerifyErrorsAlarm")),
    Mutation("no alarm for throttling", "everything_is_watched", without("Resources/ChatThrottlesAlarm")),
    Mutation("no alarm for old messages", "everything_is_watched", without("Resources/ArrivalsAgeAlarm")),
    Mutation("no alarm for dead letters", "everything_is_watched", without("Resources/MaintenanceDeadLettersAlarm")),
    Mutation("no alarm for the disk", "everything_is_watched", without("Resources/DatabaseStorageAlarm")),
    Mutation("no alarm for the replica's lag", "everything_is_watched", without("Resources/ReplicaLagAlarm")),
    Mutation("no alarm for the API", "everything_is_watched", without("Resources/ApiLatencyAlarm")),
    Mutation("no alarm for the edge", "everything_is_watched", without("Resources/ErrorsAlarm"), "edge, production"),
    Mutation("an alarm for another metric", "everything_is_watched", of("DatabaseCpuAlarm", "MetricName", "NetworkReceiveThroughput")),
    Mutation("an alarm for nothing", "everything_is_watched", of("ProxyBorrowAlarm", "Namespace", "AWS/Rds")),
    Mutation("an alarm that never sounds", "alarms_can_sound", of("ProcessingDurationAlarm", "Threshold", 10_000_000)),
    Mutation("an alarm after a thousand dead letters", "alarms_can_sound", of("MaintenanceDeadLettersAlarm", "Threshold", 1000)),
    Mutation("an alarm that tells nobody", "alarms_are_heard", lacks("DatabaseCpuAlarm", "AlarmActions")),
    Mutation("an alarm that is off", "alarms_are_heard", of("ArrivalsAgeAlarm", "ActionsEnabled", False)),
    Mutation("an alarm that is silent about silence", "alarms_are_heard", lacks("ErrorsAlarm", "TreatMissingData"), "edge, production"),
    Mutation("a queue that tries for ever", "queues_have_dead_letters", lacks("ArrivalsQueue", "RedrivePolicy")),
    Mutation("dead letters that are soon gone", "queues_have_dead_letters", lacks("MaintenanceDeadLetters", "MessageRetentionPeriod")),
    Mutation("a log for ever", "logs_end_and_are_ours", lacks("ApiLogGroup", "RetentionInDays")),
    Mutation("an access log for a month", "logs_end_and_are_ours", of("ApiAccessLogGroup", "RetentionInDays", 30)),
    Mutation("a function whose log AWS makes", "logs_end_and_are_ours", of("ProcessingLogGroup", "LogGroupName", "/aws/lambda/another")),
    Mutation("a firewall without a log", "logs_end_and_are_ours", without("Resources/FirewallLogging"), "edge, production"),
    Mutation("paths with ids in the log", "logs_name_nobody", of("ApiliveStage", "AccessLogSetting/Format", '{"route":"$context.resourcePath","path":"$context.path"}')),
    Mutation("statements in the database's log", "logs_name_nobody", of("DatabaseParameters", "Parameters/log_statement", "all")),
    Mutation("a network without a log", "networks_are_watched", of("FlowLog", "TrafficType", "REJECT")),
    Mutation("addresses in the traces", "logs_name_nobody", of("ApiliveStage", "TracingEnabled", True)),
    Mutation("a changed audit is soon all right", "what_has_happened_is_not_told_to_be_over", of("AuditFlawsAlarm", "OKActions", [{"Ref": "Alarms"}])),
    Mutation("bodies in the log", "logs_name_nobody", of("ApiliveStage", "MethodSettings/0/DataTraceEnabled", True)),
    Mutation("addresses in the edge's log", "logs_name_nobody", more("LogDelivery", "RecordFields", "c-ip"), "edge, production"),
    Mutation("samples of requests", "logs_name_nobody", of("Firewall", "VisibilityConfig/SampledRequestsEnabled", True)),
    Mutation("a function without a trace", "requests_are_traced", of("ChatFunction", "TracingConfig/Mode", "PassThrough")),
)  # fmt: skip
_FUNCTIONS = (
    Mutation("another processor", "functions_are_as_agreed", of("ApiFunction", "Architectures", ["x86_64"])),
    Mutation("no share of the account", "functions_are_as_agreed", of("ChatFunction", "ReservedConcurrentExecutions", {"Fn::If": ["IsProduction", {"Ref": "AWS::NoValue"}, {"Ref": "ChatConcurrency"}]})),
    Mutation("failures are lost", "functions_are_as_agreed", lacks("AuditHeadsFunction", "DeadLetterConfig")),
    Mutation("a library before ours", "functions_are_as_agreed", of("ApiFunction", "Environment/Variables/LD_PRELOAD", "/tmp/x.so")),
    Mutation("all at once", "new_versions_come_slowly", of("ApiFunctionDeploymentGroup", "DeploymentConfigName", "CodeDeployDefault.LambdaAllAtOnce")),
    Mutation("a canary that nobody hears", "new_versions_come_slowly", of("ChatFunctionDeploymentGroup", "AlarmConfiguration", {"Enabled": False})),
    Mutation("a canary that sees no 500", "a_version_that_answers_500_goes_back", of("ApiFunctionDeploymentGroup", "AlarmConfiguration/Alarms", [{"Name": {"Ref": "ApiCanaryAlarm"}}])),
    Mutation("a canary that sees no 500 of the chat", "a_version_that_answers_500_goes_back", of("ChatFunctionDeploymentGroup", "AlarmConfiguration/Alarms", [{"Name": {"Ref": "ChatCanaryAlarm"}}])),
    Mutation("a canary that sees it too late", "a_version_that_answers_500_goes_back", of("ApiCanaryFaultsAlarm", "Period", 300)),
    Mutation("a canary that waits for a fifth look", "a_version_that_answers_500_goes_back", of("ChatCanaryAnswersAlarm", "EvaluationPeriods", 5)),
    Mutation("a canary that looks at another route", "a_version_that_answers_500_goes_back", of("ChatCanaryAnswersAlarm", "Dimensions/2/Value", "/v1/observations")),
    Mutation("an alarm on what is not measured", "what_alarms_look_at_is_measured", without_metrics_of("/~1v1~1chat")),
    Mutation("a route is missing", "routes_are_those_of_the_code", routes(lambda paths: paths.pop("/v1/audit"))),
    Mutation("a route too many", "routes_are_those_of_the_code", routes(lambda paths: paths.update({"/v1/debug": paths["/v1/config"]}))),
    Mutation("a chat that does not stream", "routes_are_those_of_the_code", routes(lambda paths: paths["/v1/chat"]["post"]["x-amazon-apigateway-integration"].pop("responseTransferMode"))),
    Mutation("no limit", "requests_are_throttled", lacks("ApiliveStage", "MethodSettings/0/ThrottlingRateLimit")),
    Mutation("a limit for nothing", "requests_are_throttled", of("ApiliveStage", "MethodSettings/1/ResourcePath", "/~1v1~1tokens")),
    Mutation("a standby looks at copies", "a_standby_waits", of("DocumentsBucket", "NotificationConfiguration", {"QueueConfigurations": [_NEW_DOCUMENTS]}), "core, standby"),
    Mutation("a standby keeps heads", "a_standby_waits", all_of(without("Resources/EveryHour/Condition"), without("Resources/EveryHourPermission/Condition")), "core, standby"),
    Mutation("all objects start processing", "only_new_documents_start_processing", of("DocumentsBucket", "NotificationConfiguration/Fn::If/2/QueueConfigurations/0/Filter/S3Key/Rules/0/Value", ""), "core, production"),
    Mutation("all verdicts start processing", "only_new_documents_start_processing", of("MalwareVerdicts", "EventPattern/detail/s3ObjectDetails/objectKey", [{"prefix": ""}])),
    Mutation("a misspelt variable", "variables_are_those_of_the_settings", of("ApiFunction", "Environment/Variables/HH_DOCUMENT_BUCKET", "x")),
    Mutation("a variable is missing", "variables_are_those_of_the_settings", lacks("ProcessingFunction", "Environment/Variables/HH_OIDC_ISSUERS")),
    Mutation("a stand-in in the cloud", "variables_are_those_of_the_settings", of("ChatFunction", "Environment/Variables/HH_AWS_ENDPOINT_URL", "http://127.0.0.1")),
    Mutation("a handler that is not there", "handlers_exist", of("ApiFunction", "Handler", "backend_lambda.handler.handle")),
)  # fmt: skip
_TEMPLATE = (
    Mutation("a database that goes with its stack", "what_holds_data_is_kept", put("Resources/Database/DeletionPolicy", "Delete")),
    Mutation("a bucket that goes with its stack", "what_holds_data_is_kept", without("Resources/DocumentsBucket/UpdateReplacePolicy")),
    Mutation("a key that goes with its stack", "what_holds_data_is_kept", without("Resources/Key/DeletionPolicy"), "edge, production"),
    Mutation("a first try that leaves its bucket", "a_second_try_finds_its_names_free", put("Resources/DocumentsBucket/DeletionPolicy", "Retain")),
    Mutation("a first try that leaves its log", "a_second_try_finds_its_names_free", put("Resources/ApiLogGroup/DeletionPolicy", "Retain")),
    Mutation("a bucket that is retained only the first time", "what_holds_data_is_kept", put("Resources/DocumentsBucket/UpdateReplacePolicy", "RetainExceptOnCreate")),
    Mutation("a parameter without a description", "parameters_are_described", without("Parameters/Residency/Description")),
    Mutation("a parameter that takes anything", "parameters_are_described", without("Parameters/OidcAudience/AllowedPattern")),
    Mutation("a secret for a default", "parameters_are_described", put("Parameters/DeepgramSecret/Default", "arn:aws:x:secretsmanager:x:secret:x")),
    Mutation("a parameter that nobody uses", "parameters_are_described", all_of(put("Parameters/Unused", {"Type": "String", "Default": "a", "AllowedValues": ["a"], "Description": "Nobody asks for it"}), put("Metadata/AWS::CloudFormation::Interface/ParameterGroups/0/Parameters/0", "Unused"), put("Metadata/AWS::CloudFormation::Interface/ParameterGroups/1/Parameters/0", "Stage"))),
    Mutation("a template that says nothing", "the_template_says_what_it_is", put("Description", "")),
    Mutation("an output that says nothing", "the_template_says_what_it_is", without("Outputs/Url/Description"), "edge, production"),
    Mutation("something that is there only sometimes", "nothing_refers_to_what_is_not_there", put("Resources/DatabaseSubnets/Condition", "IsStandby")),
    Mutation("waiting for nothing", "nothing_refers_to_what_is_not_there", put("Resources/Proxy/DependsOn", ["Nothing"])),
    Mutation("costs of nobody", "everything_is_tagged", lacks("DocumentsBucket", "Tags")),
    Mutation("a check is off for no reason", "suppressions_have_reasons", put("Resources/Api/Metadata/checkov/skip/0/comment", "")),
    Mutation("a check of HIPAA is off for no reason", "suppressions_have_reasons", put("Resources/Files/Metadata/cdk_nag/rules_to_suppress/0/reason", "later"), "edge, production"),
)  # fmt: skip
MUTATIONS = (*_RIGHTS, *_ENCRYPTION, *_PUBLIC, *_WATCHING, *_FUNCTIONS, *_TEMPLATE)


@cache
def _before(name: str) -> frozenset[Finding]:
    return frozenset(rules.findings(templates.template(name)))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_harm_is_seen_by_its_rule_alone(mutation: Mutation) -> None:
    configuration: Configuration = templates.template(mutation.configuration).configuration
    source = templates.source(configuration)
    mutation.change(source)
    found = set(rules.findings(templates.resolved(configuration, source))) - _before(mutation.configuration)
    assert {one.rule for one in found} == {mutation.rule}, found


def test_every_rule_is_shown_to_see_something() -> None:
    assert {one.rule for one in MUTATIONS} == set(RULES)


def test_they_are_many_and_different() -> None:
    assert len(MUTATIONS) >= 40
    assert len({one.what for one in MUTATIONS}) == len(MUTATIONS)
