"""How functions and the API are set up, and that they fit the code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from backend_lambda.settings import Settings
from tests.backend_lambda.stacks.reading import REPOSITORY, Broken, at, rule, variables
from tests.backend_lambda.stacks.templates import Resource, Template, named
from tests.backend_lambda.stacks.watching import Watched, watched


def _is_asynchronous(template: Template, function: Resource) -> bool:
    """Called by what does not wait for its answer. Versions and aliases count as the function."""
    itself = {
        function.id,
        *(
            one.id
            for one in template.of("AWS::Lambda::Alias")
            if function.id in named(one.properties.get("FunctionName"))
        ),
    }
    calling = {
        "events.amazonaws.com",
        "s3.amazonaws.com",
        "sns.amazonaws.com",
        "secretsmanager.amazonaws.com",
    }
    return any(
        itself & set(named(one.properties.get("FunctionName"))) and one.properties.get("Principal") in calling
        for one in template.of("AWS::Lambda::Permission")
    )


@rule
def functions_are_as_agreed(template: Template) -> Iterator[Broken]:
    """arm64, Python 3.13, their limits stated, in production a share of the account for who serves people, and no failure lost."""
    for one in template.of("AWS::Lambda::Function"):
        facts = one.properties
        if facts.get("Architectures") != ["arm64"] or facts.get("Runtime") != "python3.13":
            yield one.id, "is not arm64 with Python 3.13"
        for stated in ("Timeout", "MemorySize", "Description", "FunctionName"):
            if stated not in facts:
                yield one.id, f"does not state {stated}"
        if (
            template.is_production
            and one.id in {"ApiFunction", "ChatFunction"}
            and "ReservedConcurrentExecutions" not in facts
        ):
            yield one.id, "can be starved by the others"
        kept = any(
            one.id in named(other.properties.get("FunctionName"))
            for other in template.of("AWS::Lambda::EventInvokeConfig")
        )
        if _is_asynchronous(template, one) and not (at(facts, "DeadLetterConfig.TargetArn") or kept):
            yield one.id, "loses what it failed at"
        for key in variables(one):
            if key in {"LD_PRELOAD", "PYTHONPATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}:
                yield one.id, f"sets {key}"


@rule
def new_versions_come_slowly(template: Template) -> Iterator[Broken]:
    """In production a tenth of the requests tries a new version first, and an alarm takes it back."""
    for alias in template.of("AWS::Lambda::Alias"):
        groups = template.behind(
            at(alias.body, "UpdatePolicy.CodeDeployLambdaAliasUpdate.DeploymentGroupName")
        )
        serves = set(named(alias.properties.get("FunctionName"))) & {"ApiFunction", "ChatFunction"}
        if not template.is_production or not serves:
            continue
        if not groups:
            yield alias.id, "changes at once"
        for group in groups:
            if "Canary" not in str(group.properties.get("DeploymentConfigName")):
                yield group.id, "changes at once"
            if not at(group.properties, "AlarmConfiguration.Enabled") or not template.behind(
                at(group.properties, "AlarmConfiguration.Alarms")
            ):
                yield group.id, "is taken back by no alarm"


_FAULTS: Mapping[str, tuple[tuple[str, str, Mapping[str, str]], ...]] = {
    "ApiFunction": (
        ("HealthHelper", "server_errors", {"service": "health-helper"}),
        ("AWS/ApiGateway", "5XXError", {"ApiName": "health-helper", "Stage": "live"}),
    ),
    "ChatFunction": (
        (
            "AWS/ApiGateway",
            "5XXError",
            {"ApiName": "health-helper", "Stage": "live", "Resource": "/v1/chat", "Method": "POST"},
        ),
    ),
}
"""What moves when the code answers 500, or cannot start and says so: Lambda itself counts neither as an error."""
_CANARY_S = 300
_LOOKS_EVERY_S = 60


def _soon(look: Watched) -> bool:
    """Whether an alarm sounds at one fault, in time to stop a canary, and says nothing while nothing is asked."""
    facts = look.alarm.properties
    period_s = int(facts.get("Period", _CANARY_S))
    return (
        period_s <= _LOOKS_EVERY_S
        and period_s * int(facts.get("EvaluationPeriods", 1)) < _CANARY_S
        and facts.get("Statistic") == "Sum"
        and facts.get("ComparisonOperator") == "GreaterThanThreshold"
        and facts.get("TreatMissingData") == "notBreaching"
        and float(facts.get("Threshold", 0)) < 10
    )


@rule
def a_version_that_answers_500_goes_back(template: Template) -> Iterator[Broken]:
    """The functions catch what goes wrong and answer: to Lambda such a version is without an error."""
    for alias in template.of("AWS::Lambda::Alias"):
        for group in template.behind(
            at(alias.body, "UpdatePolicy.CodeDeployLambdaAliasUpdate.DeploymentGroupName")
        ):
            heard = set(named(at(group.properties, "AlarmConfiguration.Alarms")))
            if not template.is_production or not heard:  # without any alarm it is another rule's
                continue
            looks = [look for look in watched(template) if look.alarm.id in heard and _soon(look)]
            for name in named(alias.properties.get("FunctionName")):
                for fault in _FAULTS.get(name, ()):
                    if fault not in [(look.namespace, look.metric, look.dimensions) for look in looks]:
                        yield group.id, f"does not go back for {fault[1]} of {name}"


@rule
def what_alarms_look_at_is_measured(template: Template) -> Iterator[Broken]:
    """API Gateway measures a single route only where it is told to; an alarm on what nobody measures never sounds."""
    for look in watched(template):
        if look.namespace != "AWS/ApiGateway" or "Resource" not in look.dimensions:
            continue
        route = (look.dimensions["Resource"], look.dimensions.get("Method", "").lower())
        if route not in openapi_routes():
            yield look.alarm.id, f"looks at {route[1]} {route[0]}, which there is not"
        for stage in template.of("AWS::ApiGateway::Stage"):
            settings = {
                (one.get("ResourcePath"), one.get("HttpMethod")): one.get("MetricsEnabled")
                for one in stage.properties.get("MethodSettings", ())
            }
            exact = ("/" + route[0].replace("/", "~1"), route[1].upper())
            if settings.get(exact, settings.get(("/*", "*"))) is not True:
                yield look.alarm.id, f"looks at {route[0]}, which {stage.id} does not measure"


def openapi_routes() -> set[tuple[str, str]]:
    """Path and method, as the code describes itself."""
    described = json.loads((REPOSITORY / "backend_lambda" / "openapi.json").read_text(encoding="utf-8"))
    return {(path, method) for path, methods in described["paths"].items() for method in methods}


@rule
def routes_are_those_of_the_code(template: Template) -> Iterator[Broken]:
    """A route too many is a door that nobody guards, one too few a feature that is not there."""
    for api in template.of("AWS::ApiGateway::RestApi"):
        paths: Mapping[str, Mapping[str, Any]] = at(api.properties, "Body.paths") or {}
        here = {
            (path, method) for path, methods in paths.items() for method in methods if method != "parameters"
        }
        for path, method in sorted(here - openapi_routes()):
            yield api.id, f"{method} {path} is not in openapi.json"
        for path, method in sorted(openapi_routes() - here):
            yield api.id, f"{method} {path} is missing"
        for path, methods in paths.items():
            for method, operation in methods.items():
                if method != "parameters":
                    yield from _integration(api, path, method, operation)


def _integration(api: Resource, path: str, method: str, operation: Mapping[str, Any]) -> Iterator[Broken]:
    integration = operation.get("x-amazon-apigateway-integration", {})
    uri, is_chat = str(integration.get("uri")), path == "/v1/chat"
    if integration.get("type") != "aws_proxy" or ":live/" not in uri:
        yield api.id, f"{method} {path} does not lead to an alias"
    if is_chat != (integration.get("responseTransferMode") == "STREAM") or is_chat != uri.endswith(
        "/response-streaming-invocations"
    ):
        yield api.id, f"{method} {path} streams, or does not, as it should"
    if is_chat != ("-chat:" in uri or "ChatFunction" in uri):
        yield api.id, f"{method} {path} leads to the wrong function"


@rule
def requests_are_throttled(template: Template) -> Iterator[Broken]:
    """A limit for the whole API, in every stage."""
    for stage in template.of("AWS::ApiGateway::Stage"):
        whole = [
            one
            for one in stage.properties.get("MethodSettings", ())
            if one.get("ResourcePath") == "/*" and one.get("HttpMethod") == "*"
        ]
        if not any(
            0 < int(one.get("ThrottlingRateLimit", 0)) <= 10_000
            and int(one.get("ThrottlingBurstLimit", 0)) > 0
            for one in whole
        ):
            yield stage.id, "has no limit"
        # CloudFormation wants "/" and then the path with ~1 for each of its slashes.
        routes = {("/" + path.replace("/", "~1"), method.upper()) for path, method in openapi_routes()}
        for one in stage.properties.get("MethodSettings", ()):
            if one not in whole and (one.get("ResourcePath"), one.get("HttpMethod")) not in routes:
                yield (
                    stage.id,
                    f"limits {one.get('HttpMethod')} {one.get('ResourcePath')}, which there is not",
                )


@rule
def only_new_documents_start_processing(template: Template) -> Iterator[Broken]:
    """What the service itself writes (q/, t/) would start it again, without end."""
    for bucket in template.of("AWS::S3::Bucket"):
        for kind in ("QueueConfigurations", "LambdaConfigurations", "TopicConfigurations"):
            for one in at(bucket.properties, f"NotificationConfiguration.{kind}") or ():
                filters = at(one, "Filter.S3Key.Rules") or []
                if filters != [{"Name": "prefix", "Value": "c/"}] or not str(one.get("Event")).startswith(
                    "s3:ObjectCreated:"
                ):
                    yield bucket.id, "tells of more than new documents"
    for one in template.of("AWS::Events::Rule"):
        keys = at(one.properties, "EventPattern.detail.s3ObjectDetails.objectKey")
        if "aws.guardduty" in (at(one.properties, "EventPattern.source") or []) and keys != [
            {"prefix": "c/"}
        ]:
            yield one.id, "tells of more than new documents"


_STARTS_WORK = {
    "AWS::GuardDuty::MalwareProtectionPlan": None,
    "AWS::Events::Rule": "ScheduleExpression",
    "AWS::S3::Bucket": "NotificationConfiguration.QueueConfigurations",
    "AWS::SecretsManager::RotationSchedule": None,
}
"""And the property without which it does not; None: it always does."""


@rule
def a_standby_waits(template: Template) -> Iterator[Broken]:
    """Its proxy leads to no writer: work that starts there fails until somebody promotes it, and its alarms ring all that time. Copies of
    documents arrive as new ones do.
    """
    leads = {name for one in template.of("AWS::RDS::DBProxyTargetGroup") for name in named(one.properties)}
    if not template.of("AWS::RDS::DBProxy") or leads & {one.id for one in template.of("AWS::RDS::DBProxy")}:
        return
    for one in template.of(*_STARTS_WORK):
        path = _STARTS_WORK[one.type]
        if path is None or at(one.properties, path):
            yield one.id, "starts work that a standby cannot do"


_OWN_SETTINGS = ("backend_lambda.rotation.", "backend_lambda.urgent_calls.", "backend_lambda.health_lake.")
"""Handlers that do not read `backend_lambda.settings`, but name each of their variables themselves."""


@rule
def variables_are_those_of_the_settings(template: Template) -> Iterator[Broken]:
    """A misspelt variable is not read; a missing one ends the function's start."""
    fields = {f"HH_{name.upper()}": field for name, field in Settings.model_fields.items()}
    for function in template.of("AWS::Lambda::Function"):
        handler = str(function.properties.get("Handler"))
        ours = {name for name in variables(function) if name.startswith("HH_")}
        if reads_its_own(function):
            text = _module_text(handler)
            for name in sorted(ours):
                if name not in text and name not in fields:  # a template's Globals are every function's
                    yield function.id, f"{name} is read by nobody"
            continue
        for name in sorted(ours - set(fields)):
            yield function.id, f"{name} is no setting"
        for name, field in fields.items():
            if field.is_required() and name not in ours:
                yield function.id, f"{name} is missing"
        if "HH_AWS_ENDPOINT_URL" in ours:
            yield function.id, "speaks to stand-ins"


def _module_text(handler: str) -> str:
    path = REPOSITORY / (handler.rpartition(".")[0].replace(".", "/") + ".py")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def reads_its_own(function: Resource) -> bool:
    """Its variables are not those of `backend_lambda.settings`."""
    return str(function.properties.get("Handler")).startswith(_OWN_SETTINGS)


@rule
def handlers_exist(template: Template) -> Iterator[Broken]:
    """A function whose handler is not there fails at its first call."""
    for function in template.of("AWS::Lambda::Function"):
        handler = str(function.properties.get("Handler"))
        if "ZipFile" not in function.properties.get(
            "Code", {}
        ) and f"def {handler.rpartition('.')[2]}(" not in _module_text(handler):
            yield function.id, f"{handler} is not there"
