/**
 * Mistakes with devices that only their maker knows, each made over the wire at their first connections, explained by the command and cured. Source: issue
 * "Provisioning", Build 7 and acceptance 6; spec provisioning.md 2, 3.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  CreateThingCommand,
  DeleteProvisioningTemplateCommand,
  type RegistrationConfig,
  UpdateCACertificateCommand,
} from '@aws-sdk/client-iot';
import type { StoredRecord } from '../../src/journal/stored-record.ts';
import type { LeafOptions } from '../ca.ts';
import { bootFirstConnect } from '../first-connect-scene.ts';
import { type Identity, put } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { type Cause, makeMistake, type Tried } from '../mistakes.ts';
import { publish } from '../mosquitto.ts';
import { dial, publish as publishPacket } from '../raw-mqtt.ts';
import { explainedAbout, published } from '../refusal.ts';
import { within } from '../within.ts';

type Fleet = Awaited<ReturnType<typeof bootFirstConnect>>;
/** A device that comes, and comes again. */
interface Device {
  readonly clientId: string;
  readonly identity: Identity;
  /** SNI; '': none. */
  readonly serverName?: string;
  readonly tool?: 'mosquitto';
}

const roleArn = 'arn:aws:iam::000000000000:role/jitp';
const own = (name: string) => ({ Ref: `AWS::IoT::Certificate::${name}` });
/** A template of a CA whose devices are named by the subject of their certificates. */
const bodyOf = ({ policyName = 'everything', parameters = [] as readonly string[], overrides = {} } = {}) =>
  JSON.stringify({
    Parameters: Object.fromEntries(
      ['CommonName', 'Id', ...parameters].map((name) => [`AWS::IoT::Certificate::${name}`, { Type: 'String' }]),
    ),
    Resources: {
      thing: {
        Type: 'AWS::IoT::Thing',
        Properties: { ThingName: own('CommonName'), AttributePayload: { line: '1' } },
        OverrideSettings: overrides,
      },
      certificate: {
        Type: 'AWS::IoT::Certificate',
        Properties: { CertificateId: own('Id'), Status: 'ACTIVE' },
      },
      policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: policyName } },
    },
  });
const inline = (body?: Parameters<typeof bodyOf>[0]): { registrationConfig: RegistrationConfig } => ({
  registrationConfig: { templateBody: bodyOf(body), roleArn },
});

/** Connects and publishes, as far as it comes. */
const comes = async (fleet: Fleet, { clientId, identity, serverName, tool }: Device): Promise<Tried> => {
  if (tool === 'mosquitto') {
    const { printed } = await publish(fleet.as(identity, { clientId }), `data/${clientId}`);
    return { isProvisioned: published.test(printed), saw: [printed] };
  }
  const raw = await dial(fleet.node, 4, { identity, ...(serverName !== undefined && { serverName }) });
  raw.send([
    { cmd: 'connect', clientId, clean: true, keepalive: 60, protocolId: 'MQTT', protocolVersion: 4 },
    publishPacket(1, `data/${clientId}`),
  ]);
  const heard = (await raw.take(2)).map(({ cmd }) => cmd);
  raw.socket.destroy();
  return { isProvisioned: heard.includes('puback'), saw: heard };
};

/** Of its certificate: what became of its template last. */
const lastProvisioning = async ({ node }: Fleet, { identity }: Device): Promise<StoredRecord | undefined> => {
  const { records } = await readJournal(node, node.account, { subject: identity.certificateId });
  return records.map(({ record }) => record).find(({ eventType }) => eventType === 'ProvisionDevice');
};
/** The template has been set to work at the connection that was refused last: waits until it has ended. */
const templateEnds = async (fleet: Fleet, device: Device): Promise<void> => {
  const { node } = fleet;
  const query = { subject: device.identity.certificateId, failures: 'true' };
  const { records } = await readJournal(node, node.account, query);
  const refused = records.find(({ record }) => record.reason === 'DEVICE_CERTIFICATE_PENDING')?.record;
  if (refused?.facts?.['provisioning'] !== 'STARTED') return;
  const ended = async (): Promise<void> => {
    while (((await lastProvisioning(fleet, device))?.sequence ?? 0) < refused.sequence);
  };
  await within(ended(), `the end of the template for ${device.clientId}`);
};
/** As a device does that is told nothing: it comes, and if it is not let in it comes again, once the template of its CA has had its time. */
const comesTwice = async (fleet: Fleet, device: Device): Promise<Tried> => {
  const first = await comes(fleet, device);
  if (first.isProvisioned) return first;
  await templateEnds(fleet, device);
  const second = await comes(fleet, device);
  return { ...second, saw: [...first.saw, ...second.saw] };
};

interface Row {
  readonly mistake: string;
  /** Makes the mistake; the CA has the row's name. Answers what the device is beside its client id and a certificate of that CA. */
  readonly prepare: (name: string) => Promise<Partial<Device> & { readonly leaf?: LeafOptions }>;
  readonly causes: readonly Cause<Device>[];
}

const rowsOf = (fleet: Fleet): readonly Row[] => {
  const { client, hold, leaf, maker, folder } = fleet;
  /** The device is given another certificate. */
  const another =
    (options: LeafOptions): NonNullable<Cause<Device>['done']> =>
    async (device) => ({
      ...device,
      identity: await leaf(`${device.clientId}-again`, `${device.clientId}-ca`, options),
    });
  /** The CA is given another template. */
  const corrected = async (caCertificateId: string, body: Parameters<typeof bodyOf>[0]): Promise<void> => {
    await client.send(new UpdateCACertificateCommand({ certificateId: caCertificateId, ...inline(body) }));
  };
  let caCertificateId = '';
  return [
    {
      mistake: 'the CA is not ACTIVE',
      async prepare(name) {
        await hold(`${name}-ca`, { setAsActive: false, ...inline() });
        return { tool: 'mosquitto' };
      },
      causes: [{ names: /the CA \w{8} that signed it is registered there, but INACTIVE\.$/ }],
    },
    {
      mistake: 'auto-registration is off',
      async prepare(name) {
        await hold(`${name}-ca`, { allowAutoRegistration: false, ...inline() });
        return {};
      },
      causes: [{ names: /the CA \w{8} that signed it is registered there, but its auto-registration is off\.$/ }],
    },
    {
      mistake: 'no SNI, for a CA in SNI_ONLY mode',
      async prepare(name) {
        await hold(`${name}-ca`, { certificateMode: 'SNI_ONLY', ...inline() });
        return { serverName: '' };
      },
      causes: [
        {
          names: /named no host \(SNI\), and its certificate does not tell one account .* CA in SNI_ONLY mode/,
          says: /^Connect by host name instead of by address, with a client that sends SNI/,
          commands: true,
          done: (device, { output }) => ({ ...device, serverName: output.trim() }),
        },
      ],
    },
    {
      mistake: 'the template declares Country, and the subject has no C',
      async prepare(name) {
        await hold(`${name}-ca`, inline({ parameters: ['Country'] }));
        return {};
      },
      causes: [
        {
          names:
            /not provisioned by the template of its CA \w{8}: .*AWS::IoT::Certificate::Country.* subject has no C\.$/,
          says: /what the subject of the certificate says, .* or give the device a certificate with them/,
          commands: true,
          done: (device, left) => another({ subject: `/C=DE/CN=${device.clientId}-de` })(device, left),
        },
      ],
    },
    {
      mistake: "the template means the certificate's own serial number",
      async prepare(name) {
        caCertificateId = await hold(`${name}-ca`, inline({ parameters: ['SerialNumber'] }));
        return {};
      },
      causes: [
        {
          names: /AWS::IoT::Certificate::SerialNumber.* subject has no serialNumber\.$/,
          says: /what the subject of the certificate says, and nothing else/,
          commands: true,
          async done(device, { output }) {
            assert.match(output, /"AWS::IoT::Certificate::SerialNumber"/);
            await corrected(caCertificateId, {});
            return device;
          },
        },
      ],
    },
    {
      mistake: 'the template names a policy that does not exist',
      async prepare(name) {
        await hold(`${name}-ca`, inline({ policyName: 'forgotten' }));
        return {};
      },
      causes: [{ names: /which names the policy "forgotten": there is none\.$/ }],
    },
    {
      mistake: 'OverrideSettings that say FAIL, for a thing that exists',
      async prepare(name) {
        caCertificateId = await hold(`${name}-ca`, inline({ overrides: { AttributePayload: 'FAIL' } }));
        await client.send(new CreateThingCommand({ thingName: name }));
        return {};
      },
      causes: [
        {
          names: /Thing \S+ exists already, and the template's OverrideSettings say FAIL\.$/,
          says: /^Say in OverrideSettings of the template what is to become of what exists/,
          commands: true,
          async done(device, { output }) {
            assert.match(output, /"AttributePayload":"FAIL"/);
            await corrected(caCertificateId, { overrides: { AttributePayload: 'REPLACE' } });
            return device;
          },
        },
      ],
    },
    {
      mistake: 'the template of the CA is disabled; it cannot be deleted while the CA names it',
      async prepare(templateName) {
        await client.send(
          new CreateProvisioningTemplateCommand({
            ...{ templateName, type: 'JITP', provisioningRoleArn: roleArn, templateBody: bodyOf() },
          }),
        );
        await hold(`${templateName}-ca`, { registrationConfig: { templateName } });
        const deletion = client.send(new DeleteProvisioningTemplateCommand({ templateName }));
        await assert.rejects(deletion, { name: 'DeleteConflictException', message: /registrationConfig of a CA/ });
        return { tool: 'mosquitto' };
      },
      causes: [{ names: /not provisioned by the provisioning template "\S+" of its CA \w{8}: .* is not enabled\.$/ }],
    },
    {
      mistake: 'an intermediate CA signs, and only the root is registered',
      async prepare(name) {
        await hold(`${name}-ca`, inline());
        const extension = await put(folder, 'ca.ext', 'basicConstraints=critical,CA:TRUE\n');
        await maker.leaf(`${name}-line`, `${name}-ca`, { extras: ['-extfile', extension] });
        return { identity: await leaf(name, `${name}-line`) };
      },
      causes: [
        {
          names: /which is not registered in .*, and neither is a CA with the name of its issuer \(CN=\S+-line\)\.$/,
          says: /^If it is yours, register the CA that signed it, with auto-registration \(.*one above it does not count\)/,
          commands: 'another way',
          async done(device) {
            await hold(`${device.clientId}-line`, inline());
            return device;
          },
        },
      ],
    },
    {
      mistake: 'the registered CA has the name of the one that signed, and another key',
      async prepare(name) {
        await hold(`${name}-ca`, inline());
        await maker.ca(`${name}-former`, { subject: `/CN=${name}-ca` });
        return { identity: await leaf(name, `${name}-former`) };
      },
      causes: [
        {
          names: /the CA \w{8} that is registered there has the name of its issuer, but did not sign it\.$/,
          says: /or give it one that the registered CA has signed/,
          done: another({}),
        },
      ],
    },
    {
      mistake: 'nobody activates what is registered, or allows it anything',
      async prepare(name) {
        await hold(`${name}-ca`);
        return {};
      },
      causes: [
        { names: /PENDING_ACTIVATION: its CA \w{8} had it registered .*, and nobody has activated it since\.$/ },
        { names: /refused iot:Connect on "client\/\S+": no policy is attached/ },
        { names: /refused iot:Publish on / },
      ],
    },
    {
      mistake: 'the CA is deactivated while a device waits',
      async prepare(name) {
        const certificateId = await hold(`${name}-ca`, inline({ policyName: `${name}-late` }));
        const identity = await leaf(name, `${name}-ca`);
        await comesTwice(fleet, { clientId: name, identity });
        const policyDocument = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}';
        // in this order: the template may still be tried again, from the device's last connection on
        await client.send(new UpdateCACertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
        await client.send(new CreatePolicyCommand({ policyName: `${name}-late`, policyDocument }));
        return { identity };
      },
      causes: [{ names: /and is INACTIVE now, so that its template is not carried out\.$/ }],
    },
  ];
};

test('mistakes with devices that come first', async (t) => {
  const fleet = await bootFirstConnect(t);
  for (const [index, { mistake, prepare, causes }] of rowsOf(fleet).entries()) {
    await t.test(mistake, async () => {
      const clientId = `mistake-${index}`;
      await fleet.maker.ca(`${clientId}-ca`);
      const { leaf, ...made } = await prepare(clientId);
      const identity = made.identity ?? (await fleet.leaf(clientId, `${clientId}-ca`, leaf));
      const device = await makeMistake<Device>(
        fleet,
        { device: { clientId, ...made, identity }, causes },
        { subject: (each) => each.clientId, attempt: (each) => comesTwice(fleet, each) },
      );
      if ((await lastProvisioning(fleet, device)) === undefined) return;
      const { printed } = await explainedAbout(fleet, device.identity.certificateId, /was provisioned by/);
      assert.match(printed, / {2}How it went\n {4}\+/);
      assert.match(printed, /^ {4}\+ \S+ {2}certificate \w{8} registered under the CA \w{8} that signed it$/m);
      assert.match(printed, /^ {4}\+ \S+ {2}connected with its own certificate \w{8} as "mistake-\d+"$/m);
    });
  }
});
