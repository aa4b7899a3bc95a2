import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PolicyContext, PolicyRequest } from './context.ts';
import { findVariable, type KeyValues } from './variables.ts';

const attached = { name: 'dev1', attached: true, type: 'Bulb', attributes: { site: 'tokyo', 'a.b[]:x': '1' } };
const certificate = {
  id: 'c0ffee',
  serialNumber: '0a1b',
  subject: {
    Country: ['JP', 'DE', 'FR', 'IT', 'ES', 'PT'],
    Organization: ['Example, "Corp" \\ <a=b>;+'],
    CommonName: ['x'.repeat(1024), 'x'.repeat(1025)],
    AlternativeName: { DNSName: ['a.example', 'b.example'] },
  },
  issuer: { State: ['O=x'] },
};
const mqtt: PolicyContext = {
  clientId: 'dev1',
  sourceIp: '192.0.2.1',
  domainName: 'x.example',
  thing: attached,
  certificate,
};
const ask = (context: PolicyContext, action = 'iot:Connect'): PolicyRequest => ({
  action,
  resource: 'arn:aws-cn:iot:cn-north-1:123456789012:client/dev1',
  context,
});

describe('what a variable inserts (spec policy.md 4.4)', () => {
  const thing = 'iot:Connection.Thing';
  const subject = 'iot:Certificate.Subject';
  const cases: [name: string, context: PolicyContext, value: string | undefined, rule: string][] = [
    ['iot:ClientId', mqtt, 'dev1', 'the client id'],
    ['IOT:CLIENTID', mqtt, 'dev1', 'names in any case'],
    ['iot:ClientId', { ...mqtt, protocol: 'https' }, undefined, 'none over HTTPS'],
    ['iot:ClientId', {}, undefined, 'none when unknown'],
    ['aws:SourceIp', mqtt, '192.0.2.1', 'the peer address'],
    ['aws:SourceIp', { sourceIp: '::ffff:192.0.2.1' }, '192.0.2.1', 'an IPv4 peer on a dual-stack socket'],
    ['aws:SourceIp', { sourceIp: '2001:db8::1', protocol: 'https' }, '2001:db8::1', 'over HTTPS too'],
    ['iot:DomainName', mqtt, 'x.example', 'the SNI'],
    ['iot:DomainName', {}, undefined, 'absent without SNI'],
    ['iot:CertificateId', { ...mqtt, protocol: 'https' }, 'c0ffee', 'certificate variables exist over HTTPS'],
    ['iot:CertificateId', {}, undefined, 'only with a certificate'],
    ['iot:Certificate.SerialNumber', mqtt, '0a1b', 'the serial number'],
    [`${thing}.ThingName`, mqtt, 'dev1', 'attached, under its own name'],
    ['iot:Thing.ThingName', mqtt, 'dev1', 'the alias of the guide (11.4)'],
    [`${thing}.ThingName`, { ...mqtt, clientId: 'other' }, undefined, 'attached, under another name'],
    [
      `${thing}.ThingName`,
      { ...mqtt, clientId: 'other', thing: { ...attached, exclusive: true } },
      'dev1',
      'attached exclusively',
    ],
    [
      `${thing}.ThingName`,
      { ...mqtt, thing: { ...attached, attached: false, exclusive: true } },
      undefined,
      'not attached',
    ],
    [`${thing}.ThingName`, { ...mqtt, protocol: 'https' }, undefined, 'none over HTTPS'],
    [`${thing}.ThingName`, { thing: { ...attached, exclusive: true } }, undefined, 'none without a client id (8)'],
    [
      `${thing}.ThingName`,
      { thing: { ...attached, named: true } },
      'dev1',
      'attached, and named by the request itself',
    ],
    [`${thing}.ThingName`, { thing: { ...attached, attached: false, named: true } }, undefined, 'named, not attached'],
    [`${thing}.ThingTypeName`, mqtt, 'Bulb', 'the type'],
    [`${thing}.ThingTypeName`, { thing: { ...attached, named: true } }, 'Bulb', 'the type of a thing that is named'],
    [`${thing}.ThingTypeName`, { ...mqtt, clientId: 'other' }, undefined, 'needs the thing'],
    [`${thing}.ThingTypeName`, { ...mqtt, thing: { name: 'dev1', attached: true } }, undefined, 'a thing without type'],
    [`${thing}.Attributes[site]`, mqtt, 'tokyo', 'an attribute'],
    ['iot:connection.thing.attributes[site]', mqtt, 'tokyo', 'names in any case'],
    [`${thing}.Attributes[Site]`, mqtt, undefined, 'but the attribute as it is written'],
    [`${thing}.Attributes[a.b[]:x]`, mqtt, '1', 'attribute names with brackets'],
    [`${thing}.Attributes[constructor]`, mqtt, undefined, 'nothing inherited'],
    [`${thing}.Attributes[site]`, { ...mqtt, thing: { ...attached, attached: false } }, undefined, 'needs the thing'],
    [`${thing}.IsAttached`, mqtt, 'true', 'the connection has its thing'],
    [`${thing}.IsAttached`, { ...mqtt, clientId: 'other' }, 'false', 'present and false without (11.8)'],
    [`${thing}.IsAttached`, { clientId: 'dev1' }, 'false', 'present and false when there is no thing at all'],
    [`${thing}.IsAttached`, { ...mqtt, protocol: 'https' }, undefined, 'absent over HTTPS (11.8)'],
    [`${thing}.IsAttached`, { thing: { ...attached, named: true } }, 'true', 'but of a thing that is named'],
    [`${subject}.Country`, mqtt, 'JP', 'the first value'],
    [`${subject}.Country.0`, mqtt, 'JP', 'an index from zero (11.3)'],
    [`${subject}.Country.1`, mqtt, 'DE', 'one is the second'],
    [`${subject}.Country.4`, mqtt, 'ES', 'the fifth is the last'],
    [`${subject}.Country.5`, mqtt, undefined, 'a sixth is not visible'],
    [`${subject}.Country.01`, mqtt, undefined, 'an index has no leading zero'],
    [`${subject}.Country.List`, mqtt, undefined, 'a list inserts nothing'],
    [`${subject}.Organization.1`, mqtt, undefined, 'an index without a value'],
    [`${subject}.Title`, mqtt, undefined, 'a field without a value'],
    ['iot:certificate.subject.country', mqtt, 'JP', 'names in any case'],
    [`${subject}.CommonName`, mqtt, 'x'.repeat(1024), '1024 characters are inserted'],
    [`${subject}.CommonName.1`, mqtt, undefined, '1025 are not'],
    [`${subject}.Organization`, mqtt, undefined, 'a value with + is not inserted'],
    ['iot:Certificate.Issuer.State', mqtt, 'O\\=x', 'special characters carry a backslash'],
    [`${subject}.AlternativeName.DNSName`, mqtt, 'a.example', 'alternative names'],
    [`${subject}.AlternativeName.DNSName.1`, mqtt, 'b.example', 'alternative names by index'],
    [
      'iot:Certificate.Issuer.AlternativeName.DNSName',
      mqtt,
      undefined,
      "of the issuer's certificate field, not the subject's",
    ],
    [`${subject}.DNSName`, mqtt, undefined, 'alternative names have their own prefix'],
    ['iot:Certificate.AvailableKeys', mqtt, undefined, 'a list inserts nothing'],
    [
      'cognito-identity.amazonaws.com:sub',
      { cognito: { sub: 'us-east-1:x' } },
      'us-east-1:x',
      'the identity of a Cognito principal',
    ],
    ['cognito-identity.amazonaws.com:aud', {}, undefined, 'and of no other'],
    ['iot:Nope', mqtt, undefined, 'an unknown name'],
    ['toString', mqtt, undefined, 'nothing inherited'],
  ];
  for (const [name, context, value, rule] of cases) {
    test(`${name}: ${rule}`, () => assert.equal(findVariable(name).text(ask(context)), value));
  }

  for (const character of ['*', '$', '+', '?', '#']) {
    test(`a certificate value with ${character} is not inserted, but compared in conditions`, () => {
      const context = { certificate: { id: 'x', subject: { Title: [`a${character}`] } } };
      assert.equal(findVariable(`${subject}.Title`).text(ask(context)), undefined);
      assert.equal(findVariable(`${subject}.Title`).key(ask(context)), character === '+' ? 'a\\+' : `a${character}`);
    });
  }
});

describe('condition keys (spec policy.md 5)', () => {
  const connect: PolicyContext = { ...mqtt, connectAttributes: ['LastWill'], lastWillTopic: 'a/b', topic: 't' };
  const subject = 'iot:Certificate.Subject';
  const cases: [name: string, request: PolicyRequest, values: KeyValues, rule: string][] = [
    [`${subject}.Country.List`, ask(mqtt), ['JP', 'DE', 'FR', 'IT', 'ES'], 'all values, five at most'],
    [`${subject}.Country`, ask(mqtt), 'JP', 'the first value'],
    [
      `${subject}.Organization`,
      ask(mqtt),
      'Example\\, \\"Corp\\" \\\\ \\<a\\=b\\>\\;\\+',
      'every special character escaped',
    ],
    ['iot:ConnectAttributes', ask(connect), ['LastWill'], 'of the CONNECT packet'],
    ['iot:ConnectAttributes', ask(connect, 'iot:Publish'), undefined, 'absent for other actions'],
    [
      'iot:LastWillTopic',
      ask(connect),
      'arn:aws-cn:iot:cn-north-1:123456789012:topic/a/b',
      'an ARN in the account asked for',
    ],
    ['iot:LastWillTopic', ask(connect, 'iot:Publish'), undefined, 'absent for other actions'],
    ['iot:LastWillTopic', ask(mqtt), undefined, 'absent without a will'],
    ['iot:LastWillTopic', { ...ask(connect), resource: '*' }, undefined, 'absent where no account is asked for'],
    ['iot:Topic', ask(connect, 'iot:SendDirectMessage'), 't', 'of a direct message'],
    ['iot:Topic', ask(connect, 'iot:Publish'), undefined, 'absent for other actions'],
    [
      'iot:IncludeSocketInformation',
      ask({ includeSocketInformation: false }, 'iot:GetConnection'),
      'false',
      'as the request says',
    ],
    [
      'iot:IncludeSocketInformation',
      ask({ includeSocketInformation: true }, 'iot:Connect'),
      undefined,
      'absent for other actions',
    ],
    ['aws:CurrentTime', ask({ now: () => 7_999 }), '1970-01-01T00:00:07Z', 'the time'],
    ['aws:EpochTime', ask({ now: () => 7_999 }), '7', 'the time in seconds'],
    ['aws:CurrentTime', ask({}), undefined, 'absent without a clock'],
    ['aws:SourceVpc', ask({ vpc: 'vpc-1' }), 'vpc-1', 'a labelled listener'],
    ['aws:SourceVpce', ask({ vpce: 'vpce-1' }), 'vpce-1', 'a labelled listener'],
    ['aws:VpcSourceIp', ask({ vpcSourceIp: '10.0.0.1' }), '10.0.0.1', 'a labelled listener'],
    ['iot:LastWill', ask(connect), undefined, 'is no key'],
    [
      'iot:Certificate.AvailableKeys',
      ask(mqtt),
      [
        'iot:CertificateId',
        'iot:Certificate.Subject.Country',
        'iot:Certificate.Subject.Organization',
        'iot:Certificate.Subject.CommonName',
        'iot:Certificate.Subject.AlternativeName.DNSName',
        'iot:Certificate.Issuer.State',
        'iot:Certificate.SerialNumber',
      ],
      'the names of the variables with a value',
    ],
    ['iot:Certificate.AvailableKeys', ask({}), undefined, 'absent without a certificate'],
  ];
  for (const [name, request, values, rule] of cases) {
    test(`${name}: ${rule}`, () => assert.deepEqual(findVariable(name).key(request), values));
  }
});
