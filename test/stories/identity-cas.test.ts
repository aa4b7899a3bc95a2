/** The acceptance checks of identity.md 11 about registration codes and CAs, as an SDK client sees them: names of faults, HTTP statuses, members. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IoT } from '@aws-sdk/client-iot';
import { bootIdentity } from '../identity-scene.ts';
import { fails } from '../sdk-fault.ts';

test('registration codes and CAs, over HTTP', async (t) => {
  const { account, iot, ca, leaf, proof, hold } = await bootIdentity(t);
  const check = (rule: string, run: (mine: IoT) => Promise<void>) => t.test(rule, () => run(account()));
  const sniOnly = { certificateMode: 'SNI_ONLY', setAsActive: true } as const;

  await check('identity.md check 1: GetRegistrationCode twice: the same 64 hex digits', async (mine) => {
    const { registrationCode } = await mine.getRegistrationCode({});
    assert.match(registrationCode ?? '', /^[0-9a-f]{64}$/);
    assert.equal((await mine.getRegistrationCode({})).registrationCode, registrationCode);
  });

  await check('identity.md check 2: a deleted registration code is deleted again: 404', async (mine) => {
    await mine.getRegistrationCode({});
    await mine.deleteRegistrationCode({});
    await assert.rejects(mine.deleteRegistrationCode({}), fails('ResourceNotFoundException', 404));
  });

  await check('identity.md check 13: RegisterCertificate without a registered CA: 406', async (mine) => {
    await ca('unknown');
    const certificatePem = await leaf('orphan', 'unknown');
    await assert.rejects(mine.registerCertificate({ certificatePem }), fails('CertificateStateException', 406));
  });

  await check(
    'identity.md check 14: under an ACTIVE CA in SNI_ONLY mode: SNI_ONLY, with its caCertificateId',
    async (mine) => {
      const caCertificateId = await hold(mine, 'ca14');
      const { certificateId } = await mine.registerCertificate({ certificatePem: await leaf('device14', 'ca14') });
      const { certificateDescription } = await mine.describeCertificate({ certificateId });
      assert.partialDeepStrictEqual(certificateDescription, { certificateMode: 'SNI_ONLY', caCertificateId });
    },
  );

  await check('identity.md check 15: under an INACTIVE CA: 406', async (mine) => {
    await hold(mine, 'ca15', { setAsActive: false });
    const certificatePem = await leaf('device15', 'ca15');
    await assert.rejects(mine.registerCertificate({ certificatePem }), fails('CertificateStateException', 406));
  });

  await check(
    'identity.md check 16: two CAs with equal subject and key: 409, and 200 with the CA given',
    async (mine) => {
      await hold(mine, 'one', { subject: '/CN=Maker' });
      const caCertificatePem = await ca('two', { subject: '/CN=Maker', keyOf: 'one' });
      const { certificateId: caCertificateId } = await mine.registerCACertificate({
        ...{ caCertificate: caCertificatePem, ...sniOnly },
      });
      const certificatePem = await leaf('device16', 'one');
      await assert.rejects(mine.registerCertificate({ certificatePem }), fails('CertificateConflictException', 409));
      const { certificateId } = await mine.registerCertificate({ certificatePem, caCertificatePem });
      const { certificateDescription } = await mine.describeCertificate({ certificateId });
      assert.equal(certificateDescription?.caCertificateId, caCertificateId);
    },
  );

  await check(
    'identity.md check 17: DEFAULT without a verification certificate, and SNI_ONLY with one: 400',
    async (mine) => {
      const caCertificate = await ca('ca17');
      const invalid = fails('InvalidRequestException', 400);
      await assert.rejects(mine.registerCACertificate({ caCertificate }), invalid);
      const verificationCertificate = await proof(mine, 'ca17');
      await assert.rejects(mine.registerCACertificate({ caCertificate, verificationCertificate, ...sniOnly }), invalid);
      await mine.registerCACertificate({ caCertificate, verificationCertificate });
    },
  );

  await check(
    'identity.md check 18: a verification certificate with another CN: 400 RegistrationCodeValidationException',
    async (mine) => {
      const caCertificate = await ca('ca18');
      await mine.getRegistrationCode({});
      const verificationCertificate = await leaf('other18', 'ca18', { subject: '/CN=another' });
      await assert.rejects(
        mine.registerCACertificate({ caCertificate, verificationCertificate }),
        fails('RegistrationCodeValidationException', 400),
      );
    },
  );

  await check(
    'identity.md check 19: a verification certificate signed by another key: 400 CertificateValidationException',
    async (mine) => {
      const caCertificate = await ca('ca19', { subject: '/CN=Maker' });
      await ca('namesake', { subject: '/CN=Maker' });
      const verificationCertificate = await proof(mine, 'namesake');
      await assert.rejects(
        mine.registerCACertificate({ caCertificate, verificationCertificate }),
        fails('CertificateValidationException', 400),
      );
    },
  );

  await check(
    'identity.md check 20: held DEFAULT by one account, by another not DEFAULT (400) but SNI_ONLY (200), and DEFAULT in another region',
    async (mine) => {
      const other = account();
      const elsewhere = iot('100000009999', 'eu-west-1');
      const caCertificate = await ca('ca20');
      const hold20 = async (who: IoT) =>
        who.registerCACertificate({ caCertificate, verificationCertificate: await proof(who, 'ca20') });
      await hold20(mine);
      const refused = fails('InvalidRequestException', 400, { message: 'Cannot accept this CACertificate' });
      await assert.rejects(hold20(other), refused);
      await other.registerCACertificate({ caCertificate, ...sniOnly });
      await hold20(elsewhere);
    },
  );

  await check('identity.md check 21: the 11th CA with one subject: 410', async (mine) => {
    const subject = '/CN=Many';
    for (let number = 1; number <= 10; number++) await hold(mine, `many${number}`, { subject });
    await assert.rejects(hold(mine, 'many11', { subject }), fails('LimitExceededException', 410));
    await hold(mine, 'few', { subject: '/CN=Few' });
    assert.equal((await mine.listCACertificates({})).certificates?.length, 11);
  });

  await check('identity.md check 22: an ACTIVE CA is not deleted: 406; an INACTIVE one is', async (mine) => {
    const certificateId = await hold(mine, 'ca22');
    await assert.rejects(mine.deleteCACertificate({ certificateId }), fails('CertificateStateException', 406));
    await mine.updateCACertificate({ certificateId, newStatus: 'INACTIVE' });
    await mine.deleteCACertificate({ certificateId });
    const described = mine.describeCACertificate({ certificateId });
    await assert.rejects(described, fails('ResourceNotFoundException', 404));
  });

  await check(
    'identity.md check 23: removeAutoRegistration: registrationConfig is absent; templateName finds the CA as long as it names it',
    async () => {
      const accountId = '100000009998';
      const mine = iot(accountId);
      const certificateId = await hold(mine, 'ca23');
      const templateName = 'ship';
      const own = { Ref: 'AWS::IoT::Certificate::Id' };
      const certificate = { Type: 'AWS::IoT::Certificate', Properties: { CertificateId: own } };
      const templateBody = JSON.stringify({
        ...{ Parameters: { [own.Ref]: { Type: 'String' } }, Resources: { certificate } },
      });
      const provisioningRoleArn = `arn:aws:iam::${accountId}:role/jitp`;
      await mine.createProvisioningTemplate({ templateName, type: 'JITP', templateBody, provisioningRoleArn });
      const using = async () =>
        (await mine.listCACertificates({ templateName })).certificates?.map((each) => each.certificateId);
      const configured = async () => (await mine.describeCACertificate({ certificateId })).registrationConfig;

      assert.deepEqual([await configured(), await using()], [undefined, []]);
      const named = { certificateId, registrationConfig: { templateName } };
      await mine.updateCACertificate({ ...named, newAutoRegistrationStatus: 'ENABLE' });
      assert.deepEqual([await configured(), await using()], [{ templateName }, [certificateId]]);
      assert.deepEqual((await mine.listCACertificates({ templateName: 'another' })).certificates, []);
      const both = mine.updateCACertificate({ ...named, removeAutoRegistration: true });
      await assert.rejects(both, fails('InvalidRequestException', 400));
      await mine.updateCACertificate({ certificateId, removeAutoRegistration: true });
      assert.deepEqual([await configured(), await using()], [undefined, []]);
      const { certificateDescription } = await mine.describeCACertificate({ certificateId });
      assert.equal(certificateDescription?.autoRegistrationStatus, 'ENABLE');
      const inline = { templateBody, roleArn: provisioningRoleArn };
      await mine.updateCACertificate({ certificateId, registrationConfig: inline });
      assert.deepEqual([await configured(), await using()], [inline, []]);
    },
  );
});
