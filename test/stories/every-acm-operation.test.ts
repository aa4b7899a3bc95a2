/**
 * Every operation of acm that is handled, driven through the SDK, and its raw answer held against the SDK's output schema: the part of acceptance 2 of the footing
 * that every-operation.test.ts has for the other services. A handled operation without a row fails, and so does a member that no row has shown and `neverYet` does
 * not name.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as acm from '@aws-sdk/client-acm';
import type { FaultName } from '../../src/aws/fault.ts';
import { operationSchema, placesOf } from '../answer-schema.ts';
import { authorities } from '../ca.ts';
import { type Body, bootChecked, type Command, chosen, marker } from '../checked-answers.ts';
import { handledOperations } from '../handled.ts';
import { put } from '../harness.ts';
import { fails } from '../sdk-fault.ts';

/** Members that no answer of this version can have, each with what it waits for. */
const neverYet: { readonly [operation: string]: readonly (readonly [member: RegExp, waitsFor: string])[] } = {
  DescribeCertificate: [
    [/^Certificate\.(AcmeEndpointArn|AcmeAccountId)$/, 'ACME'],
    [/^Certificate\.(CertificateAuthorityArn|ManagedBy)$/, 'other services of AWS'],
    [/^Certificate\.(RevokedAt|RevocationReason|FailureReason)$/, 'revocation and CAs that refuse'],
    [/^Certificate\.UpdateSummary/, 'changing the validation method'],
    [/DomainValidationOptions\[\]\.(ValidationEmails|HttpRedirect)/, 'validation by mail and over HTTP'],
    [/^Certificate\.RenewalSummary\.RenewalStatusReason$/, 'CAs that refuse'],
  ],
  ListCertificates: [[/\.(RevokedAt|ManagedBy)$/, 'revocation, and other services of AWS']],
};

const arnForm = /^arn:aws:acm:us-east-1:000000000000:certificate\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

type World = Awaited<ReturnType<typeof bootChecked>>;

const sending =
  ({ json }: World) =>
  (command: Command): Promise<Body> =>
    json(command, 'acm');

/** Two certificates of one CA are imported, shown, listed in two pages, tagged, and one deleted. */
const imported = async (world: World): Promise<void> => {
  const { folder, node, noted } = world;
  const send = sending(world);
  const { ca, leaf } = authorities(folder);
  const chain = await ca('maker', { subject: '/O=Maker/CN=Maker' });
  await put(folder, 'leaf.ext', 'keyUsage = digitalSignature\nextendedKeyUsage = serverAuth\n');
  const arns: string[] = [];
  const pems: string[] = [];
  for (const name of ['one.example', 'two.example']) {
    const pem = await leaf(name, 'maker', { key: 'rsa', extras: ['-extfile', 'leaf.ext'] });
    const given = {
      Certificate: Buffer.from(pem),
      PrivateKey: await readFile(join(folder, `${name}.key`)),
      CertificateChain: Buffer.from(chain),
    };
    const { CertificateArn, ...rest } = await send(new acm.ImportCertificateCommand(given));
    assert.deepEqual(rest, {});
    arns.push(chosen(CertificateArn, arnForm));
    pems.push(pem);
    const again = new acm.ImportCertificateCommand({ ...given, CertificateArn: String(CertificateArn) });
    assert.deepEqual(await send(again), { CertificateArn });
    await node.clock.advance(1000);
  }
  const [first = '', second = ''] = arns;
  const ofFirst = { CertificateArn: first };
  assert.deepEqual(await send(new acm.GetCertificateCommand(ofFirst)), {
    Certificate: pems[0],
    CertificateChain: chain,
  });

  const { Certificate } = await send(new acm.DescribeCertificateCommand(ofFirst));
  const { CreatedAt, ImportedAt, NotBefore, NotAfter, Serial, ...detail } = Certificate as Body;
  assert(noted(ImportedAt) >= noted(CreatedAt));
  chosen(Serial, /^[0-9a-f]{2}(:[0-9a-f]{2})*$/);
  const usages = { Type: 'IMPORTED', KeyAlgorithm: 'RSA_2048', Status: 'ISSUED', RenewalEligibility: 'INELIGIBLE' };
  assert.deepEqual(detail, {
    ...ofFirst,
    ...usages,
    DomainName: 'one.example',
    SubjectAlternativeNames: ['one.example'],
    Subject: 'CN=one.example',
    Issuer: 'Maker',
    SignatureAlgorithm: 'SHA256WITHECDSA',
    KeyUsages: [{ Name: 'DIGITAL_SIGNATURE' }],
    ExtendedKeyUsages: [{ Name: 'TLS_WEB_SERVER_AUTHENTICATION', OID: '1.3.6.1.5.5.7.3.1' }],
    InUseBy: [],
    Options: { CertificateTransparencyLoggingPreference: 'DISABLED', Export: 'DISABLED' },
    CertificateKeyPairOrigin: 'CUSTOMER_PROVIDED',
  });

  const page = await send(new acm.ListCertificatesCommand({ MaxItems: 1 }));
  const NextToken = chosen(page['NextToken'], marker);
  const rest = await send(new acm.ListCertificatesCommand({ NextToken }));
  const [summary] = rest['CertificateSummaryList'] as Body[];
  assert.deepEqual(rest, {
    CertificateSummaryList: [
      {
        ...ofFirst,
        ...usages,
        DomainName: 'one.example',
        SubjectAlternativeNameSummaries: ['one.example'],
        HasAdditionalSubjectAlternativeNames: false,
        KeyUsages: ['DIGITAL_SIGNATURE'],
        ExtendedKeyUsages: ['TLS_WEB_SERVER_AUTHENTICATION'],
        ...{ ExportOption: 'DISABLED', Exported: false, InUse: false, NotBefore, NotAfter, CreatedAt },
        ImportedAt: noted(summary?.['ImportedAt']),
        CertificateKeyPairOrigin: 'CUSTOMER_PROVIDED',
      },
    ],
  });
  const [newest] = page['CertificateSummaryList'] as Body[];
  assert.equal(newest?.['CertificateArn'], second);

  const Tags = [{ Key: 'team', Value: 'blue' }];
  assert.deepEqual(await send(new acm.AddTagsToCertificateCommand({ ...ofFirst, Tags })), {});
  assert.deepEqual(await send(new acm.ListTagsForCertificateCommand(ofFirst)), { Tags });
  assert.deepEqual(await send(new acm.RemoveTagsFromCertificateCommand({ ...ofFirst, Tags })), {});
  assert.deepEqual(await send(new acm.DeleteCertificateCommand({ CertificateArn: second })), {});
};

/** One certificate is requested, issued and renewed; another waits for its proof. */
const requested = async (world: World): Promise<void> => {
  const { noted } = world;
  const send = sending(world);
  const DomainName = 'issued.example';
  const request = new acm.RequestCertificateCommand({ DomainName, ValidationMethod: 'DNS' });
  const { CertificateArn, ...nothing } = await send(request);
  assert.deepEqual(nothing, {});
  const ofIssued = { CertificateArn: chosen(CertificateArn, arnForm) };
  const { Certificate: first } = await send(new acm.DescribeCertificateCommand(ofIssued));
  assert.deepEqual(await send(new acm.RenewCertificateCommand(ofIssued)), {});
  const Options = { CertificateTransparencyLoggingPreference: 'DISABLED' } as const;
  assert.deepEqual(await send(new acm.UpdateCertificateOptionsCommand({ ...ofIssued, Options })), {});
  const { Certificate } = await send(new acm.DescribeCertificateCommand(ofIssued));
  const { CreatedAt, IssuedAt, NotBefore, NotAfter, Serial, RenewalSummary, ...detail } = Certificate as Body;
  assert(noted(IssuedAt) >= noted(CreatedAt));
  assert.notEqual(chosen(Serial, /^[0-9a-f]{2}(:[0-9a-f]{2}){19}$/), (first as Body)['Serial']);
  const [option] = detail['DomainValidationOptions'] as Body[];
  const record = option?.['ResourceRecord'] as Body;
  const validation = {
    ...{ DomainName, ValidationDomain: DomainName, ValidationStatus: 'SUCCESS', ValidationMethod: 'DNS' },
    ResourceRecord: {
      Name: chosen(record['Name'], /^_[0-9a-f]{32}\.issued\.example\.$/),
      Type: 'CNAME',
      Value: chosen(record['Value'], /^_[0-9a-f]{32}\.[a-z]{10}\.acm-validations\.aws\.$/),
    },
  };
  const usages = { Type: 'AMAZON_ISSUED', KeyAlgorithm: 'RSA_2048', Status: 'ISSUED', RenewalEligibility: 'ELIGIBLE' };
  assert.deepEqual(detail, {
    ...ofIssued,
    ...usages,
    DomainName,
    SubjectAlternativeNames: [DomainName],
    Subject: `CN=${DomainName}`,
    Issuer: 'Fleetgate',
    SignatureAlgorithm: 'SHA256WITHRSA',
    KeyUsages: [{ Name: 'DIGITAL_SIGNATURE' }, { Name: 'KEY_ENCIPHERMENT' }],
    ExtendedKeyUsages: [
      { Name: 'TLS_WEB_SERVER_AUTHENTICATION', OID: '1.3.6.1.5.5.7.3.1' },
      { Name: 'TLS_WEB_CLIENT_AUTHENTICATION', OID: '1.3.6.1.5.5.7.3.2' },
    ],
    InUseBy: [],
    Options: { ...Options, Export: 'DISABLED', ValidationMethod: 'DNS' },
    DomainValidationOptions: [validation],
    CertificateKeyPairOrigin: 'AWS_MANAGED',
  });
  const { UpdatedAt, ...summary } = RenewalSummary as Body;
  assert(noted(UpdatedAt) >= noted(IssuedAt));
  assert.deepEqual(summary, { RenewalStatus: 'SUCCESS', DomainValidationOptions: [validation] });
  const listed = await send(new acm.ListCertificatesCommand({ CertificateKeyPairOrigins: ['AWS_MANAGED'] }));
  assert.deepEqual(listed, {
    CertificateSummaryList: [
      {
        ...ofIssued,
        ...usages,
        DomainName,
        SubjectAlternativeNameSummaries: [DomainName],
        HasAdditionalSubjectAlternativeNames: false,
        KeyUsages: ['DIGITAL_SIGNATURE', 'KEY_ENCIPHERMENT'],
        ExtendedKeyUsages: ['TLS_WEB_SERVER_AUTHENTICATION', 'TLS_WEB_CLIENT_AUTHENTICATION'],
        ...{ ExportOption: 'DISABLED', Exported: false, InUse: false, NotBefore, NotAfter, CreatedAt, IssuedAt },
        CertificateKeyPairOrigin: 'AWS_MANAGED',
      },
    ],
  });
};

/** Operations that this version refuses whatever they are asked, with AWS's faults: no answer of theirs has members. */
const alwaysRefused: readonly (readonly [fault: FaultName, operation: (CertificateArn: string) => Command])[] = [
  [
    'ValidationException',
    (CertificateArn) => new acm.ExportCertificateCommand({ CertificateArn, Passphrase: Buffer.from('pass') }),
  ],
  [
    'InvalidStateException',
    (CertificateArn) =>
      new acm.ResendValidationEmailCommand({
        CertificateArn,
        Domain: 'issued.example',
        ValidationDomain: 'issued.example',
      }),
  ],
  [
    'ValidationException',
    (CertificateArn) => new acm.RevokeCertificateCommand({ CertificateArn, RevocationReason: 'KEY_COMPROMISE' }),
  ],
];

const refusedAlways = async (world: World): Promise<readonly string[]> => {
  const { CertificateSummaryList } = await sending(world)(new acm.ListCertificatesCommand({}));
  const [newest] = CertificateSummaryList as Body[];
  const names: string[] = [];
  for (const [fault, operation] of alwaysRefused) {
    const command = operation(String(newest?.['CertificateArn']));
    await assert.rejects(sending(world)(command), fails(fault, 400));
    names.push(command.constructor.name.replace(/Command$/, ''));
  }
  return names;
};

test('every handled operation of acm answers what its schema says, in full (acceptance 2 of the footing)', async (t) => {
  const world = await bootChecked(t);
  await imported(world);
  await requested(world);
  const refused = await refusedAlways(world);
  const handled = handledOperations()
    .filter(({ service }) => service === 'acm')
    .map(({ operation }) => operation);
  assert.deepEqual([...world.shown.keys(), ...refused].sort(), handled.sort());
  let members = 0;
  for (const operation of world.shown.keys()) {
    const unseen = placesOf(operationSchema(acm, operation)).filter(
      (place) => !world.shown.get(operation)?.seen.has(place),
    );
    const excused = neverYet[operation] ?? [];
    assert.deepEqual(
      unseen.filter((place) => !excused.some(([member]) => member.test(place))),
      [],
      `members of ${operation} not seen`,
    );
    for (const [member, waitsFor] of excused) {
      assert(
        unseen.some((place) => member.test(place)),
        `${operation}: ${member} no longer waits for ${waitsFor}`,
      );
    }
    members += placesOf(operationSchema(acm, operation)).length - unseen.length;
  }
  t.diagnostic(`${handled.length} operations, ${members} members of their answers`);
});
