/**
 * A data folder that the first version wrote opens for ever after: same root, same registrations, and its device still gets in. The fixture is such a
 * folder with one device in it; its keys guard nothing else.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  DescribeCertificateCommand,
  GetPolicyCommand,
  IoTClient,
  ListThingPrincipalsCommand,
} from '@aws-sdk/client-iot';
import { start } from '../../src/index.ts';
import { connectDevice } from '../device.ts';
import { makeFolder } from '../folder.ts';
import { bash, certificateIdOf } from '../harness.ts';

const fixture = fileURLToPath(new URL('../fixtures/data-folder-0.1.0.tar.gz', import.meta.url));

test('a data folder of version 0.1.0 opens, and its device connects', async (t) => {
  const folder = await makeFolder(t);
  const unpacked = await bash(`tar -xzf '${fixture}'`, { cwd: folder });
  assert.equal(unpacked.code, 0, unpacked.stderr);
  const [certFile, keyFile] = [join(folder, 'device.crt'), join(folder, 'device.key')];
  const certificatePem = await readFile(certFile, 'utf8');
  const certificateId = certificateIdOf(certificatePem);
  const rootPem = await readFile(join(folder, 'data', 'root-ca.pem'), 'utf8');

  const node = await start({ dataFolder: join(folder, 'data') });
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const iot = new IoTClient({ endpoint: node.apiUrl, region: 'us-east-1', credentials });
  t.after(async () => {
    iot.destroy();
    await node.close(100);
  });
  assert.equal(node.rootPem, rootPem);
  const described = await iot.send(new DescribeCertificateCommand({ certificateId }));
  assert.equal(described.certificateDescription?.status, 'ACTIVE');
  assert.equal(
    new X509Certificate(described.certificateDescription?.certificatePem ?? '').fingerprint256,
    new X509Certificate(certificatePem).fingerprint256,
  );
  const policy = await iot.send(new GetPolicyCommand({ policyName: 'OnlyItself' }));
  assert.equal(policy.defaultVersionId, '2');
  const { principals } = await iot.send(new ListThingPrincipalsCommand({ thingName: 'lamp' }));
  assert.deepEqual(principals, [`arn:aws:iot:us-east-1:000000000000:cert/${certificateId}`]);
  const device = await connectDevice(node, { certFile, keyFile, certificatePem, certificateId }, { clientId: 'lamp' });
  await device.client.endAsync();
});
