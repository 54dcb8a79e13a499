"""The templates of `backend_lambda/stacks` as CloudFormation would see them: SAM written out, and conditions, parameters and functions worked
out for one configuration. What only AWS knows (an ARN, an address) stays a token: ⟨DataKey.Arn⟩.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

STACKS = Path(__file__).parents[3] / "backend_lambda" / "stacks"
ACCOUNT = "111122223333"
_TOKEN = re.compile(r"⟨([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?⟩")
_NO_VALUE = object()
_CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::Api": "DefinitionUri",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """properties: worked out. body: all of it, with DeletionPolicy, Metadata …"""

    id: str
    type: str
    properties: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What somebody deploys: the values of the parameters that have no default, or another one."""

    stack: str
    name: str
    parameters: Mapping[str, Any]
    region: str = "eu-central-1"

    def __str__(self) -> str:
        return f"{self.stack}, {self.name}"


@dataclass(frozen=True, slots=True)
class Template:
    """source: with SAM written out, functions not worked out. given: every parameter's value."""

    configuration: Configuration
    source: Mapping[str, Any]
    given: Mapping[str, Any]
    resources: Mapping[str, Resource]
    outputs: Mapping[str, Any]
    broken: tuple[str, ...]
    """Who refers to something that is not there in this configuration."""

    def of(self, *types: str) -> list[Resource]:
        """Those of a type; without types, all."""
        return [one for one in self.resources.values() if not types or one.type in types]

    def behind(self, value: object) -> list[Resource]:
        """The resources that a value refers to."""
        return [self.resources[name] for name in named(value) if name in self.resources]

    @property
    def is_production(self) -> bool:
        return self.given.get("Stage") == "production"


def named(value: object) -> list[str]:
    """The logical ids in a value that was worked out."""
    return list(dict.fromkeys(_TOKEN.findall(value if isinstance(value, str) else repr(value))))


@cache
def _read(stack: str) -> Mapping[str, Any]:
    text = (STACKS / f"{stack}.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Any] = yaml_parse(text)
    return found


def names() -> list[str]:
    """All of them, such as "core" and "optional/cache"."""
    # Nothing deeper: what SAM has built lies in folders beside them.
    paths = [*STACKS.glob("*.yaml"), *STACKS.glob("optional/*.yaml")]
    return sorted(str(path.relative_to(STACKS).with_suffix("")) for path in paths)


def source(configuration: Configuration) -> dict[str, Any]:
    """One's own copy, to be changed at will."""
    found: dict[str, Any] = json.loads(
        _source(configuration.stack, configuration.region, json.dumps(configuration.parameters))
    )
    return found


@cache
def _source(stack: str, region: str, parameters: str) -> str:
    """As JSON: read anew it has no part in common with another, as parts of YAML and of SAM's Globals have."""
    template: dict[str, Any] = copy.deepcopy(dict(_read(stack)))
    if "Transform" not in template:
        return json.dumps(template)
    tls = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Api":  # newer than some translators, which only pass it on
            tls[name] = {
                one: resource["Properties"].pop(one)
                for one in ("SecurityPolicy", "EndpointAccessMode")
                if one in resource["Properties"]
            }
        code = _CODE.get(resource["Type"])
        if code is not None and isinstance(resource.get("Properties", {}).get(code), str):
            resource["Properties"][code] = "s3://bucket/key"  # where `sam package` would have put it
    session: Any = SimpleNamespace(region_name=region)
    # It knows no managed policies, so none can come in by its name.
    translator = Translator({}, Parser(), boto_session=session)
    translated: dict[str, Any] = translator.translate(
        template, parameter_values=json.loads(parameters), passthrough_metadata=True
    )
    for name, passed_on in tls.items():
        translated["Resources"][name]["Properties"].update(passed_on)
    return json.dumps(translated)


def resolved(configuration: Configuration, source: Mapping[str, Any]) -> Template:
    """Raises ValueError where a function is unknown, or has what it cannot work with."""
    return _Work(configuration, source).template()


class _Work:
    def __init__(self, configuration: Configuration, source: Mapping[str, Any]) -> None:
        self._source, self._configuration = source, configuration
        self._conditions: dict[str, bool] = {}
        self._broken: list[str] = []
        self._at = ""
        declared = source.get("Parameters", {})
        if unknown := set(configuration.parameters) - set(declared):
            raise ValueError(f"{configuration}: no such parameter: {', '.join(sorted(unknown))}")
        self._given: dict[str, Any] = {}
        for name, parameter in declared.items():
            if name not in configuration.parameters and "Default" not in parameter:
                raise ValueError(f"{configuration}: {name} is not given")
            value = configuration.parameters.get(name, parameter.get("Default"))
            is_list = str(parameter["Type"]).startswith(("CommaDelimitedList", "List<"))
            self._given[name] = str(value).split(",") if is_list else value
        self._pseudo: dict[str, Any] = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": configuration.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": "health-helper",
            "AWS::StackId": f"arn:aws:cloudformation:{configuration.region}:{ACCOUNT}:stack/health-helper/1",
            "AWS::NoValue": _NO_VALUE,
        }
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self._condition,
            "Fn::If": self._if,
            "Fn::Equals": lambda of: str(self._value(of[0])) == str(self._value(of[1])),
            "Fn::And": lambda of: all(self._truth(one) for one in of),
            "Fn::Or": lambda of: any(self._truth(one) for one in of),
            "Fn::Not": lambda of: not self._truth(of[0]),
            "Fn::Sub": self._sub,
            "Fn::Join": lambda of: str(of[0]).join(str(one) for one in self._value(of[1])),
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find,
            "Fn::GetAtt": self._attribute,
            "Fn::GetAZs": lambda _: [f"{configuration.region}{letter}" for letter in "abc"],
            "Fn::Cidr": lambda of: [f"⟨cidr{at}⟩" for at in range(int(self._value(of[1])))],
            "Fn::Base64": self._value,
            "Fn::ToJsonString": lambda of: json.dumps(self._value(of), ensure_ascii=False),
            "Fn::Contains": lambda of: self._value(of[1]) in self._value(of[0]),
        }

    def template(self) -> Template:
        present = {
            name: body
            for name, body in self._source["Resources"].items()
            if "Condition" not in body or self._condition(body["Condition"])
        }
        self._present = set(present)
        resources = {}
        for name, body in present.items():
            self._at = name
            whole = self._value({key: part for key, part in body.items() if key != "Condition"})
            resources[name] = Resource(name, body["Type"], whole.get("Properties", {}), whole)
        outputs = {}
        for name, body in self._source.get("Outputs", {}).items():
            self._at = f"output {name}"
            if "Condition" not in body or self._condition(body["Condition"]):
                outputs[name] = self._value({key: part for key, part in body.items() if key != "Condition"})
        return Template(
            self._configuration,
            self._source,
            self._given,
            resources,
            outputs,
            tuple(dict.fromkeys(self._broken)),
        )

    def refused(self) -> list[str]:
        """The template's own rules that this configuration breaks."""
        return [
            assertion["AssertDescription"]
            for rule in self._source.get("Rules", {}).values()
            if "RuleCondition" not in rule or self._truth(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self._truth(assertion["Assert"])
        ]

    def _value(self, node: Any) -> Any:
        if isinstance(node, dict):
            if len(node) == 1:
                name, argument = next(iter(node.items()))
                function = self._functions.get(name)
                if function is not None and not (name == "Condition" and not isinstance(argument, str)):
                    return function(argument)
                if str(name).startswith("Fn::"):
                    raise ValueError(f"{self._at}: {name} is not known here")
            found = {key: self._value(part) for key, part in node.items()}
            return {key: part for key, part in found.items() if part is not _NO_VALUE}
        if isinstance(node, list):
            return [part for part in (self._value(one) for one in node) if part is not _NO_VALUE]
        return node

    def _truth(self, node: Any) -> bool:
        return bool(self._value(node))

    def _condition(self, name: str) -> bool:
        if name not in self._conditions:
            self._conditions[name] = self._truth(self._source["Conditions"][name])
        return self._conditions[name]

    def _if(self, of: Any) -> Any:
        return self._value(of[1] if self._condition(of[0]) else of[2])

    def _ref(self, name: str) -> Any:
        if name in self._pseudo:
            return self._pseudo[name]
        return self._given[name] if name in self._given else self._token(name)

    def _attribute(self, of: Any) -> str:
        name, _, attribute = of.partition(".") if isinstance(of, str) else (of[0], "", self._value(of[1]))
        return self._token(name, attribute)

    def _token(self, name: str, attribute: str = "") -> str:
        if name not in self._present:
            self._broken.append(f"{self._at} refers to {name}")
        return f"⟨{name}.{attribute}⟩" if attribute else f"⟨{name}⟩"

    def _sub(self, of: Any) -> str:
        text, more = (
            (of, {})
            if isinstance(of, str)
            else (of[0], {key: self._value(part) for key, part in of[1].items()})
        )

        def put(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in more:
                return str(more[name])
            return str(self._attribute(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", put, text)

    def _select(self, of: Any) -> Any:
        several = self._value(of[1])
        if isinstance(several, str):  # a list that only AWS knows
            return f"{several}[{self._value(of[0])}]"
        return several[int(self._value(of[0]))]

    def _split(self, of: Any) -> Any:
        text = self._value(of[1])
        return text if _TOKEN.fullmatch(text) else text.split(of[0])

    def _find(self, of: Any) -> Any:
        first, second, third = (self._value(one) for one in of[:3])
        return self._source["Mappings"][first][second][third]


def refused(configuration: Configuration) -> list[str]:
    """What CloudFormation would say before it makes anything: values that a parameter does not take, and broken rules."""
    return [*_wrong(configuration), *_Work(configuration, source(configuration)).refused()]


def _wrong(configuration: Configuration) -> Iterator[str]:
    declared = source(configuration)["Parameters"]
    for name, value in configuration.parameters.items():
        parameter, texts = declared[name], [str(value)]
        if str(parameter["Type"]).startswith(("CommaDelimitedList", "List<")):
            texts = str(value).split(",")
        for text in texts:
            if "AllowedValues" in parameter and text not in [str(one) for one in parameter["AllowedValues"]]:
                yield f"{name} may not be {text}"
            if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], text):
                yield f"{name} may not be {text}"
            if "MinValue" in parameter and not parameter["MinValue"] <= float(text) <= parameter["MaxValue"]:
                yield f"{name} may not be {text}"


# ---- What is deployed, and judged

_NEEDED = {
    "Residency": "eu",
    "OidcIssuers": "https://login.clinic.example",
    "OidcAudience": "health-helper",
    "AlarmEmail": "operations@clinic.example",
}
_NAMED = {"DomainName": "api.clinic.example", "HostedZoneId": "Z0123456789ABC"}
_KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/mrk-00000000000000000000000000000000"
_SECRET = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:"
_PRODUCTION = {"Stage": "production", **_NEEDED, **_NAMED}
_OF_A_SECOND = {
    "OtherRegion": "eu-west-1",
    "PrimaryDatabaseArn": f"arn:aws:rds:eu-west-1:{ACCOUNT}:db:health-helper-database",
    "PrimarySigningKeyArn": _KEY,
    "PrimaryOwnerSecretArn": f"{_SECRET}health-helper/database-owner-AbCdEf",
}
_EVERYTHING = {
    "AllowedCountries": "DE,AT",
    "Replica": "true",
    "InterfaceEndpoints": "true",
    "Guardrail": "true",
    "Vocabulary": "health-{language}",
    "MalwareScan": "true",
    "TextRecognition": "true",
    "MedicalEntities": "true",
    "MailFrom": "no-reply@clinic.example",
    "DeepgramSecret": f"{_SECRET}deepgram-AbCdEf",
    "CartesiaSecret": f"{_SECRET}cartesia-AbCdEf",
    "VitalsStream": "health-helper-vitals",
    "EventBus": "health-helper-urgent",
    "CacheUrl": "rediss://cache.clinic.example:6379/0",
    "RegionRole": "primary",
    "OtherRegion": "eu-west-1",
    "OtherDataKeyArn": _KEY,
    "OtherAuditKeyArn": _KEY,
}
_API_ROLE = {"ApiRoleName": "health-helper-ApiRole-1ABC"}
_CALLS = {
    "ChatRoleName": "health-helper-ChatRole-1ABC",
    "ChatSecurityGroupId": "sg-0123456789abcdef1",
    "InstanceArn": f"arn:aws:connect:eu-central-1:{ACCOUNT}:instance/00000000-0000-0000-0000-000000000000",
    "SourcePhoneNumber": "+4930000000",
}
_OF_THE_CORE = {
    "DataKeyArn": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000",
    "AlarmTopicArn": f"arn:aws:sns:eu-central-1:{ACCOUNT}:health-helper-Alarms-1ABC",
}
_NETWORK = {
    "VpcId": "vpc-0123456789abcdef0",
    "IsolatedSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
}
_CACHED = {
    **_API_ROLE,
    "ChatRoleName": "health-helper-ChatRole-1ABC",
    "ApiSecurityGroupId": "sg-0123456789abcdef0",
    "ChatSecurityGroupId": "sg-0123456789abcdef1",
}
_LAKE = {
    "ClinicIds": "00000000-0000-4000-8000-000000000000",
    "CoreStackName": "health-helper",
    "ProxyEndpoint": "health-helper-proxy.proxy-abc.eu-central-1.rds.amazonaws.com",
    "ProxyResourceId": "prx-0123456789abcdef0",
}
_STREAMING = {**_API_ROLE, **_NETWORK, "ApiSecurityGroupId": "sg-0123456789abcdef0"}
_PLACE = {**_NETWORK, "FunctionSecurityGroupId": "sg-0123456789abcdef0"}
_API_PLACE = {**_NETWORK, "ApiSecurityGroupId": "sg-0123456789abcdef0"}
_EDGE_DOMAIN = {"DomainName": "download.clinic.example", "HostedZoneId": "Z0123456789ABC"}

CONFIGURATIONS: tuple[Configuration, ...] = (
    Configuration("core", "dev", {"Stage": "dev", **_NEEDED}),
    Configuration("core", "production", _PRODUCTION),
    Configuration("core", "production, everything", {**_PRODUCTION, **_EVERYTHING}),
    Configuration("core", "primary", {**_PRODUCTION, "RegionRole": "primary", "OtherRegion": "eu-west-1"}),
    Configuration("core", "standby", {**_PRODUCTION, **_OF_A_SECOND, "RegionRole": "standby"}),
    Configuration("core", "promoted", {**_PRODUCTION, **_OF_A_SECOND, "RegionRole": "promoted"}),
    Configuration("edge", "dev", {}, "us-east-1"),
    Configuration("edge", "a new zone", {"NewZoneName": "clinic.example"}, "us-east-1"),
    Configuration("edge", "production", {"Stage": "production", **_EDGE_DOMAIN}, "us-east-1"),
    Configuration(
        "edge",
        "production, everything",
        {
            "Stage": "production",
            "DomainName": "download.clinic.example",
            "NewZoneName": "clinic.example",
            "AlarmEmail": "operations@clinic.example",
            "AllowedCountries": "DE,AT",
            "ReplicaBucketName": "health-helper-edge-copy",
            "ReplicaRegion": "us-west-2",
            "ReplicaKeyId": "00000000-0000-0000-0000-000000000000",
        },
        "us-east-1",
    ),
    Configuration("edge-replica", "production", {"Stage": "production"}, "us-west-2"),
    Configuration(
        "optional/vitals-stream", "dev", {"Stage": "dev", **_OF_THE_CORE, **_API_ROLE, **_API_PLACE}
    ),
    Configuration(
        "optional/vitals-stream",
        "everything",
        {
            "Stage": "production",
            **_OF_THE_CORE,
            **_API_ROLE,
            **_API_PLACE,
            "ConsumerRoleName": "analysis",
            "PrivateEndpoint": "true",
        },
    ),
    Configuration("optional/cache", "dev", {"Stage": "dev", **_OF_THE_CORE, **_NETWORK, **_CACHED}),
    Configuration(
        "optional/cache",
        "nodes",
        {"Stage": "production", **_OF_THE_CORE, **_NETWORK, **_CACHED, "Kind": "nodes"},
    ),
    Configuration(
        "optional/health-lake",
        "production",
        {"Stage": "production", **_OF_THE_CORE, **_PLACE, **_LAKE},
    ),
    Configuration("optional/connect", "dev", {"Stage": "dev", **_OF_THE_CORE, **_NETWORK, **_CALLS}),
    Configuration(
        "optional/connect",
        "everything",
        {"Stage": "production", **_OF_THE_CORE, **_NETWORK, **_CALLS, "PrivateEndpoint": "true"},
    ),
)


@cache
def template(configuration_name: str) -> Template:
    """By "stack, name"."""
    configuration = next(one for one in CONFIGURATIONS if str(one) == configuration_name)
    return resolved(configuration, source(configuration))
