// Judges plain CloudFormation templates by HIPAA's rule pack of cdk-nag.
//
//     NODE_PATH=.cache/templates/nag/node_modules node judge.cjs NAME=TEMPLATE.json …
//
// Each template has its parameters and conditions resolved (see .ci/templates.py): the rules look at values.
// Prints one JSON object: {NAME: {rules, compliant, not_applicable, findings: [{rule, resource, message}]} or {error}}.
// Nothing is acknowledged here: whether a finding is accepted is decided by who asked.
"use strict";

const { App, CfnResource, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");
const { HIPAASecurityChecks, NagRuleCompliance } = require("cdk-nag");

class Judge extends HIPAASecurityChecks {
  constructor() {
    super(undefined, { verbose: true });
    this.seen = { rules: new Set(), compliant: 0, not_applicable: 0, findings: [] };
  }

  // cdk-nag keeps findings only, and takes a rule that cannot be worked out for one without saying why.
  applyRule({ rule, ruleSuffixOverride, node, info }) {
    const name = `${this.packName}-${ruleSuffixOverride ?? rule.name}`;
    const found = (id, message) => this.seen.findings.push({ rule: id, resource: node.node.id, message });
    this.seen.rules.add(name);
    let result;
    try {
      result = rule(node);
    } catch (error) {
      found(name, `cannot be worked out: ${error.message}`);
      return;
    }
    if (Array.isArray(result)) {
      for (const part of result) found(`${name}[${part}]`, info);
      if (!result.length) this.seen.compliant += 1;
    } else if (result === NagRuleCompliance.NON_COMPLIANT) found(name, info);
    else if (result === NagRuleCompliance.COMPLIANT) this.seen.compliant += 1;
    else this.seen.not_applicable += 1;
  }
}

function judge(file) {
  const app = new App({ analyticsReporting: false });
  const stack = new Stack(app, "Stack");
  const template = new CfnInclude(stack, "Template", { templateFile: file, preserveLogicalIds: true });
  const pack = new Judge();
  let resources = 0;
  for (const child of template.node.findAll()) {
    if (!CfnResource.isCfnResource(child)) continue;
    resources += 1;
    pack.checkResource(child);
  }
  return { ...pack.seen, rules: pack.seen.rules.size, resources };
}

const answers = {};
for (const argument of process.argv.slice(2)) {
  const [name, file] = argument.split("=", 2);
  try {
    answers[name] = judge(file);
  } catch (error) {
    answers[name] = { error: String(error.message ?? error) };
  }
}
process.stdout.write(JSON.stringify(answers));
