""".ci/templates.py: what it makes of the tools' answers and of the suppressions; and .ci/template_values.py. The tools themselves run in CI."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
REASON = "It is the bucket that the others write to"

TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Stage: {Type: String, AllowedValues: [dev, production]}
  Zones: {Type: CommaDelimitedList, Default: "a,b"}
Mappings:
  Sizes: {dev: {Days: 7}, production: {Days: 35}}
Conditions:
  IsProduction: !Equals [!Ref Stage, production]
  IsDev: !Not [!Condition IsProduction]
Resources:
  Files:
    Type: AWS::S3::Bucket
    Metadata:
      checkov: {skip: [{id: CKV_AWS_18, comment: It is the bucket that the others write to}]}
      cdk_nag: {rules_to_suppress: [{id: HIPAA.Security-S3BucketLoggingEnabled, reason: It is the bucket that the others write to}]}
      cfn-lint: {config: {ignore_checks: [W3045]}, reasons: {W3045: It is the bucket that the others write to}}
    Properties:
      BucketName: !Sub "${AWS::StackName}-${Stage}-${Other}"
  Other:
    Type: AWS::S3::Bucket
    Condition: IsDev
"""


def load(name: str) -> ModuleType:
    """A program of .ci as a module."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def as_the_runner_starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The region that SAM's translator wants, as `main` says it; and what `main` sets for its whole process ends with the test."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    quiet = logging.root.manager.disable
    yield
    logging.disable(quiet)


@pytest.fixture(scope="module")
def gates() -> ModuleType:
    before = list(sys.path)
    try:
        return load("templates")
    finally:
        sys.path[:] = before


@pytest.fixture(scope="module")
def values() -> ModuleType:
    return load("template_values")


SETS = {
    "small": {
        "regions": ["eu-central-1"],
        "production": {"region": "eu-central-1", "values": {"Stage": "production"}},
        "dev": {"like": "production", "values": {"Stage": "dev"}},
    }
}


def read(gates: ModuleType, folder: Path, text: str = TEMPLATE) -> Any:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return gates.read(path, SETS)


def answers(gates: ModuleType, *, without: str = "") -> dict[str, Any]:
    """What the tools find in TEMPLATE when each suppression there has its finding. without: a tool that finds nothing."""
    found = [
        gates.Finding("checkov", "CKV_AWS_18", "Files", "no access logs", "production"),
        gates.Finding(
            "cdk_nag", "HIPAA.Security-S3BucketLoggingEnabled", "Files", "no access logs", "production"
        ),
        gates.Finding("cfn-lint", "W3045", "Files", "old way"),
    ]
    tools = ("cfn-lint", "sam", "checkov", "cdk_nag")
    return {
        tool: gates.Answer(9, 8, [one for one in found if one.tool == tool and tool != without])
        for tool in tools
    }


def judged(gates: ModuleType, template: Any, given: dict[str, Any]) -> list[str]:
    held, wrong = gates.suppressions(template)
    problems: list[str] = gates.verdict(template, given, held, wrong)[0]
    return problems


# --- Suppressions against findings


def test_findings_that_are_all_suppressed_are_clean_and_counted(gates: ModuleType, tmp_path: Path) -> None:
    template = read(gates, tmp_path)
    held, wrong = gates.suppressions(template)
    assert wrong == [] and {one.reason for one in held} == {REASON}
    problems, suppressed = gates.verdict(template, answers(gates), held, wrong)
    assert problems == [] and suppressed == {"cfn-lint": 1, "sam": 0, "checkov": 1, "cdk_nag": 1}


@pytest.mark.parametrize(("tool", "line"), [("checkov", 14), ("cdk_nag", 15), ("cfn-lint", 16)])
def test_a_suppression_that_suppresses_nothing_is_told(
    gates: ModuleType, tmp_path: Path, tool: str, line: int
) -> None:
    problems = judged(gates, read(gates, tmp_path), answers(gates, without=tool))
    assert len(problems) == 1 and f"small.yaml:{line}: {tool} " in problems[0]
    assert "suppresses nothing any more" in problems[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"comment: {REASON}", "comment: no need"),
        (f", comment: {REASON}", ""),
        (f"reason: {REASON}", "reason: '                         '"),
        (f", reasons: {{W3045: {REASON}}}", ""),
    ],
)
def test_a_suppression_without_a_reason_is_told(
    gates: ModuleType, tmp_path: Path, old: str, new: str
) -> None:
    assert old in TEMPLATE
    problems = judged(gates, read(gates, tmp_path, TEMPLATE.replace(old, new)), answers(gates))
    assert len(problems) == 1 and "says no reason" in problems[0]


@pytest.mark.parametrize(
    ("tool", "rule", "resource", "variant"),
    [
        ("checkov", "CKV_AWS_19", "Files", "production"),  # another rule
        ("checkov", "CKV_AWS_18", "Other", "dev"),  # another resource
        ("cdk_nag", "CKV_AWS_18", "Files", "dev"),  # another tool
        (
            "cdk_nag",
            "HIPAA.Security-S3BucketLoggingEnabled[Action::*]",
            "Files",
            "dev",
        ),  # a part that nobody named
        ("sam", "invalid", "", "written"),
    ],
)
def test_what_no_suppression_names_is_told_with_its_place(
    gates: ModuleType, tmp_path: Path, tool: str, rule: str, resource: str, variant: str
) -> None:
    given = answers(gates)
    given[tool].findings.append(gates.Finding(tool, rule, resource, "this is wrong", variant))
    problems = judged(gates, read(gates, tmp_path), given)
    assert len(problems) == 1 and f"{tool} {rule} {resource}: this is wrong" in problems[0]
    line = {"Files": 11, "Other": 19, "": 10}[resource]
    assert f"small.yaml:{line}: " in problems[0]


def test_the_same_finding_in_several_sets_is_told_once(gates: ModuleType, tmp_path: Path) -> None:
    given = answers(gates)
    for variant in ("production", "dev"):
        given["checkov"].findings.append(gates.Finding("checkov", "CKV_X", "Files", "wrong", variant))
    (problem,) = judged(gates, read(gates, tmp_path), given)
    assert problem.endswith("wrong (production, dev)")


def test_a_suppression_for_one_set_does_not_hold_in_another(gates: ModuleType, tmp_path: Path) -> None:
    for sets, count in (("[production]", 0), ("[dev]", 2), ("[produktion]", 3)):
        text = TEMPLATE.replace(f"comment: {REASON}", f"comment: {REASON}, sets: {sets}")
        problems = judged(gates, read(gates, tmp_path, text), answers(gates))
        assert len(problems) == count, problems  # the finding stands, nothing is suppressed, no such set


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("checkov: {skip:", "checkov: {skips:"),
        ("{id: CKV_AWS_18,", "{rule: CKV_AWS_18,"),
        (f"comment: {REASON}", f"reason: {REASON}"),
        ("{rules_to_suppress: [{", "{rules: [{"),
        ("ignore_checks: [W3045]", "ignore_checks: [W3045], regions: [us-east-1]"),
        ("reasons: {W3045:", "reasons: {W1: it is not ignored, W3045:"),
        (
            "Resources:\n",
            f"Metadata: {{checkov: {{skip: [{{id: CKV_AWS_1, comment: {REASON}}}]}}}}\nResources:\n",
        ),
    ],
)
def test_a_suppression_in_a_form_that_a_tool_does_not_read_is_told(
    gates: ModuleType, tmp_path: Path, old: str, new: str
) -> None:
    assert old in TEMPLATE
    _, wrong = gates.suppressions(read(gates, tmp_path, TEMPLATE.replace(old, new, 1)))
    assert len(wrong) == 1


def test_no_tool_sees_a_suppression(gates: ModuleType, tmp_path: Path) -> None:
    template = read(gates, tmp_path)
    plain = gates.stripped(template.source)
    assert "Metadata" not in plain["Resources"]["Files"]
    assert plain["Resources"]["Files"]["Properties"]["BucketName"] == {
        "Fn::Sub": "${AWS::StackName}-${Stage}-${Other}"
    }
    assert "Metadata" in template.source["Resources"]["Files"]
    assert all("Metadata" not in json.dumps(variant.template) for variant in template.variants)


# --- The tools' answers


def test_cfn_lint_is_read(gates: ModuleType, tmp_path: Path) -> None:
    said = [
        {
            "Filename": "written.json",
            "Level": "Warning",
            "Location": {
                "Start": {"ColumnNumber": 1, "LineNumber": 1},
                "End": {"ColumnNumber": 1, "LineNumber": 1},
                "Path": ["Resources", "Files", "Properties", "BucketName", "Fn::Sub"],
            },
            "Message": "a name that is\n  not unique",
            "Rule": {"Description": "…", "Id": "W3045", "ShortDescription": "…", "Source": "…"},
        },
        {"Location": {"Path": None}, "Message": "no description", "Rule": {"Id": "E1001"}},
    ]
    answer = gates.read_cfn_lint(json.dumps(said), 300, read(gates, tmp_path))
    assert (answer.checks, answer.passed) == (300, 298)
    first, second = answer.findings
    assert (first.rule, first.resource, first.message, first.line) == (
        "W3045",
        "Files",
        "a name that is not unique",
        18,
    )
    assert (second.rule, second.resource, second.line) == ("E1001", "", 1)
    assert gates.read_cfn_lint("[]", 300, read(gates, tmp_path)).passed == 300


def test_sam_is_read(gates: ModuleType) -> None:
    assert gates.read_sam("/x/core.yaml is a valid SAM Template\n").findings == []
    said = "[[E3002: Resource properties] (Additional properties are not allowed) matched core.yaml:7]\nError: Linting failed.\n"
    assert [finding.rule for finding in gates.read_sam(said).findings] == ["invalid"]
    with pytest.raises(gates.ToolFailed):
        gates.read_sam(" \n")


def checkov(*checks: tuple[str, str, str], parsing: list[str] | None = None) -> str:
    """Its JSON. checks: of rule, file, resource."""
    failed = [
        {"check_id": rule, "check_name": "name of it", "file_path": file, "resource": resource}
        for rule, file, resource in checks
    ]
    results = {
        "passed_checks": [{}, {}],
        "failed_checks": failed,
        "skipped_checks": [],
        "parsing_errors": parsing or [],
    }
    return json.dumps({"check_type": "cloudformation", "results": results})


def test_checkov_is_read_and_what_sam_made_is_put_down_to_its_source(
    gates: ModuleType, tmp_path: Path
) -> None:
    template = read(gates, tmp_path)
    origin = {**template.variants[0].origin, "FilesRole": "Files"}
    template = gates.Template(
        template.path, template.source, [gates.Variant("production", template.variants[0].template, origin)]
    )
    said = checkov(
        ("CKV_1", "/written.json", "AWS::S3::Bucket.Files"),
        ("CKV_2", "/production.json", "AWS::IAM::Role.FilesRole"),
    )
    answer = gates.read_checkov(said, template)
    assert (answer.checks, answer.passed) == (4, 2)
    first, second = answer.findings
    assert (first.resource, first.variant, first.message) == ("Files", "written", "name of it")
    assert (second.resource, second.variant, second.message) == (
        "Files",
        "production",
        "FilesRole: name of it",
    )


def test_a_file_that_checkov_could_not_read_is_no_clean_file(gates: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(gates.ToolFailed, match=r"production\.json"):
        gates.read_checkov(checkov(parsing=["/production.json"]), read(gates, tmp_path))
    with pytest.raises(ValueError, match="Expecting"):
        gates.read_checkov("Traceback …", read(gates, tmp_path))


def nag(**more: Any) -> str:
    """What nag/judge.cjs prints for the two sets of TEMPLATE; more: of production's."""
    whole = {"rules": 90, "resources": 2, "compliant": 3, "not_applicable": 170, "findings": []}
    return json.dumps({"production": {**whole, **more}, "dev": whole})


def test_cdk_nag_is_read(gates: ModuleType, tmp_path: Path) -> None:
    found = {
        "rule": "HIPAA.Security-S3BucketLoggingEnabled",
        "resource": "Files",
        "message": "no access logs",
    }
    answer = gates.read_nag(nag(findings=[found]), read(gates, tmp_path))
    assert (answer.checks, answer.passed) == (7, 6)
    assert [(one.rule, one.resource, one.variant) for one in answer.findings] == [
        ("HIPAA.Security-S3BucketLoggingEnabled", "Files", "production")
    ]


@pytest.mark.parametrize(
    "said", [json.dumps({"production": {"error": "no"}, "dev": {}}), nag(resources=0), nag(rules=0)]
)
def test_a_pack_that_looked_at_nothing_has_not_worked(gates: ModuleType, tmp_path: Path, said: str) -> None:
    with pytest.raises(gates.ToolFailed):
        gates.read_nag(said, read(gates, tmp_path))
    with pytest.raises(KeyError):
        gates.read_nag("{}", read(gates, tmp_path))


def test_a_tool_that_ends_badly_has_not_worked(gates: ModuleType) -> None:
    with pytest.raises(gates.ToolFailed, match="ended with 3: oh no"):
        gates.run(
            [sys.executable, "-c", "import sys; print('oh no', file=sys.stderr); sys.exit(3)"], good=[0, 1]
        )
    assert gates.run([sys.executable, "-c", "print('fine')"], good=[0]) == "fine\n"


# --- All together


def run_all(gates: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path, given: dict[str, Any]) -> int:
    path = folder / "small.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    monkeypatch.setattr(gates.tomllib, "loads", lambda _: dict(SETS))
    monkeypatch.setattr(gates.logging, "disable", lambda _: None)

    def asked(answer: Any) -> Any:
        def ask(template: Any, where: Path) -> Any:
            assert where.is_dir()
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask

    monkeypatch.setattr(gates, "TOOLS", {tool: asked(answer) for tool, answer in given.items()})
    monkeypatch.setattr(gates, "bites", lambda tool: None)
    status: int = gates.main([str(path)])
    return status


def test_the_exit_status_says_clean_to_mend_or_not_judged(
    gates: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_all(gates, monkeypatch, tmp_path, answers(gates)) == 0
    said = capsys.readouterr().out
    assert "small.yaml  checkov" in said and said.rstrip().endswith("clean")
    assert run_all(gates, monkeypatch, tmp_path, answers(gates, without="checkov")) == 1
    assert "1 to mend" in capsys.readouterr().out
    broken = {**answers(gates), "cdk_nag": gates.ToolFailed("no Node.js")}
    assert run_all(gates, monkeypatch, tmp_path, broken) == 2
    said = capsys.readouterr().out
    assert "small.yaml: cdk_nag did not work: no Node.js" in said
    assert "suppresses nothing" not in said  # whoever was not asked has not contradicted


def test_a_tool_that_finds_nothing_in_what_is_bad_on_purpose_has_not_worked(
    gates: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def ask(template: Any, folder: Path) -> Any:
        assert template.path.parent == folder
        seen.append(set(template.variants[0].template["Resources"]))
        return found

    monkeypatch.setattr(gates, "TOOLS", {"checkov": ask})
    found = gates.Answer(5, 4, [gates.Finding("checkov", "CKV_AWS_19", "Open", "not encrypted")])
    gates.bites("checkov")
    found = gates.Answer(5, 5)
    with pytest.raises(gates.ToolFailed, match="finds nothing wrong"):
        gates.bites("checkov")
    assert seen == [{"Open", "Asked", "AskedRole"}] * 2


def test_no_templates_and_no_sets_are_failures(
    gates: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gates.logging, "disable", lambda _: None)
    monkeypatch.setattr(gates, "STACKS", tmp_path)
    monkeypatch.setattr(gates, "TOOLS", {})
    assert gates.main([]) == 2
    (tmp_path / "new.yaml").write_text(TEMPLATE, encoding="utf-8")
    assert gates.main([]) == 2
    assert "no set of parameters for new" in capsys.readouterr().out


def test_every_template_has_sets_and_can_be_made_plain(gates: ModuleType) -> None:
    """Of the repository: those that the gates judge in CI."""
    sets = gates.tomllib.loads((ROOT / ".ci" / "templates.toml").read_text(encoding="utf-8"))
    sets |= {f"optional/{name}": value for name, value in sets["optional"].items()}
    paths = gates.all_templates()
    assert paths
    keys = {path.relative_to(gates.STACKS).with_suffix("").as_posix() for path in paths}
    assert keys == set(sets) - {"optional"}
    assert all("production" in sets[key] for key in keys)


# --- Parameters and conditions


def test_a_template_is_made_plain_for_a_set(gates: ModuleType, tmp_path: Path) -> None:
    template = read(gates, tmp_path)
    production, dev = template.variants
    assert template.regions == ["eu-central-1"]
    assert (production.name, dev.name) == ("production", "dev")
    assert set(production.template["Resources"]) == {"Files"} and set(dev.template["Resources"]) == {
        "Files",
        "Other",
    }
    name = dev.template["Resources"]["Files"]["Properties"]["BucketName"]
    assert name == {"Fn::Sub": "health-helper-dev-${Other}"}


CASES = [
    ({"Ref": "Stage"}, "production"),
    ({"Ref": "Zones"}, ["a", "b"]),
    ({"Ref": "AWS::Region"}, "eu-central-1"),
    ({"Ref": "Files"}, {"Ref": "Files"}),
    ({"Fn::GetAtt": ["Files", "Arn"]}, {"Fn::GetAtt": ["Files", "Arn"]}),
    ({"Fn::If": ["IsProduction", 1, 2]}, 1),
    ({"Fn::If": ["IsDev", 1, {"Ref": "Stage"}]}, "production"),
    ({"a": 1, "b": {"Fn::If": ["IsDev", 1, {"Ref": "AWS::NoValue"}]}}, {"a": 1}),
    ([1, {"Ref": "AWS::NoValue"}, 3], [1, 3]),
    ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "Days"]}, 35),
    ({"Fn::Sub": "${Stage}-${AWS::AccountId}"}, "production-123456789012"),
    ({"Fn::Sub": "${Files.Arn}/*"}, {"Fn::Sub": "${Files.Arn}/*"}),
    ({"Fn::Sub": ["${x}-${y}", {"x": {"Ref": "Stage"}, "y": {"Ref": "Files"}}]}, {"Fn::Sub": ["production-${y}", {"y": {"Ref": "Files"}}]}),
    ({"Fn::Join": ["", {"Ref": "Zones"}]}, "ab"),
    ({"Fn::Join": [",", ["a", {"Ref": "Files"}]]}, {"Fn::Join": [",", ["a", {"Ref": "Files"}]]}),
    ({"Fn::Select": [1, {"Fn::GetAZs": ""}]}, "eu-central-1b"),
    ({"Fn::Select": ["0", {"Fn::Split": ["-", "x-y"]}]}, "x"),
    ({"Fn::Split": ["/", {"Ref": "Files"}]}, {"Fn::Split": ["/", {"Ref": "Files"}]}),
    ({"Fn::Select": [2, {"Fn::Cidr": ["10.20.0.0/16", 6, 8]}]}, "10.20.2.0/24"),
    ({"Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}}, {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "plain"), CASES)
def test_functions_are_worked_out_as_far_as_they_can_be(values: ModuleType, value: Any, plain: Any) -> None:
    made = values.resolve(small(value), {"Stage": "production"}, "eu-central-1")
    assert made["Resources"]["Files"]["Properties"]["X"] == plain


def small(value: Any, **conditions: Any) -> dict[str, Any]:
    """A template as it is read, with a property."""
    return {
        "Parameters": {
            "Stage": {"Type": "String", "AllowedValues": ["dev", "production"]},
            "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"},
        },
        "Mappings": {"Sizes": {"production": {"Days": 35}}},
        "Conditions": {
            "IsProduction": {"Fn::Equals": [{"Ref": "Stage"}, "production"]},
            "IsDev": {"Fn::Not": [{"Condition": "IsProduction"}]},
            **conditions,
        },
        "Resources": {
            "Files": {"Type": "AWS::S3::Bucket", "DependsOn": ["Other"], "Properties": {"X": value}},
            "Other": {"Type": "AWS::S3::Bucket", "Condition": "IsDev"},
        },
    }


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"Fn::And": [{"Condition": "IsProduction"}, {"Condition": "IsDev"}]}, False),
        ({"Fn::Or": [{"Condition": "IsProduction"}, {"Condition": "IsDev"}]}, True),
        ({"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Zones"}]}, "ab"]}, True),
        ({"Fn::Equals": [{"Ref": "Zones"}, "a"]}, False),
    ],
)
def test_conditions_are_decided(values: ModuleType, condition: Any, *, holds: bool) -> None:
    made = values.resolve(
        small({"Fn::If": ["It", True, False]}, It=condition), {"Stage": "production"}, "eu-central-1"
    )
    assert made["Resources"]["Files"]["Properties"]["X"] is holds


def test_what_is_not_there_is_not_waited_for(values: ModuleType) -> None:
    assert "DependsOn" not in values.resolve(small(1), {"Stage": "production"}, "x")["Resources"]["Files"]
    assert values.resolve(small(1), {"Stage": "dev"}, "x")["Resources"]["Files"]["DependsOn"] == ["Other"]


@pytest.mark.parametrize(
    ("template", "given", "said"),
    [
        (small(1), {}, "Stage has no default"),
        (small(1), {"Stage": "test"}, "may not be 'test'"),
        (small(1), {"Stage": "dev", "Color": "red"}, "does not have: Color"),
        (small({"Fn::If": ["Missing", 1, 2]}), {"Stage": "dev"}, "no condition Missing"),
        (small({"Fn::FindInMap": ["Sizes", "dev", "Days"]}), {"Stage": "dev"}, "in the mappings"),
        (small({"Fn::Select": [3, ["a"]]}), {"Stage": "dev"}, "no item 3"),
        (small({"Fn::If": ["It", 1, 2]}, It={"Fn::Equals": [{"Ref": "Files"}, "x"]}), {"Stage": "dev"}, "only AWS knows"),
        (small({"Fn::If": ["It", 1, 2]}, It={"Ref": "Stage"}), {"Stage": "dev"}, "this is no condition"),
    ],
)  # fmt: skip
def test_a_set_or_a_template_that_is_wrong_is_refused(
    values: ModuleType, template: dict[str, Any], given: dict[str, str], said: str
) -> None:
    with pytest.raises(values.Unresolved, match=said):
        values.resolve(template, given, "eu-central-1")
