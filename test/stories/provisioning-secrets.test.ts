/**
 * Private keys and ownership tokens are told once and kept nowhere: not in the store, the data folder, the logs at their most talkative, the journal, the events.
 * Source: issue "Provisioning", acceptance 5; spec provisioning.md 4.2, 4.3.
 */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  CreateKeysAndCertificateCommand,
  CreateProvisioningClaimCommand,
  IoTClient,
  SetV2LoggingOptionsCommand,
} from '@aws-sdk/client-iot';
import { account, makeClaim, templateName } from '../claim-connection.ts';
import { connectFleetDevice, createTopic, type FleetDevice, formats, provisionTopic, topicIn } from '../fleet.ts';
import { issued } from '../fleet-scene.ts';
import { makeFolder } from '../folder.ts';
import { readJournal } from '../journal.ts';
import { spawnServer } from '../server-process.ts';
import { queryStore, storeTables, testEngine } from '../stores.ts';

/** Bytes as they might stand somewhere: raw, in hex, in base64 wherever they begin in it. */
const formsOf = (bytes: Buffer): Buffer[] => {
  const base64 = [0, 1, 2].map((skipped) => {
    const text = Buffer.concat([Buffer.alloc(skipped), bytes]).toString('base64');
    return text.slice(4, -8);
  });
  const url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const hex = bytes.toString('hex');
  return [bytes, ...[...base64, ...url, hex, hex.toUpperCase()].map((text) => Buffer.from(text))];
};

/** A part of the key that nobody could work out from the certificate, and the lines of its text. */
const secretsOfKey = (pem: string): Buffer[] => {
  const { p } = createPrivateKey(pem).export({ format: 'jwk' });
  const lines = pem.split('\n').filter((line) => line.length === 64);
  assert.ok(lines.length > 10);
  return [...formsOf(Buffer.from(String(p), 'base64url').subarray(8, 40)), ...lines.map((line) => Buffer.from(line))];
};

test('after provisioning, no private key and no ownership token stands anywhere', async (t) => {
  const folder = await makeFolder(t);
  const dataFolder = join(folder, 'data');
  const server = await spawnServer(t, dataFolder, { flags: ['--log-level', 'trace'] });
  const apiUrl = (await server.ready) ?? assert.fail((await server.exited).stderr);
  const mqttPort = (await server.mqttPort) ?? assert.fail('no port for MQTT');
  const node = { mqttPort, rootPem: await readFile(join(dataFolder, 'root-ca.pem'), 'utf8') };
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const iot = new IoTClient({ endpoint: apiUrl, region: account.region, credentials, maxAttempts: 1 });
  t.after(() => iot.destroy());
  const roleArn = `arn:aws:iam::${account.accountId}:role/logging`;
  await iot.send(new SetV2LoggingOptionsCommand({ roleArn, defaultLogLevel: 'DEBUG' }));

  const claim = await makeClaim(apiUrl);
  const [byHand, trusted] = await Promise.all([
    iot.send(new CreateKeysAndCertificateCommand({})),
    iot.send(new CreateProvisioningClaimCommand({ templateName })),
  ]);
  const keys = [claim.privateKey, ...[byHand, trusted].map(({ keyPair }) => String(keyPair?.PrivateKey))];
  const tokens: string[] = [];
  const values: string[] = [];
  /** Messages that a device got which it did not ask for. */
  const events: Buffer[] = [];

  const connect = async (clientId: string, as = claim): Promise<FleetDevice> => {
    const device = await connectFleetDevice(node, as, { clientId, version: 5 });
    t.after(() => device.end());
    return device;
  };
  let watched = false;
  for (const format of formats) {
    const device = await connect(`device-${format}`);
    const made = issued(await device.request(topicIn(format, createTopic)));
    const { certificateOwnershipToken } = made;
    keys.push(made.privateKey);
    tokens.push(certificateOwnershipToken);
    const register = (parameters: object) =>
      device.request(provisionTopic(templateName, format), { certificateOwnershipToken, parameters });
    const secret = `known-to-the-device-alone-${format}`;
    values.push(secret);
    // refusals are told too, and faults of every kind
    await register({ Secret: secret });
    const beyond = JSON.stringify({ certificateOwnershipToken, privateKey: made.privateKey, parameters: { secret } });
    await assert.rejects(device.client.publishAsync(provisionTopic('absent', format), beyond, { qos: 1 }));
    const born = await register({ SerialNumber: format, Secret: secret });
    assert.equal(born.outcome, 'accepted');
    await register({ SerialNumber: 'another', Secret: secret });
    await device.request(topicIn(format, createTopic), Buffer.from(`{"${certificateOwnershipToken}"`));
    if (watched) continue;
    watched = true;
    // the first one may do everything, and watches the second
    const watcher = await connect('watcher', { ...made, certificateId: made.certificateId });
    watcher.client.on('message', (topic, payload) => events.push(Buffer.from(topic), payload));
    await watcher.client.subscribeAsync(['#', '$aws/#', '$aws/events/#', '$aws/certificates/#'], { qos: 1 });
  }
  const journal = Buffer.from(JSON.stringify(await readJournal({ apiUrl }, account, { limit: '100' })));
  server.child.kill('SIGTERM');
  const { code, stderr } = await server.exited;
  assert.equal(code, 0, stderr);

  const places = new Map<string, Buffer>([
    ['the log', Buffer.from(stderr)],
    ['the journal', journal],
    ['the events', Buffer.concat(events)],
  ]);
  for await (const file of glob('**/*', { cwd: dataFolder, withFileTypes: true })) {
    if (file.isFile()) {
      const path = join(file.parentPath, file.name);
      places.set(path.slice(folder.length), await readFile(path));
    }
  }
  if (testEngine === 'postgres') {
    for (const table of await storeTables(dataFolder)) {
      const rows = await queryStore(dataFolder, `select * from ${table}`);
      places.set(table, Buffer.from(JSON.stringify(rows)));
      for (const row of rows) {
        for (const value of Object.values(row)) if (Buffer.isBuffer(value)) places.set(`${table} bytes`, value);
      }
    }
  }
  // they were looked at where it happened
  assert.match(stderr, /device-json/);
  assert.match(places.get('the journal')?.toString() ?? '', /deviceCertificateId/);
  assert.ok(events.length > 0);
  const [name] = [...places.keys()].filter((path) => path.endsWith('AWSIotLogsV2.jsonl'));
  assert.match(places.get(name ?? '')?.toString() ?? '', /GetDeviceCredentials|Publish-In/);

  const secrets = [...keys.flatMap(secretsOfKey), ...[...tokens, ...values].map((text) => Buffer.from(text))];
  assert.ok(keys.length === 5 && tokens.length === 2);
  for (const [place, bytes] of places) {
    for (const secret of secrets) assert.ok(!bytes.includes(secret), `${place} holds ${secret}`);
  }
});
