"""Makes a template plain for one set of parameters: conditions decided, values in their places, what is not there gone.

A rule that finds `Fn::If` where it looks for a value says "unknown" or passes: so the gates judge what would be deployed.
Values are those of the set, else the parameters' defaults. What only AWS knows stays as it is (a resource's Ref, Fn::GetAtt).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

GONE = object()
"""AWS::NoValue: the key or the item that holds it is left out."""


class Unresolved(Exception):
    """The template or the set is wrong: what, and where."""


def resolve(template: Mapping[str, Any], values: Mapping[str, Any], region: str) -> dict[str, Any]:
    """The template with the parameters' `values` (by name), as it would be deployed to `region`; metadata, rules, outputs and
    mappings are gone. Raises Unresolved.
    """
    return _Resolver(template, values, region).template()


class _Resolver:
    def __init__(self, template: Mapping[str, Any], values: Mapping[str, Any], region: str) -> None:
        self._source = template
        self._region = region
        self._pseudo: dict[str, Any] = {
            "AWS::Region": region,
            "AWS::AccountId": "123456789012",  # the one that AWS's own examples use
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": "health-helper",
            "AWS::StackId": f"arn:aws:cloudformation:{region}:123456789012:stack/health-helper/1",
            "AWS::NotificationARNs": [],
            "AWS::NoValue": GONE,
        }
        declared = template.get("Parameters") or {}
        if unknown := set(values) - set(declared):
            raise Unresolved(f"parameters that the template does not have: {', '.join(sorted(unknown))}")
        self._values = {name: self._parameter(name, declared[name], values) for name in declared}
        self._decided: dict[str, bool] = {}

    def template(self) -> dict[str, Any]:
        made: dict[str, Any] = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}
        for key in ("Transform", "Globals"):
            if key in self._source:
                made[key] = self._value(self._source[key])
        kept = {
            name: body
            for name, body in self._source["Resources"].items()
            if "Condition" not in body or self._condition(body["Condition"])
        }
        for name, body in kept.items():
            plain = {
                key: self._value(value)
                for key, value in body.items()
                if key not in {"Condition", "Metadata", "DependsOn"}
            }
            before = body.get("DependsOn", [])
            before = [before] if isinstance(before, str) else before
            if here := [other for other in before if other in kept]:
                plain["DependsOn"] = here
            made["Resources"][str(name)] = plain
        return made

    @staticmethod
    def _parameter(name: str, declared: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        if name not in values and "Default" not in declared:
            raise Unresolved(f"parameter {name} has no default, and the set gives no value")
        value = values.get(name, declared.get("Default"))
        kind = str(declared.get("Type", "String"))
        allowed = declared.get("AllowedValues")
        if allowed and str(value) not in {str(one) for one in allowed}:
            raise Unresolved(f"parameter {name} may not be {value!r}")
        if kind == "CommaDelimitedList" or kind.startswith("List<"):
            return [part.strip() for part in str(value).split(",")]
        return str(value)  # Number too: CloudFormation hands it on as text

    def _condition(self, name: str) -> bool:
        if name not in self._decided:
            conditions = self._source.get("Conditions") or {}
            if name not in conditions:
                raise Unresolved(f"there is no condition {name}")
            self._decided[name] = self._truth(conditions[name])
        return self._decided[name]

    def _truth(self, node: Any) -> bool:
        if isinstance(node, Mapping) and len(node) == 1:
            ((kind, part),) = node.items()
            if kind == "Condition":
                return self._condition(part)
            if kind == "Fn::Not":
                return not self._truth(part[0])
            if kind == "Fn::And":
                return all(self._truth(one) for one in part)
            if kind == "Fn::Or":
                return any(self._truth(one) for one in part)
            if kind == "Fn::Equals":
                left, right = (self._value(one) for one in part)
                if any(isinstance(side, Mapping) for side in (left, right)):
                    raise Unresolved(f"a condition compares what only AWS knows: {node}")
                return str(left) == str(right)
        raise Unresolved(f"this is no condition: {node}")

    def _value(self, node: Any) -> Any:
        if isinstance(node, Mapping):
            if len(node) == 1:
                ((kind, part),) = node.items()
                known = self._functions().get(kind)
                if known:
                    return known(part)
            made = {str(key): self._value(value) for key, value in node.items()}
            return {key: value for key, value in made.items() if value is not GONE}
        if isinstance(node, (list, tuple)):
            return [value for item in node if (value := self._value(item)) is not GONE]
        return str(node) if isinstance(node, str) else node

    def _functions(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Ref": self._ref,
            "Fn::If": lambda part: self._value(part[1] if self._condition(part[0]) else part[2]),
            "Fn::FindInMap": self._find_in_map,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::GetAZs": lambda _: [f"{self._region}{letter}" for letter in "abc"],
            "Fn::Cidr": self._cidr,
        }

    def _ref(self, name: str) -> Any:
        if name in self._pseudo:
            return self._pseudo[name]
        return self._values.get(name, {"Ref": str(name)})

    def _find_in_map(self, part: Any) -> Any:
        keys = [self._value(one) for one in part[:3]]
        table: Any = self._source.get("Mappings") or {}
        for key in keys:
            if not isinstance(key, str) or key not in table:
                raise Unresolved(f"there is no {keys} in the mappings")
            table = table[key]
        return table

    def _sub(self, part: Any) -> Any:
        text, given = (part, {}) if isinstance(part, str) else (part[0], part[1])
        given = {name: self._value(value) for name, value in given.items()}
        left: dict[str, Any] = {}

        def put(match: re.Match[str]) -> str:
            name = match[1]
            value = given.get(name, self._pseudo.get(name, self._values.get(name)))
            if isinstance(value, (str, int)):
                return str(value)
            if name in given:
                left[name] = value
            return match[0]

        text = re.sub(r"\$\{([A-Za-z0-9:._]+)\}", put, text)
        if not re.search(r"\$\{", text):
            return text
        return {"Fn::Sub": [text, left] if left else text}

    def _join(self, part: Any) -> Any:
        between, items = part[0], self._value(part[1])
        if isinstance(items, list) and all(isinstance(item, (str, int)) for item in items):
            return between.join(map(str, items))
        return {"Fn::Join": [str(between), items]}

    def _select(self, part: Any) -> Any:
        at, items = self._value(part[0]), self._value(part[1])
        if isinstance(items, list) and isinstance(at, (str, int)):
            if int(at) >= len(items):
                raise Unresolved(f"there is no item {at} of {items}")
            return items[int(at)]
        return {"Fn::Select": [at, items]}

    def _split(self, part: Any) -> Any:
        text = self._value(part[1])
        return text.split(part[0]) if isinstance(text, str) else {"Fn::Split": [str(part[0]), text]}

    def _cidr(self, part: Any) -> Any:
        block, count, *bits = (self._value(one) for one in part)
        if not isinstance(block, str):
            return {"Fn::Cidr": [block, count, *bits]}
        parts = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits[0]))
        return [str(subnet) for subnet, _ in zip(parts, range(int(count)), strict=False)]
