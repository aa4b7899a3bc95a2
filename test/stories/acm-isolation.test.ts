/**
 * The certificates of one account in ACM do not exist for another, nor for the same account in another region: a table over every handled operation of acm, as
 * isolation.test.ts has it for the other services (design 5). An operation without a row fails the test.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as acm from '@aws-sdk/client-acm';
import { authorities } from '../ca.ts';
import { handledOperations } from '../handled.ts';
import { bootNode, put } from '../harness.ts';
import { queryStore } from '../stores.ts';

interface Command {
  readonly input: object;
}

const asked = { DomainName: 'asked.corp' };
const Tags = [{ Key: 'owner', Value: 'stranger' }];
type Import = Omit<acm.ImportCertificateCommandInput, 'CertificateArn'>;

/** The commands of a stranger, and what each is answered. */
const asksOf = (CertificateArn: string, given: Import): readonly (readonly [answer: string, command: Command])[] => {
  const missing = 'ResourceNotFoundException';
  return [
    [missing, new acm.DescribeCertificateCommand({ CertificateArn })],
    [missing, new acm.GetCertificateCommand({ CertificateArn })],
    [missing, new acm.ImportCertificateCommand({ ...given, CertificateArn })],
    [missing, new acm.AddTagsToCertificateCommand({ CertificateArn, Tags })],
    [missing, new acm.RemoveTagsFromCertificateCommand({ CertificateArn, Tags: [{ Key: 'secret' }] })],
    [missing, new acm.ListTagsForCertificateCommand({ CertificateArn })],
    [missing, new acm.DeleteCertificateCommand({ CertificateArn })],
    [missing, new acm.RenewCertificateCommand({ CertificateArn })],
    [missing, new acm.UpdateCertificateOptionsCommand({ CertificateArn, Options: { Export: 'DISABLED' } })],
    [missing, new acm.ExportCertificateCommand({ CertificateArn, Passphrase: Buffer.from('pass') })],
    [missing, new acm.ResendValidationEmailCommand({ CertificateArn, Domain: 'a.corp', ValidationDomain: 'a.corp' })],
    [missing, new acm.RevokeCertificateCommand({ CertificateArn, RevocationReason: 'KEY_COMPROMISE' })],
    // a name is whose it can be proven to be: a request takes nothing from whoever has requested it before
    ['success', new acm.RequestCertificateCommand({ ...asked, ValidationMethod: 'DNS', IdempotencyToken: 'once' })],
    ['success', new acm.ListCertificatesCommand({ Includes: { keyTypes: ['EC_prime256v1', 'RSA_2048'] } })],
  ];
};

const outcomeOf = async (client: acm.ACMClient, command: Command): Promise<{ answer: string; text: string }> => {
  try {
    // a table of many commands, and `send` is overloaded by them
    const { $metadata, ...output } = await client.send(command as never);
    return { answer: 'success', text: JSON.stringify(output) };
  } catch (error) {
    assert(error instanceof acm.ACMServiceException, String(error));
    return { answer: error.name, text: error.message };
  }
};

test('certificates of ACM are their account and region alone, in every operation', async (t) => {
  const booted = await bootNode(t);
  const { folder } = booted;
  const { ca, leaf } = authorities(folder);
  const chain = await ca('maker');
  await put(folder, 'leaf.ext', 'extendedKeyUsage = serverAuth\n');
  const Certificate = Buffer.from(await leaf('known.example', 'maker', { extras: ['-extfile', 'leaf.ext'] }));
  const PrivateKey = await readFile(join(folder, 'known.example.key'));
  const given = { Certificate, PrivateKey, CertificateChain: Buffer.from(chain) };
  const [accountId, region] = ['111111111111', 'us-east-1'];
  const owner = booted.acm(accountId, region);
  const imports = new acm.ImportCertificateCommand({ ...given, Tags: [{ Key: 'secret', Value: 'known' }] });
  const { CertificateArn = '' } = await owner.send(imports);
  await owner.send(imports);
  await owner.send(new acm.RequestCertificateCommand({ ...asked, ValidationMethod: 'DNS', IdempotencyToken: 'once' }));
  const page = await owner.send(
    new acm.ListCertificatesCommand({ MaxItems: 1, Includes: { keyTypes: ['EC_prime256v1'] } }),
  );
  const data = join(folder, 'data');
  const ofOwner = `account_id = '${accountId}' and region = '${region}'`;
  const rowsOfOwner = async (): Promise<string> =>
    JSON.stringify([
      await queryStore(data, `select * from acm_certificates where ${ofOwner} order by certificate_uuid`),
      await queryStore(data, 'select * from tags order by resource_arn'),
    ]);
  const before = await rowsOfOwner();

  const rowed = new Set<string>();
  for (const [strangerId, strangerRegion] of [
    ['222222222222', region],
    [accountId, 'eu-west-1'],
  ] as const) {
    const stranger = booted.acm(strangerId, strangerRegion);
    const ownArn = CertificateArn.replace(accountId, strangerId).replace(region, strangerRegion);
    const ghost = CertificateArn.replace(/[^/]+$/, randomUUID());
    for (const arn of [CertificateArn, ownArn]) {
      const unreal = asksOf(arn === ownArn ? ownArn.replace(/[^/]+$/, randomUUID()) : ghost, given);
      for (const [index, [answer, command]] of asksOf(arn, given).entries()) {
        const operation = command.constructor.name.replace(/Command$/, '');
        rowed.add(operation);
        const outcome = await outcomeOf(stranger, command);
        assert.equal(outcome.answer, answer, `${operation}: ${outcome.text}`);
        const [, ghostly] = unreal[index] ?? [];
        assert(ghostly);
        const tells = (await outcomeOf(stranger, ghostly)).text.replaceAll(/[0-9a-f-]{36}/g, '');
        assert.equal(outcome.text.replaceAll(/[0-9a-f-]{36}/g, ''), tells, `${operation} tells a difference`);
        assert.ok(!/known|secret/.test(outcome.text), outcome.text);
      }
    }
    const foreign = new acm.ListCertificatesCommand({ ...(page.NextToken && { NextToken: page.NextToken }) });
    assert.equal((await outcomeOf(stranger, foreign)).answer, 'ValidationException');
  }
  assert.equal(await rowsOfOwner(), before, 'nothing of the owner has changed, and no stranger has left a tag');
  const handled = handledOperations().filter(({ service }) => service === 'acm');
  assert.deepEqual([...rowed].sort(), handled.map(({ operation }) => operation).sort());
});
