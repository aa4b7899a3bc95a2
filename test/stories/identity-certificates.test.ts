/** The acceptance checks of identity.md 11 about device certificates, as an SDK client sees them: names of faults, HTTP statuses, members. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { IoT } from '@aws-sdk/client-iot';
import { connectDevice } from '../device.ts';
import { makeIdentity, put } from '../harness.ts';
import { bootIdentity } from '../identity-scene.ts';
import { openssl, version1Id, version1Pem } from '../openssl.ts';
import { fails } from '../sdk-fault.ts';

const policyDocument = JSON.stringify({
  ...{ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }] },
});

test('device certificates, over HTTP', async (t) => {
  const { account, iot, folder, node } = await bootIdentity(t);
  const check = (rule: string, run: (mine: IoT) => Promise<void>) => t.test(rule, () => run(account()));
  const csrOf = async (name: string, ...key: readonly string[]): Promise<string> => {
    await openssl(folder, 'genpkey', ...key, '-out', `${name}.key`);
    await openssl(folder, 'req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
    return readFile(`${folder}/${name}.csr`, 'utf8');
  };
  const certificateSigningRequest = await csrOf('good', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256');
  /** A certificate of the service, INACTIVE unless told otherwise. */
  const make = async (iot: IoT, setAsActive = false) => {
    const made = await iot.createCertificateFromCsr({ certificateSigningRequest, setAsActive });
    return { certificateId: String(made.certificateId), target: String(made.certificateArn) };
  };
  const identityOf = async (certificatePem: string) => ({
    ...{ certFile: await put(folder, 'device.pem', certificatePem), keyFile: `${folder}/good.key`, certificatePem },
  });
  const describe = async (iot: IoT, certificateId: string) =>
    (await iot.describeCertificate({ certificateId })).certificateDescription ?? assert.fail();
  const setStatus = (iot: IoT, certificateId: string, newStatus: 'ACTIVE' | 'INACTIVE' | 'REVOKED') =>
    iot.updateCertificate({ certificateId, newStatus });

  await check('identity.md check 3, 4, 5: what CreateKeysAndCertificate makes', async (mine) => {
    const { certificateId = '', certificateArn, certificatePem = '' } = await mine.createKeysAndCertificate({});
    const { status, certificateMode, customerVersion, validity } = await describe(mine, certificateId);
    assert.deepEqual(
      [status, certificateMode, customerVersion, validity?.notAfter?.getTime()],
      ['INACTIVE', 'DEFAULT', 1, 2_524_607_999_000],
    );
    const { raw } = new X509Certificate(certificatePem);
    assert.equal(createHash('sha256').update(raw).digest('hex'), certificateId);
    assert.equal(certificateArn?.split(':cert/')[1], certificateId);
    await put(folder, 'issued.pem', certificatePem);
    const text = await openssl(folder, 'x509', '-in', 'issued.pem', '-noout', '-text', '-nameopt', 'sep_multiline');
    assert.match(text, /Issuer:\n\s+OU=[^\n]*\n\s+Validity/, 'one RDN, an OU');
    assert.match(text, /Subject:\n\s+CN=AWS IoT Certificate\n\s+Subject Public Key/);
    assert.match(text, /Basic Constraints: critical\n\s+CA:FALSE\n/);
    assert.match(text, /Key Usage: critical\n\s+Digital Signature\n/);
    assert.doesNotMatch(text, /Extended Key Usage/);
  });

  await check('identity.md check 6: one CSR twice: two certificateIds', async (mine) => {
    assert.notEqual((await make(mine)).certificateId, (await make(mine)).certificateId);
  });

  await check('identity.md check 7: an RSA-1024 CSR: 400', async (mine) => {
    const weak = await csrOf('weak', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024');
    const created = mine.createCertificateFromCsr({ certificateSigningRequest: weak });
    await assert.rejects(created, fails('InvalidRequestException', 400));
  });

  await check(
    'identity.md check 8, 9, 10: a v1 certificate without CA: 200, again 409, in another account 200',
    async (mine) => {
      const register = (iot: IoT) => iot.registerCertificateWithoutCA({ certificatePem: version1Pem });
      const { certificateArn: resourceArn } = await register(mine);
      const { status, certificateMode } = await describe(mine, version1Id);
      assert.deepEqual([status, certificateMode], ['INACTIVE', 'SNI_ONLY']);
      const twice = fails('ResourceAlreadyExistsException', 409, { resourceId: version1Id, resourceArn });
      await assert.rejects(register(mine), twice);
      await register(account());
    },
  );

  await check('identity.md check 11: an EC P-256 certificate with status ACTIVE: ACTIVE', async (mine) => {
    const { certificatePem, certificateId } = await makeIdentity(folder, 'ec');
    await mine.registerCertificateWithoutCA({ certificatePem, status: 'ACTIVE' });
    assert.equal((await describe(mine, certificateId)).status, 'ACTIVE');
  });

  await check('identity.md check 24: an ACTIVE certificate is not deleted: 406', async (mine) => {
    const { certificateId } = await make(mine, true);
    await assert.rejects(mine.deleteCertificate({ certificateId }), fails('CertificateStateException', 406));
    const forced = mine.deleteCertificate({ certificateId, forceDelete: true });
    await assert.rejects(forced, fails('CertificateStateException', 406));
  });

  await check(
    'identity.md check 25: an INACTIVE certificate with a thing is not deleted by force: 409',
    async (mine) => {
      const { certificateId, target: principal } = await make(mine);
      await mine.createThing({ thingName: 'thing' });
      await mine.attachThingPrincipal({ thingName: 'thing', principal });
      const forced = mine.deleteCertificate({ certificateId, forceDelete: true });
      await assert.rejects(forced, fails('DeleteConflictException', 409));
    },
  );

  await check(
    'identity.md check 26: an INACTIVE certificate with a policy is deleted by force alone: 409, 200',
    async (mine) => {
      const { certificateId, target } = await make(mine);
      await mine.createPolicy({ policyName: 'p', policyDocument });
      await mine.attachPolicy({ policyName: 'p', target });
      await assert.rejects(mine.deleteCertificate({ certificateId }), fails('DeleteConflictException', 409));
      await mine.deleteCertificate({ certificateId, forceDelete: true });
      await assert.rejects(describe(mine, certificateId), fails('ResourceNotFoundException', 404));
    },
  );

  await check('identity.md check 27: newStatus PENDING_ACTIVATION: 400', async (mine) => {
    const { certificateId } = await make(mine);
    const pending = mine.updateCertificate({ certificateId, newStatus: 'PENDING_ACTIVATION' });
    await assert.rejects(pending, fails('InvalidRequestException', 400));
  });

  await check('identity.md check 28: a REVOKED certificate is not activated: 406', async (mine) => {
    const { certificateId } = await make(mine);
    await setStatus(mine, certificateId, 'REVOKED');
    await assert.rejects(setStatus(mine, certificateId, 'ACTIVE'), fails('CertificateStateException', 406));
  });

  await check(
    'identity.md check 29, 30: the target sees PENDING_TRANSFER, accepts and owns; the source cancels: 410',
    async () => {
      const [sourceId, targetAwsAccount] = ['200000000001', '200000000002'];
      const [source, target] = [iot(sourceId), iot(targetAwsAccount)];
      const { certificateId } = await make(source);
      await source.transferCertificate({ certificateId, targetAwsAccount });
      const { certificates = [] } = await target.listCertificates({});
      assert.deepEqual(
        certificates.map((each) => [each.certificateId, each.status]),
        [[certificateId, 'PENDING_TRANSFER']],
      );
      const { certificateArn, certificatePem = '', ownedBy: stillOwnedBy } = await describe(target, certificateId);
      assert.equal(stillOwnedBy, sourceId);

      // the device has the same certificate all the time
      const device = { ...(await identityOf(certificatePem)), certificateId };
      const connect = async (where: IoT) => {
        const { endpointAddress = '' } = await where.describeEndpoint({ endpointType: 'iot:Data-ATS' });
        return connectDevice(node, device, { clientId: 'moved', serverName: endpointAddress });
      };
      await target.createPolicy({ policyName: 'p', policyDocument });
      for (const where of [source, target]) await assert.rejects(connect(where), /not let in/, 'while it waits');
      await target.acceptCertificateTransfer({ certificateId, setAsActive: true });
      const { ownedBy, previousOwnedBy, status } = await describe(target, certificateId);
      assert.deepEqual([ownedBy, previousOwnedBy, status], [targetAwsAccount, sourceId, 'ACTIVE']);
      await target.attachPolicy({ policyName: 'p', target: certificateArn });
      await assert.rejects(connect(source), /not let in/, 'it has gone');
      const { client } = await connect(target);
      await client.endAsync(true);

      const cancelled = source.cancelCertificateTransfer({ certificateId });
      await assert.rejects(cancelled, fails('TransferAlreadyCompletedException', 410));
      assert.equal((await describe(target, certificateId)).ownedBy, targetAwsAccount);
    },
  );

  await check('identity.md check 31: a certificate with a policy is not transferred: 409', async (mine) => {
    const { certificateId, target } = await make(mine);
    await mine.createPolicy({ policyName: 'p', policyDocument });
    await mine.attachPolicy({ policyName: 'p', target });
    const sent = mine.transferCertificate({ certificateId, targetAwsAccount: '999999999999' });
    await assert.rejects(sent, fails('TransferConflictException', 409));
  });

  await check('identity.md check 39: of 30 certificates 25 and a marker of standard base64', async (mine) => {
    for (let count = 0; count < 30; count++) await make(mine);
    const { certificates, nextMarker: marker } = await mine.listCertificates({});
    assert.equal(certificates?.length, 25);
    assert.match(marker ?? '', /^[A-Za-z0-9+/]+={0,2}$/);
    const rest = await mine.listCertificates({ marker });
    assert.deepEqual([rest.certificates?.length, rest.nextMarker], [5, undefined]);
  });

  await check('identity.md check 12: an expired certificate: 400', async (mine) => {
    const { certificatePem } = await makeIdentity(folder, 'short', { days: 1 });
    await node.clock.advance(2 * 24 * 60 * 60 * 1000); // last: nothing above has to live with another day
    const registered = mine.registerCertificateWithoutCA({ certificatePem });
    await assert.rejects(registered, fails('CertificateValidationException', 400));
  });
});
