/** A fleet for devices that only their maker knows: CAs and devices by openssl, as in seeds 000 and 004, and how their connections are answered. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  DescribeCertificateCommand,
  GetRegistrationCodeCommand,
  type IoTClient,
  RegisterCACertificateCommand,
  type RegisterCACertificateCommandInput,
} from '@aws-sdk/client-iot';
import { authorities, type LeafOptions } from './ca.ts';
import { certificateIdOf, type Identity } from './harness.ts';
import { readJournal } from './journal.ts';
import { dial, type Version } from './raw-mqtt.ts';
import { bootFleet } from './refusal.ts';
import { waitMsMax } from './within.ts';

export const bootFirstConnect = async (t: TestContext) => {
  const fleet = await bootFleet(t);
  const { node, folder, client } = fleet;
  const maker = authorities(folder);
  let proofs = 0;

  const identityOf = async (name: string): Promise<Identity> => {
    const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    const certificatePem = await readFile(certFile, 'utf8');
    return { certFile, keyFile, certificatePem, certificateId: certificateIdOf(certificatePem) };
  };
  return {
    ...fleet,
    maker,
    identityOf,
    /** A device of a CA. */
    async leaf(name: string, ca = 'ca', options?: LeafOptions): Promise<Identity> {
      await maker.leaf(name, ca, options);
      return identityOf(name);
    },
    /** The CA by this name in the DEFAULT mode of an account; ACTIVE and with auto-registration unless told otherwise. Answers its id. */
    async hold(
      name: string,
      input: Partial<RegisterCACertificateCommandInput> = {},
      iot: IoTClient = client,
    ): Promise<string> {
      const caCertificate = await readFile(join(folder, `${name}.crt`), 'utf8');
      const { registrationCode } = await iot.send(new GetRegistrationCodeCommand({}));
      const possession =
        input.certificateMode === 'SNI_ONLY'
          ? {}
          : {
              verificationCertificate: await maker.leaf(`proof${proofs++}`, name, {
                subject: `/CN=${registrationCode}`,
              }),
            };
      const settings = { setAsActive: true, allowAutoRegistration: true, ...possession, ...input };
      const { certificateId } = await iot.send(new RegisterCACertificateCommand({ caCertificate, ...settings }));
      return String(certificateId);
    },
    /** What a CONNECT of this device is answered, to the close of the connection: nothing, if it is refused. */
    async connects(identity: Identity, serverName?: string, version: Version = 4): Promise<readonly string[]> {
      const raw = await dial(node, version, { identity, ...(serverName !== undefined && { serverName }) });
      raw.send({
        cmd: 'connect',
        clientId: 'first',
        clean: true,
        keepalive: 60,
        protocolId: 'MQTT',
        protocolVersion: version,
      });
      const answer = await raw.take(1);
      raw.socket.destroy();
      return answer.map((packet) => `${packet.cmd} ${packet.cmd === 'connack' ? packet.returnCode : ''}`);
    },
    async statusOf({ certificateId }: Identity, iot: IoTClient = client): Promise<string | undefined> {
      try {
        const answer = await iot.send(new DescribeCertificateCommand({ certificateId }));
        return answer.certificateDescription?.status;
      } catch (error) {
        assert.equal((error as Error).name, 'ResourceNotFoundException');
        return undefined;
      }
    },
    /** Resolves when the newest that the journal says about a template for this certificate is this. */
    async provisioned({ certificateId }: Identity, sentence: RegExp): Promise<void> {
      const endMs = performance.now() + waitMsMax;
      let newest = '';
      while (!sentence.test(newest) && performance.now() < endMs) {
        const { records } = await readJournal(node, node.account, { subject: certificateId });
        newest = records.find(({ record }) => record.eventType === 'ProvisionDevice')?.sentence ?? '';
      }
      assert.match(newest, sentence);
    },
  };
};
