// The independent judge of policies: one JSON question a line in, one JSON answer a line out.
//
//   node judge.mjs TOOLS      (TOOLS: the folder whose node_modules holds the simulator)
//
//   in:  {"id": 1, "policies": [{"name": "pin", "document": {…}}], "principal": "arn:aws:sts::…",
//         "action": "dynamodb:ListTables", "resource": "*", "context": {"aws:SourceIp": "198.51.100.9"}}
//   out: {"id": 1, "decision": "allowed" | "denied" | "implicit",
//         "by": [{"policy": "pin", "statement": "PublicA"}]}      the statements that decided
//   or:  {"id": 1, "error": "why the question could not be judged"}
//
// A question may have "resourcePolicy" too, {"name": …, "document": {…}, "account": "444455556666"}: the
// policy of the resource, which lies in that account.
//
// Policies are the role's identity policies. A pin only denies, so the asker adds what allows.
// "denied" is an explicit Deny, "implicit" means that nothing allowed it.
//
// The simulator is AGPL and stays in this process: nothing of ours links to it or ships it.

import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

const tools = process.argv[2]
if (!tools) {
  console.error('usage: node judge.mjs TOOLS')
  process.exit(64)
}
// Node looks for a module beside the file that asks for it. Ours lies elsewhere.
const require = createRequire(resolve(tools, 'package.json'))
const { runSimulation } = require('@cloud-copilot/iam-simulate')

const DECISIONS = { Allowed: 'allowed', ExplicitlyDenied: 'denied', ImplicitlyDenied: 'implicit' }

// IAM refuses a document with an operator that does not exist; the simulator lets it never match.
const OPERATOR = new RegExp(
  '^(ForAllValues:|ForAnyValue:)?(Null|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like)' +
    '|String(Not)?(Equals|EqualsIgnoreCase|Like)' +
    '|(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?))(IfExists)?$',
)

function unknownOperator(policies) {
  const statements = policies.flatMap(({ document }) => document.Statement)
  return statements.flatMap((s) => Object.keys(s.Condition ?? {})).find((o) => !OPERATOR.test(o))
}

async function judge({ id, policies, principal, action, resource, context, resourcePolicy }) {
  const unknown = unknownOperator(resourcePolicy ? [...policies, resourcePolicy] : policies)
  if (unknown) {
    return { id, error: `Condition: there is no operator ${unknown}` }
  }
  const account = principal.split(':')[4]
  const answer = await runSimulation(
    {
      identityPolicies: policies.map(({ name, document }) => ({ name, policy: document })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: resourcePolicy?.document,
      request: {
        principal,
        action,
        resource: { resource, accountId: resourcePolicy?.account ?? account },
        contextVariables: context,
      },
    },
    { simulationMode: 'Strict' },
  )
  if (answer.resultType === 'error') {
    return { id, error: JSON.stringify(answer.errors) }
  }
  if (answer.resultType !== 'single') {
    return { id, error: `resource ${resource} is a pattern for ${action}: name one resource` }
  }
  // The simulator drops the keys that it thinks the action does not have. A question about other
  // facts than the ones asked about has no answer.
  const { ignoredContextKeys, analysis } = answer.result
  if (ignoredContextKeys.length > 0) {
    return { id, error: `the simulator ignores ${ignoredContextKeys.join(', ')} for ${action}` }
  }
  const by = (effect) => [
    ...(analysis.identityAnalysis?.[effect] ?? []).map((s) => told(s.policyId, s)),
    ...(analysis.resourceAnalysis?.[effect] ?? []).map((s) => told(resourcePolicy.name, s)),
  ]
  const denying = by('denyStatements')
  return {
    id,
    decision: DECISIONS[answer.overallResult],
    by: denying.length > 0 ? denying : by('allowStatements'),
  }
}

function told(policy, statement) {
  return { policy, statement: statement.explain.identifier }
}

async function answer(line) {
  let question
  try {
    question = JSON.parse(line)
    return await judge(question)
  } catch (error) {
    return { id: question?.id ?? null, error: String(error) }
  }
}

// One after the other, so that answers come in the order of the questions. The end of stdin, which
// is also what the death of the asker looks like, ends the process.
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (!process.stdout.write(JSON.stringify(await answer(line)) + '\n')) {
    await new Promise((resume) => process.stdout.once('drain', resume))
  }
}
