"""What every template must keep to. A rule takes a template, worked out for one configuration, and says who breaks it and how; its docstring says
why that matters.
"""

from __future__ import annotations

from tests.backend_lambda.stacks import firewall, rights, secrecy, serving, watching, writing
from tests.backend_lambda.stacks.reading import RULES, Finding
from tests.backend_lambda.stacks.templates import Template

MODULES = (rights, secrecy, firewall, watching, serving, writing)
"""Each puts its rules into RULES when it is imported."""


def findings(template: Template) -> list[Finding]:
    """Of all rules."""
    return [Finding(name, who, what) for name, check in RULES.items() for who, what in check(template)]
