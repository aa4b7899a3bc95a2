/**
 * Acceptance 2 of the footing: every handled operation, driven through the SDK, and its raw answer held against the SDK's output schema: no unknown member, no
 * missing one, the right JSON types, status and headers. What an answer must hold stands here in full, after the specification and the API reference; what a
 * certificate says is asked of openssl. Only what the server chooses freely (identifiers, times, markers) is taken from an answer, once, after its form was
 * checked, and must then stay the same. A handled operation without a row fails, and so does a member that no row has shown and `neverYet` does not name.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import * as sts from '@aws-sdk/client-sts';
import { inspect, operationSchema, placesOf } from '../answer-schema.ts';
import { endOfTask, putObject, wordyLines, wordyTemplate } from '../bulk.ts';
import { authorities } from '../ca.ts';
import { type Body, bootChecked, type Command, chosen, marker, uuid } from '../checked-answers.ts';
import { connectDevice } from '../device.ts';
import { makeFolder } from '../folder.ts';
import { domainOperations, handledOperations, isIamOperation } from '../handled.ts';
import { bash, makeIdentity, put } from '../harness.ts';
import { fails } from '../sdk-fault.ts';

const account = '000000000000';
const arn = (resource: string): string => `arn:aws:iot:us-east-1:${account}:${resource}`;

/** Members that no answer of this version can have, each with the feature that it waits for. */
const neverYet: { readonly [operation: string]: Readonly<Record<string, string>> } = {
  GetConnection: { vpcEndpointId: 'VPC endpoints' },
  DescribeThing: { thingTypeName: 'thing types', billingGroupName: 'billing groups' },
  ListTagsForResource: { nextToken: 'more tags than a resource can have' },
  ListThings: { 'things[].thingTypeName': 'thing types' },
};

/** What openssl, and nothing of ours, says of a certificate. */
const ask = async (folder: string, script: string): Promise<string> => {
  const { code, stdout, stderr } = await bash(script, { cwd: folder });
  assert.equal(code, 0, stderr);
  return stdout;
};
const factsOf = async (folder: string, pem: string, name: string) => {
  await put(folder, name, pem);
  const x509 = (flags: string) => ask(folder, `openssl x509 -in '${name}' ${flags}`);
  const date = async (flag: string): Promise<number> =>
    Date.parse((await x509(`-noout ${flag}`)).trim().replace(/^.*=/, '')) / 1000;
  return {
    certificateId: (await ask(folder, `openssl x509 -in '${name}' -outform DER | sha256sum`)).slice(0, 64),
    certificatePem: await x509(''),
    publicKey: await x509('-pubkey -noout'),
    subject: (await x509('-noout -subject -nameopt RFC2253')).trim(),
    validity: { notBefore: await date('-startdate'), notAfter: await date('-enddate') },
  };
};

const documentOf = (topic: string): string =>
  `{\n  "Version": "2012-10-17",\n  "Statement": { "Effect": "Allow", "Action": "iot:Publish", "Resource": "${arn(`topic/${topic}`)}" }\n}\n`;

type World = Awaited<ReturnType<typeof bootChecked>>;

/** GetCallerIdentity answers XML; its text is the example of the API reference with our values. */
const callerIdentity = async ({ send, findingsOf }: World): Promise<void> => {
  const { answer, output } = await send('sts', new sts.GetCallerIdentityCommand({}));
  assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'text/xml']);
  const expected = { UserId: account, Account: account, Arn: `arn:aws:iam::${account}:root` };
  const result = Object.entries(expected).map(([name, value]) => `<${name}>${value}</${name}>`);
  assert.equal(
    answer.text,
    `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>${result.join('')}</GetCallerIdentityResult>` +
      `<ResponseMetadata><RequestId>${answer.headers['x-amzn-requestid']}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
  );
  assert.deepEqual(output, expected);
  inspect(operationSchema(sts, 'GetCallerIdentity'), expected, findingsOf('GetCallerIdentity'));
};

/** Makes and registers three certificates, oldest first: with a key of ours, from a CSR, and a maker's own. */
const certificates = async ({ json, folder, node, noted }: World) => {
  assert.deepEqual(await json(new iot.DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' })), {
    endpointAddress: 'localhost',
  });

  const created = await json(new iot.CreateKeysAndCertificateCommand({ setAsActive: true }));
  const first = await factsOf(folder, String(created['certificatePem']), 'first.pem');
  const { PrivateKey } = created['keyPair'] as { PrivateKey: string };
  await put(folder, 'first.key', PrivateKey);
  assert.deepEqual(created, {
    certificateArn: arn(`cert/${first.certificateId}`),
    certificateId: first.certificateId,
    certificatePem: first.certificatePem,
    keyPair: {
      PublicKey: await ask(folder, 'openssl rsa -in first.key -pubout 2>/dev/null'),
      PrivateKey: await ask(folder, 'openssl rsa -in first.key -traditional 2>/dev/null'),
    },
  });
  assert.equal(await ask(folder, 'openssl rsa -in first.key -pubout 2>/dev/null'), first.publicKey);
  assert.match(PrivateKey, /^-----BEGIN RSA PRIVATE KEY-----\n/, 'spec identity 2.2');
  assert.equal(first.subject, 'subject=CN=AWS IoT Certificate');
  assert.equal(first.validity.notAfter, 2524607999, 'spec identity 2.2: 2049-12-31T23:59:59Z');
  await node.clock.advance(1000);

  const csr = await ask(
    folder,
    'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout second.key -subj "/O=Maker/CN=two" 2>/dev/null',
  );
  const issued = await json(new iot.CreateCertificateFromCsrCommand({ certificateSigningRequest: csr }));
  const second = await factsOf(folder, String(issued['certificatePem']), 'second.pem');
  assert.deepEqual(issued, {
    certificateArn: arn(`cert/${second.certificateId}`),
    certificateId: second.certificateId,
    certificatePem: second.certificatePem,
  });
  assert.equal(await ask(folder, 'openssl pkey -in second.key -pubout'), second.publicKey);
  assert.equal(second.subject, 'subject=CN=two,O=Maker');
  await node.clock.advance(1000);

  const { certificatePem } = await makeIdentity(folder, 'third');
  const third = await factsOf(folder, certificatePem, 'third.pem');
  const registered = await json(new iot.RegisterCertificateWithoutCACommand({ certificatePem }));
  assert.deepEqual(registered, {
    certificateArn: arn(`cert/${third.certificateId}`),
    certificateId: third.certificateId,
  });

  const rows: [facts: typeof first, status: string, certificateMode: string][] = [
    [third, 'INACTIVE', 'SNI_ONLY'],
    [second, 'INACTIVE', 'DEFAULT'],
    [first, 'ACTIVE', 'DEFAULT'],
  ];
  let next: { marker?: string } = {};
  for (const [index, [facts, status, certificateMode]] of rows.entries()) {
    const { certificateId, validity } = facts;
    const certificateArn = arn(`cert/${certificateId}`);
    const described = await json(new iot.DescribeCertificateCommand({ certificateId }));
    const { creationDate, generationId } = described['certificateDescription'] as Body;
    assert.deepEqual(described['certificateDescription'], {
      ...{ certificateArn, certificateId, status, certificateMode, validity, certificatePem: facts.certificatePem },
      ...{ ownedBy: account, customerVersion: 1, transferData: {} },
      creationDate: noted(creationDate),
      lastModifiedDate: creationDate,
      generationId: chosen(generationId, uuid),
    });
    const page = await json(new iot.ListCertificatesCommand({ pageSize: 1, ...next }));
    const last = index === rows.length - 1;
    assert.deepEqual(page, {
      certificates: [{ certificateArn, certificateId, status, certificateMode, creationDate }],
      ...(!last && { nextMarker: chosen(page['nextMarker'], marker) }),
    });
    next = { marker: String(page['nextMarker']) };
  }

  await node.clock.advance(1000);
  const { certificateId } = third;
  assert.deepEqual(await json(new iot.UpdateCertificateCommand({ certificateId, newStatus: 'ACTIVE' })), {});
  const updated = (await json(new iot.DescribeCertificateCommand({ certificateId })))['certificateDescription'] as Body;
  assert.deepEqual([updated['status'], updated['customerVersion']], ['ACTIVE', 2]);
  assert(noted(updated['lastModifiedDate']) >= noted(updated['creationDate']) + 1);
  return { first, second, third };
};

/** Certificates that come from another account and go there: one is accepted, one refused there, one taken back. */
const transfers = async ({ json, node, noted, iot: clientOf }: World): Promise<void> => {
  const other = '111111111111';
  const partner = clientOf(other);
  const described = async (certificateId: string) =>
    (await json(new iot.DescribeCertificateCommand({ certificateId })))['certificateDescription'] as Body;

  const theirs = String((await partner.send(new iot.CreateKeysAndCertificateCommand({}))).certificateId);
  await partner.send(
    new iot.TransferCertificateCommand({ certificateId: theirs, targetAwsAccount: account, transferMessage: 'yours' }),
  );
  assert.deepEqual((await described(theirs))['status'], 'PENDING_TRANSFER');
  assert.deepEqual(await json(new iot.AcceptCertificateTransferCommand({ certificateId: theirs })), {});
  const accepted = await described(theirs);
  const { transferDate, acceptDate, ...text } = accepted['transferData'] as Body;
  assert.deepEqual([accepted['ownedBy'], accepted['previousOwnedBy']], [account, other]);
  assert.deepEqual([text, noted(transferDate) <= noted(acceptDate)], [{ transferMessage: 'yours' }, true]);

  const sent: { certificateId: string; creationDate: unknown }[] = [];
  for (const transferMessage of ['one', 'two']) {
    await node.clock.advance(1000);
    const certificateId = String((await json(new iot.CreateKeysAndCertificateCommand({})))['certificateId']);
    sent.push({ certificateId, creationDate: noted((await described(certificateId))['creationDate']) });
    const send = new iot.TransferCertificateCommand({ certificateId, targetAwsAccount: other, transferMessage });
    assert.deepEqual(await json(send), {
      transferredCertificateArn: `arn:aws:iot:us-east-1:${other}:cert/${certificateId}`,
    });
  }
  const [one, two] = sent;
  assert(one && two);
  const item = async (each: typeof one, transferMessage: string) => {
    const transfer = (await described(each.certificateId))['transferData'] as Body;
    return {
      certificateArn: arn(`cert/${each.certificateId}`),
      ...each,
      ...{ transferredTo: other, transferDate: noted(transfer['transferDate']), transferMessage },
    };
  };
  const page = await json(new iot.ListOutgoingCertificatesCommand({ pageSize: 1 }));
  const nextMarker = chosen(page['nextMarker'], marker);
  assert.deepEqual(page, { outgoingCertificates: [await item(two, 'two')], nextMarker });
  assert.deepEqual(await json(new iot.ListOutgoingCertificatesCommand({ marker: nextMarker })), {
    outgoingCertificates: [await item(one, 'one')],
  });
  assert.deepEqual(await json(new iot.CancelCertificateTransferCommand({ certificateId: one.certificateId })), {});
  await partner.send(
    new iot.RejectCertificateTransferCommand({ certificateId: two.certificateId, rejectReason: 'no' }),
  );
  const rejected = (await described(two.certificateId))['transferData'] as Body;
  assert.deepEqual([rejected['rejectReason'], noted(rejected['rejectDate']) > 0], ['no', true]);

  const third = String((await partner.send(new iot.CreateKeysAndCertificateCommand({}))).certificateId);
  await partner.send(new iot.TransferCertificateCommand({ certificateId: third, targetAwsAccount: account }));
  assert.deepEqual(await json(new iot.RejectCertificateTransferCommand({ certificateId: third })), {});
};

const provisioningBody = JSON.stringify({
  Parameters: { 'AWS::IoT::Certificate::Id': { Type: 'String' } },
  Resources: {
    certificate: {
      Type: 'AWS::IoT::Certificate',
      Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
    },
    policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'later' } },
  },
});

/** Two CAs, one proven and with all it can have, and two certificates under it. */
const cas = async ({ json, folder, node, noted }: World): Promise<void> => {
  const maker = authorities(folder);
  const { registrationCode } = await json(new iot.GetRegistrationCodeCommand({}));
  const code = chosen(registrationCode, /^[0-9a-f]{64}$/);
  assert.deepEqual(await json(new iot.GetRegistrationCodeCommand({})), { registrationCode: code });
  const ca = await factsOf(folder, await maker.ca('maker'), 'maker.pem');
  const { certificateId } = ca;
  const certificateArn = arn(`cacert/${certificateId}`);
  const registrationConfig = { templateBody: provisioningBody, roleArn: `arn:aws:iam::${account}:role/JITP` };
  const registered = new iot.RegisterCACertificateCommand({
    caCertificate: ca.certificatePem,
    verificationCertificate: await maker.leaf('proof', 'maker', { subject: `/CN=${code}` }),
    ...{ setAsActive: true, allowAutoRegistration: true, registrationConfig },
  });
  assert.deepEqual(await json(registered), { certificateArn, certificateId });
  const described = await json(new iot.DescribeCACertificateCommand({ certificateId }));
  const { creationDate, generationId } = described['certificateDescription'] as Body;
  const description = {
    ...{ certificateArn, certificateId, status: 'ACTIVE', certificatePem: ca.certificatePem, ownedBy: account },
    creationDate: noted(creationDate),
    ...{ autoRegistrationStatus: 'ENABLE', lastModifiedDate: creationDate, customerVersion: 1 },
    generationId: chosen(generationId, uuid),
    ...{ validity: ca.validity, certificateMode: 'DEFAULT' },
  };
  assert.deepEqual(described, { certificateDescription: description, registrationConfig });
  await node.clock.advance(1000);

  const plain = { caCertificate: await maker.ca('plain'), certificateMode: 'SNI_ONLY' as const };
  const second = String((await json(new iot.RegisterCACertificateCommand(plain)))['certificateId']);
  const page = await json(new iot.ListCACertificatesCommand({ pageSize: 1 }));
  const [{ creationDate: secondDate } = {}] = page['certificates'] as readonly Body[];
  const secondItem = {
    ...{ certificateArn: arn(`cacert/${second}`), certificateId: second, status: 'INACTIVE' },
    creationDate: noted(secondDate),
  };
  const nextMarker = chosen(page['nextMarker'], marker);
  assert.deepEqual(page, { certificates: [secondItem], nextMarker });
  assert.deepEqual(await json(new iot.ListCACertificatesCommand({ marker: nextMarker })), {
    certificates: [{ certificateArn, certificateId, status: 'ACTIVE', creationDate }],
  });

  const items: Body[] = [];
  for (const name of ['one', 'two']) {
    await node.clock.advance(1000);
    const { certificateId: id, certificatePem } = await factsOf(folder, await maker.leaf(name, 'maker'), `${name}.pem`);
    const names = { certificateArn: arn(`cert/${id}`), certificateId: id };
    assert.deepEqual(await json(new iot.RegisterCertificateCommand({ certificatePem })), names);
    const under = await json(new iot.DescribeCertificateCommand({ certificateId: id }));
    const { creationDate: date, ...facts } = under['certificateDescription'] as Body;
    assert.equal(facts['caCertificateId'], certificateId);
    items.unshift({ ...names, status: 'INACTIVE', certificateMode: 'DEFAULT', creationDate: noted(date) });
  }
  const ofCa = { caCertificateId: certificateId };
  const first = await json(new iot.ListCertificatesByCACommand({ ...ofCa, pageSize: 1 }));
  const rest = chosen(first['nextMarker'], marker);
  assert.deepEqual(first, { certificates: items.slice(0, 1), nextMarker: rest });
  assert.deepEqual(await json(new iot.ListCertificatesByCACommand({ ...ofCa, marker: rest })), {
    certificates: items.slice(1),
  });

  const inactive = { newStatus: 'INACTIVE', newAutoRegistrationStatus: 'DISABLE' } as const;
  const removal = new iot.UpdateCACertificateCommand({ certificateId, ...inactive, removeAutoRegistration: true });
  assert.deepEqual(await json(removal), {});
  const after = await json(new iot.DescribeCACertificateCommand({ certificateId }));
  const { lastModifiedDate } = after['certificateDescription'] as Body;
  assert.deepEqual(after, {
    certificateDescription: {
      ...description,
      ...{ status: 'INACTIVE', autoRegistrationStatus: 'DISABLE', customerVersion: 2 },
      lastModifiedDate: noted(lastModifiedDate),
    },
  });
  assert.deepEqual(await json(new iot.DeleteCACertificateCommand({ certificateId })), {});
  assert.deepEqual(await json(new iot.DeleteRegistrationCodeCommand({})), {});
};

type Certificates = Awaited<ReturnType<typeof certificates>>;

/** Two policies with versions; `later` is attached to the third certificate, both to the second. */
const policies = async ({ json, node, noted }: World, { second, third }: Certificates): Promise<void> => {
  const [target, other] = [arn(`cert/${third.certificateId}`), arn(`cert/${second.certificateId}`)];
  const item = (policyName: string) => ({ policyName, policyArn: arn(`policy/${policyName}`) });
  for (const policyName of ['earlier', 'later']) {
    const policyDocument = documentOf(policyName);
    const answer = await json(new iot.CreatePolicyCommand({ policyName, policyDocument }));
    assert.deepEqual(answer, { ...item(policyName), policyDocument, policyVersionId: '1' });
    await node.clock.advance(1000);
  }
  const policyName = 'later';
  const { policyArn } = item(policyName);
  const policyDocument = documentOf('a');
  assert.deepEqual(await json(new iot.CreatePolicyVersionCommand({ policyName, policyDocument, setAsDefault: true })), {
    policyArn,
    policyDocument,
    policyVersionId: '2',
    isDefaultVersion: true,
  });
  const got = await json(new iot.GetPolicyCommand({ policyName }));
  const dates = { creationDate: noted(got['creationDate']), lastModifiedDate: noted(got['lastModifiedDate']) };
  assert(dates.lastModifiedDate >= dates.creationDate + 1, 'a new default version is a change');
  const generationId = chosen(got['generationId'], uuid);
  assert.deepEqual(got, { ...item(policyName), policyDocument, defaultVersionId: '2', ...dates, generationId });
  assert.deepEqual(await json(new iot.GetPolicyVersionCommand({ policyName, policyVersionId: '1' })), {
    ...item(policyName),
    policyDocument: documentOf(policyName),
    policyVersionId: '1',
    isDefaultVersion: false,
    ...dates,
    generationId,
  });
  assert.deepEqual(await json(new iot.ListPolicyVersionsCommand({ policyName })), {
    policyVersions: [
      { versionId: '2', isDefaultVersion: true, createDate: dates.lastModifiedDate },
      { versionId: '1', isDefaultVersion: false, createDate: dates.creationDate },
    ],
  });
  assert.deepEqual(await json(new iot.SetDefaultPolicyVersionCommand({ policyName, policyVersionId: '1' })), {});
  assert.deepEqual(await json(new iot.DeletePolicyVersionCommand({ policyName, policyVersionId: '2' })), {});

  assert.deepEqual(await json(new iot.AttachPolicyCommand({ policyName, target })), {});
  await node.clock.advance(1000);
  assert.deepEqual(await json(new iot.AttachPrincipalPolicyCommand({ policyName, principal: other })), {});
  await json(new iot.AttachPolicyCommand({ policyName: 'earlier', target: other }));

  /** Both pages of a list of two. */
  const pages = async (ask: (page: { marker?: string }) => Command, expected: readonly [Body, Body]) => {
    const first = await json(ask({}));
    const nextMarker = chosen(first['nextMarker'], marker);
    assert.deepEqual(first, { ...expected[0], nextMarker });
    assert.deepEqual(await json(ask({ marker: nextMarker })), expected[1]);
  };
  const byName = { pageSize: 1, ascendingOrder: true };
  await pages(
    (page) => new iot.ListPoliciesCommand({ ...byName, ...page }),
    [{ policies: [item('earlier')] }, { policies: [item('later')] }],
  );
  await pages(
    (page) => new iot.ListAttachedPoliciesCommand({ target: other, pageSize: 1, ...page }),
    [{ policies: [item('earlier')] }, { policies: [item('later')] }],
  );
  await pages(
    (page) => new iot.ListPrincipalPoliciesCommand({ principal: other, ...byName, ...page }),
    [{ policies: [item('later')] }, { policies: [item('earlier')] }],
  );
  await pages(
    (page) => new iot.ListTargetsForPolicyCommand({ policyName, pageSize: 1, ...page }),
    [{ targets: [other] }, { targets: [target] }],
  );
  await pages(
    (page) => new iot.ListPolicyPrincipalsCommand({ policyName, ...byName, ...page }),
    [{ principals: [target] }, { principals: [other] }],
  );

  const authInfo = { actionType: 'PUBLISH' as const, resources: [arn('topic/later')] };
  const decision = { principal: other, authInfos: [authInfo] };
  const denying = documentOf('later').replace('"Allow"', '"Deny"').replace('Publish"', 'Publish", "Sid": "a"');
  await json(new iot.CreatePolicyCommand({ policyName: 'never', policyDocument: denying }));
  const unmet = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"${arn('topic/')}\${iot:ClientId}"}]}`;
  await json(new iot.CreatePolicyCommand({ policyName: 'own', policyDocument: unmet }));
  assert.deepEqual(await json(new iot.TestAuthorizationCommand({ ...decision, policyNamesToAdd: ['never', 'own'] })), {
    authResults: [
      {
        authInfo,
        allowed: { policies: [item('later')] },
        denied: {
          implicitDeny: { policies: [item('earlier'), item('own')] },
          explicitDeny: { policies: [item('never')] },
        },
        authDecision: 'EXPLICIT_DENY',
        missingContextValues: ['iot:ClientId'],
      },
    ],
  });
  assert.deepEqual(await json(new iot.GetEffectivePoliciesCommand({ principal: target })), {
    effectivePolicies: [{ ...item('later'), policyDocument: documentOf('later') }],
  });

  const [resourceArn, tag] = [policyArn, { Key: 'team', Value: 'blue' }];
  assert.deepEqual(await json(new iot.TagResourceCommand({ resourceArn, tags: [tag] })), {});
  assert.deepEqual(await json(new iot.ListTagsForResourceCommand({ resourceArn })), { tags: [tag] });
  assert.deepEqual(await json(new iot.UntagResourceCommand({ resourceArn, tagKeys: ['team'] })), {});

  assert.deepEqual(await json(new iot.DetachPolicyCommand({ policyName, target })), {});
  assert.deepEqual(await json(new iot.DetachPrincipalPolicyCommand({ policyName, principal: other })), {});
  assert.deepEqual(await json(new iot.DeletePolicyCommand({ policyName })), {});
  // a list that is empty is there all the same
  assert.deepEqual(await json(new iot.ListAttachedPoliciesCommand({ target })), { policies: [] });
};

/** Two things and two certificates, attached crosswise. */
const things = async ({ json }: World, { first, third }: Certificates): Promise<void> => {
  const attributes = { site: 'tokyo' };
  const ids = new Map<string, string>();
  for (const thingName of ['lamp', 'pump']) {
    const attributePayload = thingName === 'lamp' ? { attributes } : undefined;
    const created = await json(new iot.CreateThingCommand({ thingName, attributePayload }));
    ids.set(thingName, chosen(created['thingId'], uuid));
    assert.deepEqual(created, { thingName, thingArn: arn(`thing/${thingName}`), thingId: ids.get(thingName) });
  }
  assert.notEqual(ids.get('lamp'), ids.get('pump'));
  const describe = (thingName: string) => json(new iot.DescribeThingCommand({ thingName }));
  const described = (thingName: string, version: number) => ({
    ...{
      defaultClientId: thingName,
      thingName,
      thingArn: arn(`thing/${thingName}`),
      thingId: ids.get(thingName),
      version,
    },
    attributes: thingName === 'lamp' ? attributes : {},
  });
  assert.deepEqual(await describe('lamp'), described('lamp', 1));
  assert.deepEqual(await describe('pump'), described('pump', 1));
  const merged = { attributes: { site: 'tokyo' }, merge: true };
  assert.deepEqual(await json(new iot.UpdateThingCommand({ thingName: 'lamp', attributePayload: merged })), {});
  assert.deepEqual(await describe('lamp'), described('lamp', 2));

  const principals: readonly string[] = [first, third].map(({ certificateId }) => arn(`cert/${certificateId}`)).sort();
  const [one = '', two = ''] = principals;
  for (const thingName of ['lamp', 'pump']) {
    for (const principal of principals) {
      assert.deepEqual(await json(new iot.AttachThingPrincipalCommand({ thingName, principal })), {});
    }
  }
  const pages = async (ask: (page: { nextToken?: string }) => Command, expected: readonly [Body, Body]) => {
    const page = await json(ask({}));
    const nextToken = chosen(page['nextToken'], /^\S+$/);
    assert.deepEqual(page, { ...expected[0], nextToken });
    assert.deepEqual(await json(ask({ nextToken })), expected[1]);
  };
  const maxResults = 1;
  const listed = (thingName: string, version: number) => ({
    ...{ thingName, thingArn: arn(`thing/${thingName}`), version },
    attributes: thingName === 'lamp' ? attributes : {},
  });
  const thingPrincipalType = 'NON_EXCLUSIVE_THING';
  await pages(
    (page) => new iot.ListThingsCommand({ maxResults, ...page }),
    [{ things: [listed('lamp', 2)] }, { things: [listed('pump', 1)] }],
  );
  await pages(
    (page) => new iot.ListThingPrincipalsCommand({ thingName: 'lamp', maxResults, ...page }),
    [{ principals: [one] }, { principals: [two] }],
  );
  await pages(
    (page) => new iot.ListThingPrincipalsV2Command({ thingName: 'lamp', maxResults, ...page }),
    [
      { thingPrincipalObjects: [{ principal: one, thingPrincipalType }] },
      { thingPrincipalObjects: [{ principal: two, thingPrincipalType }] },
    ],
  );
  await pages(
    (page) => new iot.ListPrincipalThingsCommand({ principal: one, maxResults, ...page }),
    [{ things: ['lamp'] }, { things: ['pump'] }],
  );
  await pages(
    (page) => new iot.ListPrincipalThingsV2Command({ principal: one, maxResults, ...page }),
    [
      { principalThingObjects: [{ thingName: 'lamp', thingPrincipalType }] },
      { principalThingObjects: [{ thingName: 'pump', thingPrincipalType }] },
    ],
  );
  for (const principal of principals) {
    assert.deepEqual(await json(new iot.DetachThingPrincipalCommand({ thingName: 'lamp', principal })), {});
  }
  assert.deepEqual(await json(new iot.DeleteThingCommand({ thingName: 'lamp' })), {});
};

/** A device with a thing, a subscription on two pages, and two retained messages; then it is sent away. */
const dataPlane = async ({ json, send, findingsOf, iot: clientOf, folder, node, noted }: World): Promise<void> => {
  const ofData = (command: Command) => json(command, 'iot-data');
  const inSeconds = (ms: unknown) => noted(Number(ms) / 1000) * 1000;
  const client = clientOf();
  const identity = await makeIdentity(folder, 'device');
  const principal = arn(`cert/${identity.certificateId}`);
  const { certificatePem } = identity;
  await client.send(new iot.RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
  const policyDocument = documentOf('a').replace('iot:Publish', 'iot:*').replace(arn('topic/a'), '*');
  await client.send(new iot.CreatePolicyCommand({ policyName: 'device', policyDocument }));
  await client.send(new iot.AttachPolicyCommand({ policyName: 'device', target: principal }));
  await client.send(new iot.AttachThingPrincipalCommand({ thingName: 'pump', principal }));
  const device = await connectDevice(node, identity, { clientId: 'pump', version: 5 });
  await device.client.subscribeAsync({ 'a/+': { qos: 1 }, b: { qos: 0 } });

  const userProperties = '[{"a":"1"},{"b":"2"}]';
  for (const [topic, payload] of [['a/1', 'one'] as const, ['a/2', 'zwei'] as const]) {
    const publish = new iotData.PublishCommand({ topic, payload, qos: 1, retain: true, userProperties });
    const { answer, output } = await send('iot-data', publish);
    assert.deepEqual(output, {});
    // a body that the model does not have (spec gateway 3)
    const body = { message: 'OK', traceId: answer.headers['x-amzn-requestid'] };
    assert.deepEqual(
      [answer.status, answer.headers['content-type'], JSON.parse(answer.text)],
      [200, 'application/json', body],
    );
  }
  inspect(operationSchema(iotData, 'Publish'), undefined, findingsOf('Publish'));
  const retained = await ofData(new iotData.GetRetainedMessageCommand({ topic: 'a/2' }));
  assert.deepEqual(retained, {
    topic: 'a/2',
    payload: Buffer.from('zwei').toString('base64'),
    qos: 1,
    lastModifiedTime: inSeconds(retained['lastModifiedTime']),
    userProperties: Buffer.from(userProperties).toString('base64'),
  });
  const first = await ofData(new iotData.ListRetainedMessagesCommand({ maxResults: 1 }));
  const [{ lastModifiedTime } = {}] = first['retainedTopics'] as readonly Body[];
  assert.deepEqual(first, {
    retainedTopics: [{ topic: 'a/1', payloadSize: 3, qos: 1, lastModifiedTime: inSeconds(lastModifiedTime) }],
    nextToken: chosen(first['nextToken'], marker),
  });
  const nextToken = String(first['nextToken']);
  assert.deepEqual(await ofData(new iotData.ListRetainedMessagesCommand({ maxResults: 1, nextToken })), {
    retainedTopics: [{ topic: 'a/2', payloadSize: 4, qos: 1, lastModifiedTime: retained['lastModifiedTime'] }],
  });

  const clientId = 'pump';
  const described = await ofData(new iotData.GetConnectionCommand({ clientId, includeSocketInformation: true }));
  assert.deepEqual(described, {
    ...{ connected: true, clientId, thingName: 'pump', cleanSession: true, sessionExpiry: 0, keepAliveDuration: 60 },
    connectedSince: inSeconds(described['connectedSince']),
    ...{ sourceIp: '127.0.0.1', sourcePort: device.socket.localPort },
    ...{ targetIp: '127.0.0.1', targetPort: node.mqttPort },
  });
  const page = await ofData(new iotData.ListSubscriptionsCommand({ clientId, maxResults: 1 }));
  assert.deepEqual(page, {
    subscriptions: [{ topicFilter: 'a/+', qos: 1 }],
    nextToken: chosen(page['nextToken'], marker),
  });
  const rest = new iotData.ListSubscriptionsCommand({ clientId, nextToken: String(page['nextToken']) });
  assert.deepEqual(await ofData(rest), { subscriptions: [{ topicFilter: 'b', qos: 0 }] });
  const sent = await ofData(new iotData.SendDirectMessageCommand({ clientId, topic: 'c', confirmation: true }));
  assert.deepEqual(sent, { message: 'OK', traceId: chosen(sent['traceId'], uuid) });
  assert.deepEqual(await ofData(new iotData.DeleteConnectionCommand({ clientId })), {});
  await device.closed();

  const kept = await connectDevice(node, identity, { clientId, clean: false });
  await ofData(new iotData.DeleteConnectionCommand({ clientId }));
  await kept.closed();
  const waiting = await ofData(new iotData.GetConnectionCommand({ clientId, includeSocketInformation: true }));
  assert.deepEqual(waiting, {
    ...{ connected: false, clientId, cleanSession: false, sessionExpiry: 3600 },
    disconnectedSince: inSeconds(waiting['disconnectedSince']),
    disconnectReason: 'API_INITIATED_DISCONNECT',
  });
};

/** Two templates, one with all it can have, and a device that is registered with a key of its own. */
const provisioning = async ({ json, folder, node, noted }: World): Promise<void> => {
  const templateName = 'fleet';
  const names = { templateArn: arn(`provisioningtemplate/${templateName}`), templateName };
  const provisioningRoleArn = `arn:aws:iam::${account}:role/Provisioning`;
  const preProvisioningHook = {
    payloadVersion: '2020-04-01',
    targetArn: `arn:aws:lambda:us-east-1:${account}:function:hook`,
  };
  const given = { description: 'one', enabled: true, provisioningRoleArn, preProvisioningHook };
  const create = new iot.CreateProvisioningTemplateCommand({
    ...{ templateName, templateBody: provisioningBody, ...given, tags: [{ Key: 'team', Value: 'blue' }] },
  });
  assert.deepEqual(await json(create), { ...names, defaultVersionId: 1 });
  const ofJitp = { templateName: 'jitp', type: 'JITP' as const, templateBody: provisioningBody, provisioningRoleArn };
  await json(new iot.CreateProvisioningTemplateCommand(ofJitp));
  await node.clock.advance(1000);
  const templateBody = `${provisioningBody}\n`;
  const version = new iot.CreateProvisioningTemplateVersionCommand({ templateName, templateBody, setAsDefault: true });
  assert.deepEqual(await json(version), { ...names, versionId: 2, isDefaultVersion: true });

  const described = await json(new iot.DescribeProvisioningTemplateCommand({ templateName }));
  const dates = {
    creationDate: noted(described['creationDate']),
    lastModifiedDate: noted(described['lastModifiedDate']),
  };
  assert(dates.lastModifiedDate >= dates.creationDate + 1, 'a new version is a change');
  const type = 'FLEET_PROVISIONING';
  assert.deepEqual(described, { ...names, ...given, ...dates, type, defaultVersionId: 2, templateBody });
  const ofFirst = new iot.DescribeProvisioningTemplateVersionCommand({ templateName, versionId: 1 });
  assert.deepEqual(await json(ofFirst), {
    ...{ versionId: 1, isDefaultVersion: false, templateBody: provisioningBody, creationDate: dates.creationDate },
  });
  const page = await json(new iot.ListProvisioningTemplatesCommand({ maxResults: 1 }));
  const nextToken = chosen(page['nextToken'], marker);
  const { description, enabled } = given;
  assert.deepEqual(page, { templates: [{ ...names, description, enabled, type, ...dates }], nextToken });
  const rest = await json(new iot.ListProvisioningTemplatesCommand({ nextToken }));
  const [{ creationDate, lastModifiedDate } = {}] = rest['templates'] as readonly Body[];
  assert.deepEqual(rest, {
    templates: [
      {
        ...{ templateArn: arn('provisioningtemplate/jitp'), templateName: 'jitp', type: 'JITP', enabled: false },
        ...{ creationDate: noted(creationDate), lastModifiedDate: noted(lastModifiedDate) },
      },
    ],
  });
  const versions = await json(new iot.ListProvisioningTemplateVersionsCommand({ templateName, maxResults: 1 }));
  const olderToken = chosen(versions['nextToken'], marker);
  assert.deepEqual(versions, {
    versions: [{ versionId: 2, isDefaultVersion: true, creationDate: dates.lastModifiedDate }],
    nextToken: olderToken,
  });
  const older = new iot.ListProvisioningTemplateVersionsCommand({ templateName, nextToken: olderToken });
  assert.deepEqual(await json(older), {
    versions: [{ versionId: 1, isDefaultVersion: false, creationDate: dates.creationDate }],
  });
  const claim = await json(new iot.CreateProvisioningClaimCommand({ templateName }));
  const ofClaim = await factsOf(folder, String(claim['certificatePem']), 'claim.pem');
  const { PrivateKey: claimKey } = claim['keyPair'] as { PrivateKey: string };
  await put(folder, 'claim.key', claimKey);
  assert.deepEqual(claim, {
    certificateId: ofClaim.certificateId,
    certificatePem: ofClaim.certificatePem,
    keyPair: {
      PublicKey: ofClaim.publicKey,
      PrivateKey: await ask(folder, 'openssl rsa -in claim.key -traditional 2>/dev/null'),
    },
    expiration: claim['expiration'],
  });
  noted(Math.round(Number(claim['expiration']) * 1000 - 300_000) / 1000);
  assert.equal(Math.floor(Number(claim['expiration'])), ofClaim.validity.notAfter);
  const change = { enabled: false, removePreProvisioningHook: true, defaultVersionId: 1 };
  assert.deepEqual(await json(new iot.UpdateProvisioningTemplateCommand({ templateName, ...change })), {});
  const removal = new iot.DeleteProvisioningTemplateVersionCommand({ templateName, versionId: 2 });
  assert.deepEqual(await json(removal), {});

  const ca = {
    caCertificate: await authorities(folder).ca('jitp'),
    certificateMode: 'SNI_ONLY' as const,
    registrationConfig: { templateName: 'jitp' },
  };
  const { certificateId } = await json(new iot.RegisterCACertificateCommand(ca));
  const ofCa = { certificateId: String(certificateId) };
  const { registrationConfig } = await json(new iot.DescribeCACertificateCommand(ofCa));
  assert.deepEqual(registrationConfig, { templateName: 'jitp' });
  assert.deepEqual(await json(new iot.DeleteProvisioningTemplateCommand({ templateName })), {});

  const csr = await ask(
    folder,
    'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout single.key -subj /CN=single 2>/dev/null',
  );
  const single = {
    Parameters: { Name: { Type: 'String' }, CSR: { Type: 'String' } },
    Resources: {
      thing: { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'Name' } } },
      certificate: { Type: 'AWS::IoT::Certificate', Properties: { CertificateSigningRequest: { Ref: 'CSR' } } },
      policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'earlier' } },
    },
  };
  const parameters = { Name: 'single', CSR: csr };
  const registered = await json(new iot.RegisterThingCommand({ templateBody: JSON.stringify(single), parameters }));
  const facts = await factsOf(folder, String(registered['certificatePem']), 'single.pem');
  assert.equal(facts.publicKey, await ask(folder, 'openssl pkey -in single.key -pubout'));
  assert.deepEqual(registered, {
    certificatePem: facts.certificatePem,
    resourceArns: {
      thing: arn('thing/single'),
      certificate: arn(`cert/${facts.certificateId}`),
      policy: arn('policy/earlier'),
    },
  });
};

/** Two role aliases, one of which comes and goes. */
const roleAliases = async ({ json, node, noted }: World): Promise<void> => {
  const roleArn = `arn:aws:iam::${account}:role/devices/reader`;
  const item = (roleAlias: string) => ({ roleAlias, roleAliasArn: arn(`rolealias/${roleAlias}`) });
  assert.deepEqual(await json(new iot.CreateRoleAliasCommand({ roleAlias: 'reader', roleArn })), item('reader'));
  const given = { roleAlias: 'writer', roleArn, credentialDurationSeconds: 900 };
  assert.deepEqual(await json(new iot.CreateRoleAliasCommand(given)), item('writer'));
  await node.clock.advance(1000);
  const change = { roleAlias: 'writer', credentialDurationSeconds: 43_200 };
  assert.deepEqual(await json(new iot.UpdateRoleAliasCommand(change)), item('writer'));
  const described = await json(new iot.DescribeRoleAliasCommand({ roleAlias: 'writer' }));
  const { creationDate, lastModifiedDate } = described['roleAliasDescription'] as Body;
  assert.deepEqual(described, {
    roleAliasDescription: { ...item('writer'), owner: account, ...given, ...change, creationDate, lastModifiedDate },
  });
  assert(noted(lastModifiedDate) >= noted(creationDate) + 1);
  const first = await json(new iot.ListRoleAliasesCommand({ pageSize: 1, ascendingOrder: true }));
  const nextMarker = chosen(first['nextMarker'], marker);
  assert.deepEqual(first, { roleAliases: ['reader'], nextMarker });
  const rest = new iot.ListRoleAliasesCommand({ marker: nextMarker, ascendingOrder: true });
  assert.deepEqual(await json(rest), { roleAliases: ['writer'] });
  assert.deepEqual(await json(new iot.DeleteRoleAliasCommand({ roleAlias: 'writer' })), {});
};

/** Two bulk registrations: one whose report has two parts, and one of a file that is not there. */
const bulk = async ({ json, iot: clientOf, noted }: World): Promise<void> => {
  const roleArn = `arn:aws:iam::${account}:role/bulk`;
  const given = { templateBody: wordyTemplate, inputFileBucket: 'fleet', inputFileKey: 'lamps', roleArn };
  const taskIds: string[] = [];
  for (const inputFileKey of ['lamps', 'none']) {
    const start = new iot.StartThingRegistrationTaskCommand({ ...given, inputFileKey });
    const { taskId, ...rest } = await json(start);
    assert.deepEqual(rest, {});
    taskIds.push(chosen(taskId, uuid));
    await endOfTask(clientOf(), taskIds.at(-1));
  }
  const [taskId, failedId] = taskIds;
  const described = await json(new iot.DescribeThingRegistrationTaskCommand({ taskId }));
  const dates = {
    creationDate: noted(described['creationDate']),
    lastModifiedDate: noted(described['lastModifiedDate']),
  };
  assert.ok(dates.lastModifiedDate >= dates.creationDate);
  const counts = { successCount: 130, failureCount: 1, percentageProgress: 100 };
  assert.deepEqual(described, { taskId, ...dates, ...given, status: 'Completed', ...counts });
  const failed = await json(new iot.DescribeThingRegistrationTaskCommand({ taskId: failedId }));
  assert.deepEqual([failed['status'], failed['message']], ['Failed', 'There is no object none in the bucket fleet.']);

  const page = await json(new iot.ListThingRegistrationTasksCommand({ maxResults: 1 }));
  const nextToken = chosen(page['nextToken'], marker);
  assert.deepEqual(page, { taskIds: [failedId], nextToken }, 'newest first');
  assert.deepEqual(await json(new iot.ListThingRegistrationTasksCommand({ nextToken })), { taskIds: [taskId] });
  const ofStatus = new iot.ListThingRegistrationTasksCommand({ status: 'Completed' });
  assert.deepEqual(await json(ofStatus), { taskIds: [taskId] });

  const ofResults = { taskId, reportType: 'RESULTS' as const };
  const first = await json(new iot.ListThingRegistrationTaskReportsCommand({ ...ofResults, maxResults: 1 }));
  const token = chosen(first['nextToken'], marker);
  const rest = await json(new iot.ListThingRegistrationTaskReportsCommand({ ...ofResults, nextToken: token }));
  const links = [first, rest].map(({ resourceLinks }) => (resourceLinks as readonly string[]).join());
  assert.deepEqual(first, { resourceLinks: [links[0]], reportType: 'RESULTS', nextToken: token });
  assert.deepEqual(rest, { resourceLinks: [links[1]], reportType: 'RESULTS' });
  const reports = await Promise.all(links.map(async (link) => (await fetch(link)).text()));
  const numbers = reports.flatMap((report) => report.match(/(?<=^\{"lineNumber":)\d+/gm) ?? []);
  assert.deepEqual(
    numbers.map(Number),
    Array.from({ length: 130 }, (_, index) => index + 2),
  );
  const stop = new iot.StopThingRegistrationTaskCommand({ taskId });
  await assert.rejects(json(stop), fails('InvalidRequestException', 400));
  const another = await json(new iot.StartThingRegistrationTaskCommand({ ...given, inputFileKey: 'many' }));
  const running = { taskId: String(another['taskId']) };
  assert.deepEqual(await json(new iot.StopThingRegistrationTaskCommand(running)), {});
  assert.equal((await endOfTask(clientOf(), running.taskId)).status, 'Cancelled');
};

/** What the account wants logged. */
const logging = async ({ json }: World): Promise<void> => {
  const roleArn = `arn:aws:iam::${account}:role/logs`;
  const eventConfigurations = [{ eventType: 'Publish-In', logLevel: 'DEBUG', logDestination: 'own/group' } as const];
  const options = { roleArn, defaultLogLevel: 'WARN', disableAllLogs: false, eventConfigurations } as const;
  assert.deepEqual(await json(new iot.SetV2LoggingOptionsCommand(options)), {});
  assert.deepEqual(await json(new iot.GetV2LoggingOptionsCommand({})), options);
  const loggingOptionsPayload = { roleArn, logLevel: 'ERROR' } as const;
  assert.deepEqual(await json(new iot.SetLoggingOptionsCommand({ loggingOptionsPayload })), {});
  assert.deepEqual(await json(new iot.GetLoggingOptionsCommand({})), loggingOptionsPayload);
  const logTarget = { targetType: 'CLIENT_ID', targetName: 'pump' } as const;
  assert.deepEqual(await json(new iot.SetV2LoggingLevelCommand({ logTarget, logLevel: 'INFO' })), {});
  const own = { logTarget: { targetType: 'DEFAULT' }, logLevel: 'ERROR' };
  const first = await json(new iot.ListV2LoggingLevelsCommand({ maxResults: 1 }));
  const nextToken = chosen(first['nextToken'], marker);
  assert.deepEqual(first, { logTargetConfigurations: [own], nextToken });
  assert.deepEqual(await json(new iot.ListV2LoggingLevelsCommand({ nextToken })), {
    logTargetConfigurations: [{ logTarget, logLevel: 'INFO' }],
  });
  assert.deepEqual(await json(new iot.DeleteV2LoggingLevelCommand(logTarget)), {});
  assert.deepEqual(await json(new iot.ListV2LoggingLevelsCommand({})), { logTargetConfigurations: [own] });
};

test('every handled operation answers what its schema says, in full, and what openssl says (acceptance 2)', async (t) => {
  const buckets = await makeFolder(t);
  await putObject(buckets, account, 'fleet/lamps', `no JSON\n${wordyLines}`);
  await putObject(buckets, account, 'fleet/many', 'no JSON\n'.repeat(10_000));
  const world = await bootChecked(t, { buckets });
  await callerIdentity(world);
  const made = await certificates(world);
  await transfers(world);
  await cas(world);
  await policies(world, made);
  await things(world, made);
  await dataPlane(world);
  await logging(world);
  await roleAliases(world);
  await provisioning(world);
  await bulk(world);
  const { certificateId } = made.second;
  assert.deepEqual(await world.json(new iot.DeleteCertificateCommand({ certificateId, forceDelete: true })), {});

  // every-acm-operation.test.ts, every-iam-operation.test.ts and domain-operations.test.ts have these
  const handled = handledOperations().filter(
    (each) => each.service !== 'acm' && !isIamOperation(each) && !domainOperations.includes(each.operation),
  );
  assert.deepEqual([...world.shown.keys()].sort(), handled.map(({ operation }) => operation).sort());
  const sdks: Readonly<Record<string, object>> = { iot, sts, 'iot-data': iotData };
  let members = 0;
  for (const { service, operation } of handled) {
    const sdk = sdks[service];
    assert(sdk, `a client of ${service} is asked for`);
    const all = placesOf(operationSchema(sdk, operation));
    const unseen = all.filter((place) => !world.shown.get(operation)?.seen.has(place));
    assert.deepEqual(unseen.sort(), Object.keys(neverYet[operation] ?? {}).sort(), `members of ${operation} not seen`);
    members += all.length - unseen.length;
  }
  t.diagnostic(`${handled.length} operations, ${members} members of their answers`);
});
