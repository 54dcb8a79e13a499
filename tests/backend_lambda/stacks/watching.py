"""What is noticed: alarms, dead letters, logs, traces. And what no log may say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.backend_lambda.stacks.reading import SEVEN_YEARS_DAYS, Broken, at, rule
from tests.backend_lambda.stacks.templates import Resource, Template, named


@dataclass(frozen=True, slots=True)
class Watched:
    alarm: Resource
    namespace: str
    metric: str
    dimensions: Mapping[str, str]


def watched(template: Template) -> list[Watched]:
    """Every metric that an alarm looks at."""
    found = []
    for alarm in template.of("AWS::CloudWatch::Alarm"):
        parts = [alarm.properties]
        parts += [
            at(one, "MetricStat.Metric") for one in alarm.properties.get("Metrics", ()) if "MetricStat" in one
        ]
        for part in parts:
            if "MetricName" in part:
                dimensions = {one["Name"]: str(one["Value"]) for one in part.get("Dimensions", ())}
                found.append(Watched(alarm, part.get("Namespace", ""), part["MetricName"], dimensions))
    return found


def _is_it(one: Resource, value: str | None) -> bool:
    """Whether a dimension's value is this resource, by reference or by its name."""
    names = [str(name) for key, name in one.properties.items() if key in _NAMES]
    return value is not None and (one.id in named(value) or value in names)


_NAMES = {"FunctionName", "QueueName", "DBInstanceIdentifier", "DBProxyName", "Name", "ServerlessCacheName"}
_CACHE = "CurrConnections|BytesUsedForCache|ThrottledCmds"
_PROXY = "DatabaseConnectionsBorrowLatency|QueryDatabaseResponseLatency"
_WATCH: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "AWS::Lambda::Function": ("AWS/Lambda", "FunctionName", ("Errors", "Throttles", "Duration")),
    "AWS::RDS::DBInstance": (
        "AWS/RDS",
        "DBInstanceIdentifier",
        ("CPUUtilization", "FreeStorageSpace", "DatabaseConnections"),
    ),
    "AWS::RDS::DBProxy": ("AWS/RDS", "ProxyName", (_PROXY,)),
    "AWS::ApiGateway::RestApi": ("AWS/ApiGateway", "ApiName", ("5XXError", "Latency|IntegrationLatency")),
    "AWS::WAFv2::WebACL": ("AWS/WAFV2", "WebACL", ("BlockedRequests",)),
    "AWS::CloudFront::Distribution": ("AWS/CloudFront", "DistributionId", ("5xxErrorRate",)),
    "AWS::Kinesis::Stream": (
        "AWS/Kinesis",
        "StreamName",
        ("WriteProvisionedThroughputExceeded", "GetRecords.IteratorAgeMilliseconds"),
    ),
    "AWS::ElastiCache::ServerlessCache": ("AWS/ElastiCache", "clusterId|CacheClusterId", (_CACHE,)),
    "AWS::ElastiCache::ReplicationGroup": (
        "AWS/ElastiCache",
        "CacheClusterId|ReplicationGroupId",
        ("EngineCPUUtilization",),
    ),
}
"""Namespace, dimension, and the metrics that somebody must look at; "|": either."""


def _dead_letter_queues(template: Template) -> set[str]:
    """Where those end that nobody could work on."""
    ends = [at(one.properties, "RedrivePolicy.deadLetterTargetArn") for one in template.of("AWS::SQS::Queue")]
    ends += [at(one.properties, "DeadLetterConfig.TargetArn") for one in template.of("AWS::Lambda::Function")]
    ends += [
        at(one.properties, "DestinationConfig.OnFailure.Destination")
        for one in template.of("AWS::Lambda::EventInvokeConfig", "AWS::Lambda::EventSourceMapping")
    ]
    ends += [
        at(target, "DeadLetterConfig.Arn")
        for one in template.of("AWS::Events::Rule")
        for target in one.properties.get("Targets", ())
    ]
    return set(named(ends))


@rule
def everything_is_watched(template: Template) -> Iterator[Broken]:
    """What fails without a word is found by a patient."""
    looks = watched(template)
    dead = _dead_letter_queues(template)

    def is_watched(one: Resource, namespace: str, dimension: str, metric: str) -> bool:
        return any(
            (look.namespace, look.metric) in {(namespace, name) for name in metric.split("|")}
            and any(_is_it(one, look.dimensions.get(name)) for name in dimension.split("|"))
            for look in looks
        )

    for one in template.of(*_WATCH):
        namespace, dimension, metrics = _WATCH[one.type]
        for metric in metrics:
            if not is_watched(one, namespace, dimension, metric):
                yield one.id, f"no alarm looks at {metric}"
        # Once it is promoted it copies nobody; the template goes on naming what it came from, or it would be made anew.
        is_promoted = template.given.get("RegionRole") == "promoted" and one.id == "Database"
        is_copy = "SourceDBInstanceIdentifier" in one.properties and not is_promoted
        if is_copy and not is_watched(one, namespace, dimension, "ReplicaLag"):
            yield one.id, "no alarm looks at ReplicaLag"
    for one in template.of("AWS::SQS::Queue"):
        metric = "ApproximateNumberOfMessagesVisible" if one.id in dead else "ApproximateAgeOfOldestMessage"
        if not is_watched(one, "AWS/SQS", "QueueName", metric):
            yield one.id, f"no alarm looks at {metric}"


@rule
def alarms_can_sound(template: Template) -> Iterator[Broken]:
    """Above the time-out no duration is ever measured; and the first dead letter is one too many."""
    dead = [queue for queue in template.of("AWS::SQS::Queue") if queue.id in _dead_letter_queues(template)]
    for look in watched(template):
        threshold = float(look.alarm.properties.get("Threshold", 0))
        for function in template.of("AWS::Lambda::Function"):
            limit_ms = 1000 * int(function.properties.get("Timeout", 3))
            is_its = _is_it(function, look.dimensions.get("FunctionName"))
            if look.metric == "Duration" and is_its and not 0 < threshold < limit_ms:
                yield look.alarm.id, f"looks at more than the {limit_ms} ms after which it is ended"
        if look.metric == "ApproximateNumberOfMessagesVisible" and threshold > 1:
            if any(_is_it(queue, look.dimensions.get("QueueName")) for queue in dead):
                yield look.alarm.id, "does not sound at the first dead letter"


@rule
def alarms_are_heard(template: Template) -> Iterator[Broken]:
    """An alarm says what it means and what silence means, and tells somebody."""
    for alarm in template.of("AWS::CloudWatch::Alarm"):
        told = template.behind(alarm.properties.get("AlarmActions"))
        if (
            not any(one.type == "AWS::SNS::Topic" for one in told) and "AlarmTopicArn" not in template.given
        ) or not alarm.properties.get("AlarmActions"):
            yield alarm.id, "tells nobody"
        if alarm.properties.get("ActionsEnabled", True) is not True:
            yield alarm.id, "is switched off"
        if alarm.properties.get("TreatMissingData") not in {"breaching", "notBreaching", "ignore", "missing"}:
            yield alarm.id, "does not say what missing data means"
        if len(alarm.properties.get("AlarmDescription", "")) < 15:
            yield alarm.id, "does not say what it means"


_NEVER_OVER = {"audit_flaws"}
"""Metrics of what has happened once and for all, and is counted once: minutes later they say nothing any more."""


@rule
def what_has_happened_is_not_told_to_be_over(template: Template) -> Iterator[Broken]:
    """Somebody changed the audit: a message five minutes later that all is well would be believed."""
    for look in watched(template):
        facts = look.alarm.properties
        is_of_the_deed = str(facts.get("ComparisonOperator")).startswith(
            "Greater"
        )  # not of its being looked for at all
        if look.metric in _NEVER_OVER and is_of_the_deed and facts.get("OKActions"):
            yield look.alarm.id, "says that all is well as soon as nothing is measured"


@rule
def queues_have_dead_letters(template: Template) -> Iterator[Broken]:
    """A message that cannot be worked on is kept, not tried for ever and not lost."""
    dead = _dead_letter_queues(template)
    for queue in template.of("AWS::SQS::Queue"):
        if queue.id not in dead and not template.behind(
            at(queue.properties, "RedrivePolicy.deadLetterTargetArn")
        ):
            yield queue.id, "has no dead-letter queue"
        if queue.id in dead and int(queue.properties.get("MessageRetentionPeriod", 345600)) < 1209600:
            yield queue.id, "keeps dead letters less than two weeks"


@rule
def logs_end_and_are_ours(template: Template) -> Iterator[Broken]:
    """A log without an end is a risk that grows, and what AWS makes by itself has none. In production who asked what is kept seven years."""
    groups = {str(one.properties.get("LogGroupName")): one for one in template.of("AWS::Logs::LogGroup")}
    told = [
        at(one.properties, "AccessLogSetting.DestinationArn") for one in template.of("AWS::ApiGateway::Stage")
    ]
    told += [one.properties.get("CloudWatchLogsLogGroupArn") for one in template.of("AWS::CloudTrail::Trail")]
    for group in groups.values():
        days = int(group.properties.get("RetentionInDays", 0))
        if days < 1:
            yield group.id, "is kept for ever"
        elif template.is_production and group.id in named(told) and days < SEVEN_YEARS_DAYS:
            yield group.id, "is kept less than seven years"
        if "DeletionPolicy" not in group.body:
            yield group.id, "does not say what becomes of it"
    for who, wanted in _log_groups_wanted(template):
        if wanted not in groups and not any(
            one.type == "AWS::Logs::LogGroup" for one in template.behind(wanted)
        ):
            yield who.id, "writes into a log group that is not in the template"


def _log_groups_wanted(template: Template) -> Iterator[tuple[Resource, str]]:
    for one in template.of("AWS::Lambda::Function"):
        wanted = (
            at(one.properties, "LoggingConfig.LogGroup")
            or f"/aws/lambda/{one.properties.get('FunctionName')}"
        )
        yield one, str(wanted)
    for one in template.of("AWS::ApiGateway::Stage"):
        yield one, str(at(one.properties, "AccessLogSetting.DestinationArn"))
    for one in template.of("AWS::EC2::FlowLog"):
        yield one, str(one.properties.get("LogGroupName") or one.properties.get("LogDestination"))
    for one in template.of("AWS::RDS::DBInstance"):
        for log in one.properties.get("EnableCloudwatchLogsExports", ()):
            yield one, f"/aws/rds/instance/{one.properties.get('DBInstanceIdentifier')}/{log}"
    for one in template.of("AWS::RDS::DBProxy"):
        yield one, f"/aws/rds/proxy/{one.properties.get('DBProxyName')}"
    for wall in template.of("AWS::WAFv2::WebACL"):
        logs = [
            one
            for one in template.of("AWS::WAFv2::LoggingConfiguration")
            if wall.id in named(one.properties["ResourceArn"])
        ]
        yield wall, str(at(logs[0].properties, "LogDestinationConfigs.0")) if logs else "none"
    for one in template.of("AWS::CloudFront::Distribution"):
        sources = [
            source
            for source in template.of("AWS::Logs::DeliverySource")
            if one.id in named(source.properties["ResourceArn"])
        ]
        goals = template.of("AWS::Logs::DeliveryDestination")
        yield one, str(goals[0].properties.get("DestinationResourceArn")) if sources and goals else "none"


_TELLING = re.compile(
    r"\$context\.(path|requestOverride|identity|authorizer|authorize|domainPrefix|customDomain|extendedRequestId\.path)\b"
    r"|\$input|querystring|\$method\.request|\$context\.integration\.error|errorMessage|\$context\.error\.message(?!String)",
)


_SILENT = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""PostgreSQL's log holds no statement and no value, whatever happens."""


@rule
def logs_name_nobody(template: Template) -> Iterator[Broken]:
    """A path holds ids, a query what was looked for, an address where somebody lives."""
    for stage in template.of("AWS::ApiGateway::Stage"):
        format_ = str(at(stage.properties, "AccessLogSetting.Format") or "")
        if "$context.resourcePath" not in format_ or _TELLING.search(format_):
            yield stage.id, "its access log tells more than the route"
        if stage.properties.get("TracingEnabled", False) is not False:
            yield stage.id, "traces addresses and whole paths"
        for setting in stage.properties.get("MethodSettings", ()):
            if setting.get("DataTraceEnabled") is not False or setting.get("LoggingLevel") not in {
                "OFF",
                "ERROR",
            }:
                yield stage.id, "writes what is asked and answered into its log"
        if not stage.properties.get("MethodSettings"):
            yield stage.id, "does not say what it logs"
    for group in template.of("AWS::RDS::DBParameterGroup"):
        parameters = {name: str(value) for name, value in group.properties.get("Parameters", {}).items()}
        for name, value in _SILENT.items():
            if parameters.get(name) != value:
                yield group.id, f"may write what a person said: {name} is {parameters.get(name)}"
    for one in template.of("AWS::Logs::Delivery"):
        fields = set(one.properties.get("RecordFields", ()))
        telling = fields & {
            "c-ip",
            "x-forwarded-for",
            "cs-uri-query",
            "cs(Cookie)",
            "cs(User-Agent)",
            "cs(Referer)",
            "c-port",
        }
        if not fields or telling:
            yield one.id, f"tells {', '.join(sorted(telling)) or 'everything'}"
    for wall in template.of("AWS::WAFv2::WebACL"):
        for part in [wall.properties, *wall.properties["Rules"]]:
            if part["VisibilityConfig"].get("SampledRequestsEnabled") is not False:
                yield wall.id, "keeps samples of requests"
    for one in template.of("AWS::WAFv2::LoggingConfiguration"):
        hidden = {json.dumps(field) for field in one.properties.get("RedactedFields", ())}
        if '{"QueryString": {}}' not in hidden or not any("authorization" in field for field in hidden):
            yield one.id, "writes queries or what somebody signed in with"
        if at(one.properties, "LoggingFilter.DefaultBehavior") != "DROP":
            yield one.id, "writes down who was let through"


@rule
def networks_are_watched(template: Template) -> Iterator[Broken]:
    """Who spoke with whom is asked after a breach."""
    for network in template.of("AWS::EC2::VPC"):
        logs = [one for one in template.of("AWS::EC2::FlowLog") if network.id in named(one.properties)]
        if not any(one.properties.get("TrafficType") == "ALL" for one in logs):
            yield network.id, "has no log of all traffic"


@rule
def requests_are_traced(template: Template) -> Iterator[Broken]:
    """So that a slow answer can be followed to where it waited: by the functions, which say what they trace."""
    for one in template.of("AWS::Lambda::Function"):
        if at(one.properties, "TracingConfig.Mode") != "Active":
            yield one.id, "is not traced"
