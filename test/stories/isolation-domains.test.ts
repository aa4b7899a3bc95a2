/**
 * A domain name is one account's in one region (issue 6, acceptance 3; identity.md 8, check 7): whatever another account asks for, under whatever spelling, the name
 * goes on being served with its owner's certificate, to devices of its owner. Certificates under names of `.test` are proven at once here, so that everybody
 * may have one for any name, and what is left is the domain configuration.
 */
import assert from 'node:assert/strict';
import { request } from 'node:https';
import { test } from 'node:test';
import { DescribeCertificateCommand, RequestCertificateCommand } from '@aws-sdk/client-acm';
import type { IoT } from '@aws-sdk/client-iot';
import { signRequest } from '../../src/aws/sigv4.ts';
import { connectDevice } from '../device.ts';
import { bootDomains, type Owner } from '../domain-scene.ts';
import { type Identity, makeIdentity } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { fails } from '../sdk-fault.ts';
import { everything } from '../sides.ts';
import { within } from '../within.ts';

const owner = { accountId: '111111111111', region: 'us-east-1' };
const stranger = { accountId: '222222222222', region: 'us-east-1' };
const abroad = { ...owner, region: 'eu-west-1' };
const domainName = 'fleet.owner.test';
const taken = fails('InvalidRequestException', 400);

test('nobody takes a domain name from its account, or keeps others from theirs', async (t) => {
  const domains = await bootDomains(t);
  const { node, visit, importServer, validation, server, iot, acm } = domains;
  await domains.customDomain('fleet', domainName, owner);
  const { serialNumber } = await visit(domainName);

  /** A certificate of ACM's for several names, which serves and vouches for itself. */
  const issued = async (names: readonly string[], of: Required<Owner>): Promise<string> => {
    const [DomainName, ...SubjectAlternativeNames] = names;
    const client = acm(of.accountId, of.region);
    const { CertificateArn = '' } = await client.send(
      new RequestCertificateCommand({
        ...{ DomainName, ValidationMethod: 'DNS' },
        ...(SubjectAlternativeNames.length > 0 && { SubjectAlternativeNames }),
      }),
    );
    const poll = async (): Promise<void> => {
      for (;;) {
        const { Certificate } = await client.send(new DescribeCertificateCommand({ CertificateArn }));
        if (Certificate?.Status === 'ISSUED') return;
      }
    };
    await within(poll(), `the certificate for ${DomainName}`);
    return CertificateArn;
  };
  const files = await server('copy', domainName);
  const { endpointAddress: endpoint = '' } = await iot(owner.accountId).describeEndpoint({
    endpointType: 'iot:Data-ATS',
  });

  const cast = [
    ['another account', stranger],
    ['its account in another region', abroad],
  ] as const;
  for (const [kind, who] of cast) {
    await t.test(`as it is, in upper case, with a dot at its end, among the endpoints, by ${kind}`, async () => {
      const validationCertificateArn = await validation(domainName, who);
      const serverCertificateArns = [await importServer(files, undefined, who)];
      const client = iot(who.accountId, who.region);
      const names = [domainName, domainName.toUpperCase(), `${domainName}.`, endpoint, `${endpoint}.`.toUpperCase()];
      for (const name of names) {
        const asked = client.createDomainConfiguration({
          ...{ domainConfigurationName: 'thief', domainName: name, serverCertificateArns, validationCertificateArn },
        });
        await assert.rejects(asked, taken, name);
      }
      // letters that only look like its own make another name, or none
      for (const name of [
        'fleet.оwner.test',
        'fleet.owner.test..',
        ' fleet.owner.test',
        'fleet.owner.test/',
        '*.owner.test',
      ]) {
        const asked = client.createDomainConfiguration({
          ...{ domainConfigurationName: 'thief', domainName: name, serverCertificateArns, validationCertificateArn },
        });
        await assert.rejects(asked, taken, name);
      }
      const { domainConfigurations = [] } = await client.listDomainConfigurations({});
      assert.equal(domainConfigurations.length, 3, 'the default endpoints');
      assert.equal((await visit(domainName)).serialNumber, serialNumber);
      assert.equal((await visit(domainName.toUpperCase())).serialNumber, serialNumber);
    });
  }

  await t.test('a wildcard over it, and over the names that this server makes up', async () => {
    const names = ['own.stranger.test', '*.owner.test', `*.iot.${owner.region}.localhost`];
    const client = iot(stranger.accountId);
    await client.createDomainConfiguration({
      ...{ domainConfigurationName: 'greedy', domainName: 'own.stranger.test' },
      serverCertificateArns: [await issued(names, stranger)],
    });
    assert.equal((await visit(domainName)).serialNumber, serialNumber);
    assert.notEqual((await visit('own.stranger.test')).serialNumber, serialNumber);
    await assert.rejects(visit('other.owner.test'), 'a wildcard serves no name that no configuration has');
    const ownerClient = iot(owner.accountId);
    await ownerClient.createDomainConfiguration({ domainConfigurationName: 'managed' });
    const { domainName: managed = '' } = await ownerClient.describeDomainConfiguration({
      domainConfigurationName: 'managed',
    });
    const { serialNumber: plain } = await visit('localhost');
    for (const name of [endpoint, managed]) assert.equal((await visit(name)).serialNumber, plain, name);
    const domainConfigurationName = 'fleet';
    await ownerClient.updateDomainConfiguration({ domainConfigurationName, domainConfigurationStatus: 'DISABLED' });
    await assert.rejects(visit(domainName), 'and nobody steps in for one that is DISABLED');
    await ownerClient.updateDomainConfiguration({ domainConfigurationName, domainConfigurationStatus: 'ENABLED' });
    assert.equal((await visit(domainName)).serialNumber, serialNumber);
  });

  await t.test('devices and keys of the other account are strangers under it', async () => {
    const welcome = async (identity: Identity, { accountId, region }: typeof owner): Promise<void> => {
      const client = iot(accountId, region);
      const { certificatePem } = identity;
      const { certificateArn } = await client.registerCertificateWithoutCA({ certificatePem, status: 'ACTIVE' });
      await client.createPolicy({ policyName: 'everything', policyDocument: everything });
      await client.attachPolicy({ policyName: 'everything', target: certificateArn });
    };
    const [mine, theirs] = [await makeIdentity(domains.folder, 'mine'), await makeIdentity(domains.folder, 'theirs')];
    await welcome(mine, owner);
    await welcome(theirs, stranger);
    const ca = [node.rootPem, await domains.caPem()].join('\n');
    const connect = (identity: Identity, serverName: string) =>
      connectDevice({ ...node, rootPem: ca }, identity, { clientId: 'device', serverName });
    for (const [identity, own, other, account] of [
      [mine, domainName, 'own.stranger.test', stranger],
      [theirs, 'own.stranger.test', domainName, owner],
    ] as const) {
      const device = await connect(identity, own);
      await assert.rejects(connect(identity, other));
      const { records } = await readJournal(node, account, { certificateId: identity.certificateId });
      assert.deepEqual(
        records.map(({ record }) => record.reason),
        ['DEVICE_CERTIFICATE_NOT_REGISTERED'],
      );
      await device.client.endAsync();
    }
    const publish = (accessKeyId: string, host: string) =>
      new Promise<number>((resolve, reject) => {
        const url = `https://${host}/topics/a?qos=1`;
        const { host: _, ...headers } = signRequest({
          ...{
            method: 'POST',
            url,
            region: 'us-east-1',
            service: 'iotdata',
            nowMs: Date.now(),
            body: Buffer.from('x'),
          },
          ...{ accessKeyId, secretAccessKey: 'test' },
        });
        const asked = request({
          ...{ host: '127.0.0.1', port: node.httpsPort, servername: host, ca, agent: false, method: 'POST' },
          ...{ path: '/topics/a?qos=1', headers: { ...headers, host } },
        });
        asked.on('error', reject).on('response', (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        asked.end('x');
      });
    assert.equal(await publish(owner.accountId, domainName), 200);
    assert.equal(await publish(stranger.accountId, domainName), 403);
    assert.equal(await publish(owner.accountId, 'own.stranger.test'), 403);
  });

  await t.test('what its account gives up is free, and was never the certificate of who comes next', async () => {
    const leave = async (client: IoT, domainConfigurationName: string): Promise<void> => {
      await client.updateDomainConfiguration({ domainConfigurationName, domainConfigurationStatus: 'DISABLED' });
      await client.deleteDomainConfiguration({ domainConfigurationName });
    };
    await leave(iot(owner.accountId), 'fleet');
    await assert.rejects(
      domains.customDomain('heir', domainName, abroad),
      taken,
      'covered by what the other has proven',
    );
    await leave(iot(stranger.accountId), 'greedy');
    await domains.customDomain('heir', domainName, abroad);
    assert.notEqual((await visit(domainName)).serialNumber, serialNumber);
    await assert.rejects(domains.customDomain('back', domainName, owner), taken);
  });
});
