"""The architecture as a picture, read out of the templates: an arrow is what a role may do, an event or a route.

Written in Mermaid's language (https://mermaid.js.org), which GitHub, GitLab and many editors draw.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

STACKS = Path(__file__).resolve().parent.parent / "stacks"
_SHOWN = {
    "AWS::Serverless::Function": ("{0}", "([", "])"),
    "AWS::Serverless::Api": ("REST API", "{{", "}}"),
    "AWS::WAFv2::WebACL": ("WAF", "{{", "}}"),
    "AWS::S3::Bucket": ("S3: {0}", "[(", ")]"),
    "AWS::SQS::Queue": ("SQS: {0}", "[/", "/]"),
    "AWS::RDS::DBInstance": ("PostgreSQL: {0}", "[(", ")]"),
    "AWS::RDS::DBProxy": ("RDS Proxy", "[", "]"),
    "AWS::SecretsManager::Secret": ("Secret: {0}", "[", "]"),
    "AWS::Bedrock::KnowledgeBase": ("Bedrock knowledge base", "[", "]"),
    "AWS::Bedrock::Guardrail": ("Bedrock guardrail", "[", "]"),
    "AWS::S3Vectors::Index": ("S3 Vectors", "[(", ")]"),
    "AWS::GuardDuty::MalwareProtectionPlan": ("GuardDuty", "[", "]"),
    "AWS::Events::Rule": ("Event: {0}", "[/", "/]"),
}
"""Kinds of resources that the picture shows: their label and Mermaid's brackets of their shape."""
_OUTSIDE = {
    "bedrock:InvokeModelWithResponseStream": "Bedrock: model",
    "transcribe:StartStreamTranscriptionWebSocket": "Transcribe",
    "polly:SynthesizeSpeech": "Polly",
    "textract:DetectDocumentText": "Textract",
    "comprehendmedical:DetectEntitiesV2": "Comprehend Medical",
    "ses:SendEmail": "SES",
    "kms:Sign": "KMS: signing key",
    "rds:ModifyDBInstance": "RDS interface",
}
"""Services that are no resource of the template, by the action that asks them."""
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read(path: Path) -> dict[str, Any]:
    """A template; `!Sub x` becomes {"Fn::Sub": x}, `!Ref x` {"Ref": x}. Raises OSError, yaml.YAMLError."""
    import yaml  # in the environment of `make bench` and `make test` only

    loader_class: Any = type(
        "Loader", (yaml.SafeLoader,), {}
    )  # one of our own: the tags are CloudFormation's

    def tagged(loader: Any, suffix: str, node: Any) -> Any:
        kinds = {yaml.ScalarNode: "construct_scalar", yaml.SequenceNode: "construct_sequence"}
        if isinstance(node, yaml.MappingNode):
            value = loader.construct_mapping(node, deep=True)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = getattr(loader, kinds[type(node)])(node)
        return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": value}

    loader_class.add_multi_constructor("!", tagged)
    found = yaml.load(path.read_text(encoding="utf-8"), loader_class)  # noqa: S506 (made of the safe one)
    return found if isinstance(found, dict) else {}


_USUAL = frozenset({"", "IsWriter", "IsFirst"})
"""Conditions of the first region, where all is: what stands behind one of these is drawn as always there."""
_ABOUT = {
    "Requests and answers": frozenset[str](),  # what is in neither of the others
    "Documents": frozenset(
        {
            *("DocumentsBucket", "ArrivalsQueue", "ArrivalsDeadLetters", "ProcessingFunction"),
            *("MalwareScanPlan", "MalwareVerdicts"),
        }
    ),
    "Maintenance and keys": frozenset(
        {
            *("MigrationFunction", "AuditHeadsFunction", "AuditVerifyFunction", "AuditBucket"),
            *("EveryHour", "EveryDay", "EverySunday", "RotationFunction", "OwnerSecret"),
        }
    ),
}
"""The pictures, and the resources whose arrows are in each."""

_WAYS = {"Documents": "TB"}
"""Which way a picture flows, where not from left to right: as narrow as a page of GitHub (some 900 px)."""
_TIGHT = '%%{init: {"flowchart": {"nodeSpacing": 25, "rankSpacing": 25}}}%%'

Edge = tuple[str, str, str, bool]
"""From, to, label, whether it is there only where a setting asks for it."""


def pictures(template: Mapping[str, Any]) -> dict[str, str]:
    """One template's, by their headings: flowcharts, with the private network's kinds of subnets as boxes."""
    resources: Mapping[str, Mapping[str, Any]] = template["Resources"]
    shown = {name: one for name, one in resources.items() if one["Type"] in _SHOWN}
    parts: dict[str, list[Edge]] = {heading: [] for heading in _ABOUT}
    usual = next(iter(_ABOUT))
    for edge in _merged(_edges(resources, shown), shown):
        ends = {edge[0], edge[1]}
        heading = next((one for one, about in _ABOUT.items() if about & ends), usual)
        if ends == {"Database", "DatabaseReplica"}:  # no request goes this way
            heading = "Maintenance and keys"
        parts[heading].append(edge)
    return {heading: _drawn(edges, shown, _WAYS.get(heading, "LR")) for heading, edges in parts.items()}


def _merged(edges: Iterator[Edge], shown: Mapping[str, Mapping[str, Any]]) -> list[Edge]:
    """One of each pair, with all labels; none with an end that is no box, such as a parameter's name."""
    boxes = {*shown, "Devices", *map(_id, _OUTSIDE.values())}
    found: dict[tuple[str, str], tuple[set[str], bool]] = {}
    for source, target, label, given in edges:
        if not {source, target} <= boxes:
            continue
        ends = (shown.get(source, {}), shown.get(target, {}))
        is_optional = given or any(one.get("Condition", "") not in _USUAL for one in ends)
        labels, before = found.get((source, target), (set(), True))
        found[source, target] = labels | {part for part in label.split(", ") if part}, before and is_optional
    return [
        (source, target, ", ".join(sorted(labels)), is_optional)
        for (source, target), (labels, is_optional) in sorted(found.items())
    ]


def _drawn(edges: list[Edge], shown: Mapping[str, Mapping[str, Any]], way: str) -> str:
    linked = {end for source, target, _, _ in edges for end in (source, target)}
    lines = [
        *([_TIGHT] if way == "LR" else []),
        f"flowchart {way}",
    ]  # downwards, boxes need room for their titles
    if "Devices" in linked:
        lines.append('  Devices(["Devices and people"])')
    groups: dict[str, list[str]] = {}
    for name, one in shown.items():
        if name in linked:
            groups.setdefault(_place(one), []).append(_node(name, one))
    for place, nodes in groups.items():
        if place:
            inside = "\n".join(f"    {node}" for node in nodes)
            lines.append(f'  subgraph {_id(place)}["{place}"]\n{inside}\n  end')
        else:
            lines += [f"  {node}" for node in nodes]
    lines += [f'  {_id(label)}["{label}"]' for label in sorted(_OUTSIDE.values()) if _id(label) in linked]
    for source, target, label, is_optional in edges:
        arrow = "-.->" if is_optional else "-->"
        lines.append(f"  {source} {arrow}{f'|{label}|' if label else ''} {target}")
    return "\n".join(lines)


def _node(name: str, one: Mapping[str, Any]) -> str:
    text, opening, closing = _SHOWN[one["Type"]]
    plain = " ".join(_WORDS.split(re.sub(r"(Function|Bucket|Queue|Secret)$", "", name))).lower()
    return f'{name}{opening}"{text.format(plain)}"{closing}'


def _place(one: Mapping[str, Any]) -> str:
    network = str(one.get("Properties", {}).get("VpcConfig", ""))
    if one["Type"] in {"AWS::RDS::DBInstance", "AWS::RDS::DBProxy"} or "IsolatedA" in network:
        return "isolated" if "PrivateA" not in network else "private, or isolated"
    return "private" if "PrivateA" in network else ""


def _edges(
    resources: Mapping[str, Mapping[str, Any]], shown: Mapping[str, Mapping[str, Any]]
) -> Iterator[Edge]:
    """From, to, label, whether a condition may take it away."""
    by_role = {
        role: name for name, one in shown.items() for role in _named(one.get("Properties", {}).get("Role"))
    }
    by_role |= {
        role: name
        for name, one in shown.items()
        for role in _named(one.get("Properties", {}).get("RoleArn"))
        if one["Type"] == "AWS::Bedrock::KnowledgeBase"
    }
    for name, one in resources.items():
        own = one.get("Properties", {})
        match one["Type"]:
            case "AWS::Serverless::Api":
                yield ("Devices", name, "HTTPS", False)
                yield from _routes(name, own, shown)
            case "AWS::WAFv2::WebACLAssociation":
                yield from (
                    (w, a, "refuses for", False)
                    for w in _named(own["WebACLArn"])
                    for a in _named(own["ResourceArn"])
                    if w in shown and a in shown
                )
            case "AWS::IAM::ManagedPolicy":
                is_optional = one.get("Condition", "") not in _USUAL
                for role in _named(own["Roles"]):
                    if role in by_role:
                        allowed = _allowed(by_role[role], own["PolicyDocument"]["Statement"], shown)
                        yield from ((f, t, label, is_optional or given) for f, t, label, given in allowed)
            case "AWS::Lambda::EventSourceMapping":
                yield from (
                    (q, f, "", False)
                    for q in _named(own["EventSourceArn"])
                    for f in _named(own["FunctionName"])
                )
            case "AWS::S3::Bucket":
                told = _named(own.get("NotificationConfiguration"))
                yield from ((name, queue, "arrived", False) for queue in told if queue in shown)
            case "AWS::SQS::Queue":
                yield from (
                    (name, dead, "five failures", False)
                    for dead in _named(own.get("RedrivePolicy"))
                    if dead in shown
                )
            case "AWS::Events::Rule":
                targets = [t for target in own["Targets"] for t in _named(target["Arn"]) if t in shown]
                yield from ((name, target, "", False) for target in targets)
            case "AWS::RDS::DBProxyTargetGroup":
                yield from (
                    ("Proxy", database, "", False) for database in _named(own["DBInstanceIdentifiers"])
                )
            case "AWS::RDS::DBInstance":
                source = _named(own.get("SourceDBInstanceIdentifier"))
                yield from (
                    (database, name, "replication", False) for database in source if database in shown
                )
            case "AWS::SecretsManager::RotationSchedule":
                yield from (
                    (s, f, "every 30 days", False)
                    for s in _named(own["SecretId"])
                    for f in _named(own["RotationLambdaARN"])
                )
            case _:
                pass
    yield ("Devices", "DocumentsBucket", "presigned PUT and GET", False)


def _routes(api: str, own: Mapping[str, Any], shown: Mapping[str, Mapping[str, Any]]) -> Iterator[Edge]:
    names = {
        str(one["Properties"]["FunctionName"]["Fn::Sub"]).partition("}")[2]: name
        for name, one in shown.items()
        if one["Type"] == "AWS::Serverless::Function"
    }
    count: dict[str, int] = {}
    for methods in own["DefinitionBody"]["paths"].values():
        for method in methods.values():
            uri = str(method["x-amazon-apigateway-integration"]["uri"])
            end = re.search(r"StackName\}(-[a-z-]+):live", uri)
            if end is not None:
                count[names[end[1]]] = count.get(names[end[1]], 0) + 1
    for function, routes in count.items():
        yield (api, function, f"{routes} route{'s' if routes > 1 else ''}", False)


def _allowed(function: str, statements: list[Any], shown: Mapping[str, Mapping[str, Any]]) -> Iterator[Edge]:
    for given in statements:
        branches = [given["Fn::If"][1]] if "Fn::If" in given else [given]
        for statement in branches:
            if statement.get("Effect") != "Allow":
                continue
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            is_optional = "Fn::If" in given and given["Fn::If"][0] not in _USUAL
            for action in actions:
                if action in _OUTSIDE:
                    yield (function, _id(_OUTSIDE[action]), "", is_optional)
            label = _label(actions, statement["Resource"])
            for name in _named(statement["Resource"]):
                if name in shown and name != function and label:
                    yield (function, name, label, is_optional)


def _label(actions: list[str], resource: Any) -> str:
    verbs = {action.partition(":")[2] for action in actions}
    services = {action.partition(":")[0] for action in actions}
    if services == {"rds-db"}:
        login = re.search(r"/([a-z]+)['\"]", str(resource))
        return f"as {login[1]}" if login else ""
    if services == {"s3"}:
        reads = any(verb.startswith("Get") for verb in verbs)
        writes = any(verb.startswith(("Put", "Delete")) for verb in verbs)
        return "reads, writes" if reads and writes else "reads" if reads else "writes" if writes else ""
    if services == {
        "sqs"
    }:  # a source mapping says which queue feeds it; dead letters would be an arrow from everything
        return ""
    return "" if services & {"kms", "logs"} else "asks"


def _named(value: Any) -> set[str]:
    """Every resource that a value names, by Ref, GetAtt or Sub."""
    found: set[str] = set()
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "Ref":
                found.add(str(inner).partition(".")[0])
            elif key == "Fn::GetAtt":
                found.add((inner if isinstance(inner, str) else str(inner[0])).partition(".")[0])
            elif key == "Fn::Sub":
                text = inner if isinstance(inner, str) else str(inner[0])
                found |= {part.partition(".")[0] for part in re.findall(r"\$\{([A-Za-z0-9.]+)\}", text)}
                if not isinstance(inner, str):
                    found |= _named(inner[1])
            else:
                found |= _named(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= _named(inner)
    return found


def _id(text: str) -> str:
    return re.sub(r"[^A-Za-z]", "", text)


def text() -> str:
    """Of the core stack, each in a fence of Markdown under its heading."""
    parts = [
        f"#### {heading}\n\n```mermaid\n{drawn}\n```\n"
        for heading, drawn in pictures(read(STACKS / "core.yaml")).items()
    ]
    legend = (
        "Dashed: there only where a setting asks for it. Boxes: the subnets of the private network; *isolated* has no way out, *private* one "
        "through a gateway. *As* a login: of the database.\n"
    )
    return "\n".join([*parts, legend])
