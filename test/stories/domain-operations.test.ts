/**
 * The operations on domain configurations, driven through the SDK: the raw answers held against the SDK's output schemas (as every-operation.test.ts has it for
 * other slices). What certificates add to them is in custom-domain.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as iot from '@aws-sdk/client-iot';
import { operationSchema, placesOf } from '../answer-schema.ts';
import { bootChecked, chosen, marker } from '../checked-answers.ts';
import { domainOperations, handledOperations } from '../handled.ts';
import { bootNode } from '../harness.ts';
import { fails } from '../sdk-fault.ts';

const account = '000000000000';
const functionArn = (name: string): string => `arn:aws:lambda:us-east-1:${account}:function:${name}`;

/** Members that are not shown here, each with what it waits for. */
const elsewhere: readonly (readonly [member: RegExp, why: string])[] = [
  [/^authorizerConfig/, 'custom authorizers'],
  [/^serverCertificates\[\]/, 'custom-domain.test.ts'],
];

test('every operation on domain configurations answers what its schema says, in full', async (t) => {
  const world = await bootChecked(t);
  const { json, noted } = world;
  const domainConfigurationName = 'managed';
  const created = await json(
    new iot.CreateDomainConfigurationCommand({
      domainConfigurationName,
      tags: [{ Key: 'team', Value: 'blue' }],
      tlsConfig: { securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' },
      serverCertificateConfig: {
        enableOCSPCheck: false,
        ocspLambdaArn: functionArn('ocsp'),
        ocspAuthorizedResponderArn: `arn:aws:acm:us-east-1:${account}:certificate/00000000-0000-4000-8000-000000000000`,
      },
      ...{ applicationProtocol: 'SECURE_MQTT', authenticationType: 'AWS_X509' },
      clientCertificateConfig: { clientCertificateCallbackArn: functionArn('callback') },
    }),
  );
  const domainConfigurationArn = chosen(
    created['domainConfigurationArn'],
    /^arn:aws:iot:us-east-1:000000000000:domainconfiguration\/managed\/[a-z0-9]{5}$/,
  );
  assert.deepEqual(created, { domainConfigurationName, domainConfigurationArn });
  const updated = await json(
    new iot.UpdateDomainConfigurationCommand({ domainConfigurationName, domainConfigurationStatus: 'DISABLED' }),
  );
  assert.deepEqual(updated, created);
  const described = await json(new iot.DescribeDomainConfigurationCommand({ domainConfigurationName }));
  assert.deepEqual(described, {
    ...created,
    domainName: chosen(described['domainName'], /^d[a-z0-9]{20}-ats\.iot\.us-east-1\.localhost$/),
    serverCertificates: [],
    domainConfigurationStatus: 'DISABLED',
    serviceType: 'DATA',
    domainType: 'AWS_MANAGED',
    lastStatusChangeDate: noted(described['lastStatusChangeDate']),
    tlsConfig: { securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' },
    serverCertificateConfig: {
      enableOCSPCheck: false,
      ocspLambdaArn: functionArn('ocsp'),
      ocspAuthorizedResponderArn: `arn:aws:acm:us-east-1:${account}:certificate/00000000-0000-4000-8000-000000000000`,
    },
    ...{ applicationProtocol: 'SECURE_MQTT', authenticationType: 'AWS_X509' },
    clientCertificateConfig: { clientCertificateCallbackArn: functionArn('callback') },
  });
  const page = await json(new iot.ListDomainConfigurationsCommand({ pageSize: 3 }));
  const nextMarker = chosen(page['nextMarker'], marker);
  const endpoint = (name: string, serviceType: string) => ({
    domainConfigurationName: name,
    domainConfigurationArn: `arn:aws:iot:us-east-1:${account}:domainconfiguration/${name}`,
    serviceType,
  });
  assert.deepEqual(page, {
    domainConfigurations: [
      endpoint('iot:CredentialProvider', 'CREDENTIAL_PROVIDER'),
      endpoint('iot:Data-ATS', 'DATA'),
      endpoint('iot:Jobs', 'JOBS'),
    ],
    nextMarker,
  });
  assert.deepEqual(await json(new iot.ListDomainConfigurationsCommand({ marker: nextMarker })), {
    domainConfigurations: [{ ...created, serviceType: 'DATA' }],
  });
  const remove = new iot.DeleteDomainConfigurationCommand({ domainConfigurationName });
  await assert.rejects(json(remove), fails('InvalidRequestException', 400));
  await world.node.clock.advance(7 * 86_400_000);
  assert.deepEqual(await json(remove), {});

  assert.deepEqual([...world.shown.keys()].sort(), [...domainOperations].sort());
  for (const operation of domainOperations) {
    const unseen = placesOf(operationSchema(iot, operation)).filter(
      (place) => !world.shown.get(operation)?.seen.has(place) && !elsewhere.some(([member]) => member.test(place)),
    );
    assert.deepEqual(unseen, [], operation);
  }
  const handled = new Set(handledOperations().map(({ operation }) => operation));
  assert.ok(domainOperations.every((operation) => handled.has(operation)));
});

test('tags of a domain configuration are listed, added and removed under its ARN, and go with it (developer guide, "Tagging your AWS IoT resources")', async (t) => {
  const { node, iot: clientOf } = await bootNode(t);
  const client = clientOf();
  const domainConfigurationName = 'tagged';
  const [team, cost] = ['team', 'cost'].map((Key) => ({ Key, Value: 'blue' }));
  assert(team && cost);
  const make = new iot.CreateDomainConfigurationCommand({ domainConfigurationName, tags: [team] });
  const resourceArn = (await client.send(make)).domainConfigurationArn ?? '';
  const tagsOf = async (arn: string) =>
    (await client.send(new iot.ListTagsForResourceCommand({ resourceArn: arn }))).tags;
  assert.deepEqual(await tagsOf(resourceArn), [team]);
  await client.send(new iot.TagResourceCommand({ resourceArn, tags: [cost] }));
  await client.send(new iot.UntagResourceCommand({ resourceArn, tagKeys: ['team'] }));
  assert.deepEqual(await tagsOf(resourceArn), [cost]);
  const endpoint = `arn:aws:iot:us-east-1:${account}:domainconfiguration/iot:Data-ATS`;
  assert.deepEqual(await tagsOf(endpoint), [], 'a default endpoint is one too');
  const missing = fails('ResourceNotFoundException', 404);
  for (const wrong of [resourceArn.slice(0, -1), `${resourceArn}/x`, resourceArn.replace(/\/[^/]+$/, '')]) {
    await assert.rejects(tagsOf(wrong), missing, wrong);
  }

  const disable = { domainConfigurationName, domainConfigurationStatus: 'DISABLED' } as const;
  await client.send(new iot.UpdateDomainConfigurationCommand(disable));
  await node.clock.advance(7 * 86_400_000);
  await client.send(new iot.DeleteDomainConfigurationCommand({ domainConfigurationName }));
  await assert.rejects(tagsOf(resourceArn), missing);
});
