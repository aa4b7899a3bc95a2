/** One connection with a claim certificate on which many devices are provisioned, one request after the other; and the node's side of that: policies, claim, template. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  IoTClient,
} from '@aws-sdk/client-iot';
import { dial, type Place, type Wire } from './crash/wire.ts';
import { claimPolicy, createTopic, csrTopic, fleetTemplate, type KeyedCertificate, provisionTopic } from './fleet.ts';
import { publish, type Received, subscribe } from './raw-mqtt.ts';
import { throwAwayFolder } from './throw-away-certificates.ts';

export const account = { accountId: '000000000000', region: 'us-east-1' };
export const devicePolicyName = 'device';
export const templateName = 'fleet';
export const thingPrefix = 'fleet-';
export const registerTopic = provisionTopic(templateName);

export interface Claim extends KeyedCertificate {
  readonly certificateId: string;
}

/** Policies, a template and a claim, over the API at this address. */
export const makeClaim = async (endpoint: string): Promise<Claim> => {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const iot = new IoTClient({ endpoint, region: account.region, credentials, maxAttempts: 1 });
  const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
  await iot.send(new CreatePolicyCommand({ policyName: devicePolicyName, policyDocument }));
  await iot.send(new CreatePolicyCommand({ policyName: 'claim', policyDocument: claimPolicy(templateName) }));
  await iot.send(
    new CreateProvisioningTemplateCommand({
      templateName,
      templateBody: JSON.stringify(fleetTemplate(devicePolicyName, thingPrefix)),
      provisioningRoleArn: `arn:aws:iam::${account.accountId}:role/provisioning`,
      enabled: true,
    }),
  );
  const made = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  await iot.send(new AttachPolicyCommand({ policyName: 'claim', target: made.certificateArn }));
  iot.destroy();
  return {
    certificateId: String(made.certificateId),
    certificatePem: String(made.certificatePem),
    privateKey: String(made.keyPair?.PrivateKey),
  };
};

/** A server as whoever holds the claim reaches it. */
export const placeOf = (mqttPort: number, ca: string, { certificatePem, privateKey }: Claim): Place => ({
  mqttPort,
  secureContext: createSecureContext({ ca, cert: certificatePem, key: privateKey }),
});

/** What devices that made their own keys ask with. */
export const makeCsr = (): { readonly certificateSigningRequest: string } => {
  const folder = throwAwayFolder();
  const args = 'req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout d.key -out d.csr -subj /CN=device';
  execFileSync('openssl', args.split(' '), { cwd: folder, stdio: 'pipe' });
  return { certificateSigningRequest: readFileSync(join(folder, 'd.csr'), 'utf8') };
};

export interface Answer {
  readonly isAccepted: boolean;
  readonly members: Readonly<Record<string, unknown>>;
}

export class ClaimConnection {
  readonly #wire: Wire;
  #lastId = 1;
  /** In the order in which they were asked, which is that of the replies of one connection. */
  readonly #asked: { readonly topic: string; resolve(answer: Answer | undefined): void }[] = [];
  /** What came and was not expected, in a sentence each. */
  readonly surprises: string[] = [];

  private constructor(wire: Wire) {
    this.#wire = wire;
    void wire.closed.then(() => {
      for (const { resolve } of this.#asked.splice(0)) resolve(undefined);
    });
  }

  /** Resolves when the connection has subscribed to all replies; undefined when the server is not there, or goes. */
  static async open(place: Place, clientId: string): Promise<ClaimConnection | undefined> {
    const ready = Promise.withResolvers<void>();
    let connection: ClaimConnection | undefined;
    const replies = [createTopic, csrTopic, registerTopic].flatMap((topic) => [
      `${topic}/accepted`,
      `${topic}/rejected`,
    ]);
    const wire = await dial(place, {
      connect: { clientId, protocolVersion: 4 },
      hear(packet, on) {
        if (packet.cmd === 'connack' && packet.returnCode === 0) on.send(subscribe(1, replies));
        else if (packet.cmd === 'suback' && packet.granted.every((granted) => granted === 1)) ready.resolve();
        else connection?.hear(packet);
      },
    });
    if (wire === undefined) return undefined;
    connection = new ClaimConnection(wire);
    await Promise.race([ready.promise, wire.closed]);
    return wire.isClosed ? undefined : connection;
  }

  get isClosed(): boolean {
    return this.#wire.isClosed;
  }

  /** The reply; undefined when the connection was lost before it. */
  ask(topic: string, members: unknown): Promise<Answer | undefined> {
    if (this.isClosed) return Promise.resolve(undefined);
    this.#lastId = (this.#lastId % 65_535) + 1;
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    this.#asked.push({ topic, resolve });
    this.#wire.send(publish(this.#lastId, topic, JSON.stringify(members)));
    return promise;
  }

  hear(packet: Received): void {
    if (packet.cmd === 'puback') return;
    const asked = packet.cmd === 'publish' ? this.#asked.shift() : undefined;
    if (packet.cmd !== 'publish' || asked === undefined || !packet.topic.startsWith(`${asked.topic}/`)) {
      this.surprises.push(`${packet.cmd} ${'topic' in packet ? packet.topic : ''} came, and nobody asked for it`);
      asked?.resolve(undefined);
      return;
    }
    if (packet.qos === 1) this.#wire.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
    asked.resolve({
      isAccepted: packet.topic.endsWith('/accepted'),
      members: JSON.parse(packet.payload.toString()),
    });
  }

  drop(): void {
    this.#wire.drop();
    for (const { resolve } of this.#asked.splice(0)) resolve(undefined);
  }
}
