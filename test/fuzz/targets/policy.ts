/**
 * Policy documents and the decisions on them: MalformedPolicy, or a decision that the explanation agrees with, and the naive evaluator too, where it is fit to
 * be asked. The input is the document, then after NUL the resource, the client id and the certificate's common name. Rules: spec policy.md.
 */
import type { PolicyContext, PolicyRequest } from '../../../src/policy/context.ts';
import { parsePolicyDocument } from '../../../src/policy/document.ts';
import { evaluate } from '../../../src/policy/evaluate.ts';
import { MalformedPolicy } from '../../../src/policy/malformed.ts';
import { compilePolicies } from '../../../src/policy/policy-set.ts';
import { missingContextValues, weigh } from '../../../src/policy/weigh.ts';
import { naiveDecision } from '../../naive-policy.ts';
import { hold, type Target } from '../target.ts';

const topic = 'arn:aws:iot:us-east-1:000000000000:topic';
const statement = (members: object): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*', ...members }],
  });
const documents = [
  statement({}),
  statement({ Resource: [`${topic}/a/*/\${iot:ClientId}`, `${topic}/?/${'${*}'}`] }),
  statement({
    Effect: 'Deny',
    Action: undefined,
    Resource: undefined,
    NotAction: ['iot:Connect', 'iot:P?blish*'],
    NotResource: [`${topic}/\${iot:Thing.ThingName}`],
  }),
  statement({ Resource: `${topic}/\${iot:Certificate.Subject.CommonName}/\${iot:Certificate.Subject.CommonName.1}` }),
  statement({ Condition: { 'ForAnyValue:StringLike': { 'iot:Certificate.Subject.CommonName.List': ['a*', '?'] } } }),
  statement({
    Condition: {
      IpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '2001:db8::/32'] },
      DateLessThan: { 'aws:CurrentTime': '2030-01-01T00:00:00Z', 'aws:EpochTime': 1e9 },
      Bool: { 'iot:Connection.Thing.IsAttached': [true] },
      NumericLessThanEqualsIfExists: { 'aws:EpochTime': '1.5e3' },
      Null: { 'iot:Topic': 'true' },
    },
  }),
  JSON.stringify({
    Version: '2008-10-17',
    Id: 'x',
    Statement: { Sid: 's', Effect: 'Allow', Action: '*', Resource: '*' },
  }),
];
const actions = ['iot:Connect', 'iot:Publish', 'iot:Subscribe', 'iot:Receive', 'iot:GetThingShadow'];

const contextOf = (clientId: string, name: string): PolicyContext => ({
  clientId,
  sourceIp: '10.0.0.1',
  domainName: 'localhost',
  thing: { name: clientId, attached: true, attributes: { a: name } },
  certificate: { id: 'ab'.repeat(32), subject: { CommonName: [name, clientId] }, serialNumber: '0a' },
  connectAttributes: ['LastWill'],
  lastWillTopic: 'a/b',
  now: () => 1_700_000_000_000,
});

/** The oracle believes its input well-formed: numbers of JSON are not its business. */
const fitForOracle = (document: string): boolean => !/Condition/.test(document);

export default (): Target => ({
  corpus: documents.map((document) => Buffer.from([document, `${topic}/a/b/dev1`, 'dev1', 'a+b'].join('\0'))),
  dictionary: [
    ...[
      '"Effect":"Deny"',
      '"NotAction":',
      '"NotResource":',
      '"Resource":',
      '"Condition":{',
      '"Sid":""',
      '"Principal":"*"',
    ],
    ...[
      '${iot:ClientId}',
      '${',
      '}',
      '${*}',
      '${?}',
      '${$}',
      '*',
      '?',
      '**?*',
      '"2012-10-17"',
      '"2008-10-17"',
      'ForAllValues:',
    ],
    ...[
      'IfExists',
      'StringEquals',
      'StringNotLike',
      'ArnLike',
      'NotIpAddress',
      'DateEquals',
      'NumericEquals',
      'BinaryEquals',
    ],
    ...[
      '"Null":{',
      '[',
      ']',
      '{',
      '},{',
      ',',
      'iot:Connection.Thing.Attributes[a]',
      'iot:Certificate.AvailableKeys',
      '\\u0000',
    ],
    ...[
      '__proto__',
      'constructor',
      '\\ud800',
      '0.0.0.0/0',
      '::/0',
      '1e400',
      'iot:Certificate.Issuer.AlternativeName.DNSName.List',
    ],
  ],
  bytesMax: 8_192,
  run(input) {
    const [text = '', resource = '', clientId = '', name = ''] = input.toString('utf8').split('\0');
    try {
      const document = parsePolicyDocument(text);
      const set = compilePolicies([{ policyName: 'p', policyArn: 'arn', policyVersionId: '1', text }]);
      for (const action of actions) {
        const request: PolicyRequest = { action, resource, context: contextOf(clientId, name) };
        const decision = evaluate(set, request);
        const weighing = weigh(set, request);
        hold(weighing.decision === decision, 'the explanation tells the decision that was made');
        hold(weighing.statements.length === document.statements.length, 'every statement is weighed');
        const { decidedBy = -1 } = weighing;
        hold(
          decision === 'IMPLICIT_DENY' || weighing.statements[decidedBy]?.outcome === 'matched',
          'a statement decided',
        );
        missingContextValues(set, request);
        if (fitForOracle(text)) {
          hold(naiveDecision([JSON.parse(text)], [], request) === decision, 'the naive evaluator decides the same');
        }
      }
      return 'decided';
    } catch (error) {
      if (error instanceof MalformedPolicy) return 'malformed';
      throw error;
    }
  },
});
