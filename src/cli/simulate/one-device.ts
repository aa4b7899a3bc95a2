/**
 * One device from its claim to its first message, as the developer guide has a device do it: with the claim, a certificate and a thing; then a new connection with
 * its own certificate. Each step may be refused, and then that is the end of it. Source: developer guide, "Provisioning by claim"; spec provisioning.md 4.
 */
import { generateKeyPair } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';
import { readCbor, writeCbor } from '../../aws/cbor.ts';
import { newCsr } from '../../pki/new-csr.ts';
import { printable } from '../terminal.ts';
import type { KeyedCertificate } from './claim.ts';
import { MqttClient, type Place, Seen } from './mqtt-client.ts';
import { fill } from './placeholders.ts';

export type Format = 'json' | 'cbor';

/** What all devices of a run have in common. */
export interface Plan {
  readonly place: Place;
  /** The roots that devices trust, PEM. */
  readonly ca: string;
  /** Of the claim. */
  readonly claim: SecureContext;
  readonly templateName: string;
  readonly format: Format;
  /** The device makes its key and sends a request. */
  readonly csr: boolean;
  /** `{n}` in these stands for the device's number. */
  readonly clientId: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** `{thing}` too. */
  readonly topic: string;
  readonly answerMsMax: number;
  /** Called when the thing is registered, before its certificate is used. */
  readonly keep?: (device: NewDevice) => Promise<void>;
}

export interface NewDevice extends KeyedCertificate {
  readonly number: number;
  readonly certificateId: string;
  /** Of the thing; without one in the template, the client id that the device came with. */
  readonly name: string;
}

/** In their order; the key says the step in a refusal. */
export const steps = {
  claim: 'connecting with the claim',
  certificate: 'asking for a certificate',
  thing: 'registering the thing',
  keep: 'keeping its key',
  own: 'connecting with its own certificate',
  message: 'publishing',
} as const;
export type Step = keyof typeof steps;

/** Where a device was stopped, by what it saw, and the client id under which the server knows it. */
export interface Refusal {
  readonly step: Step;
  readonly seen: Seen;
  readonly clientId: string;
}

const newKeyPair = promisify(generateKeyPair);

type Members = Readonly<Record<string, unknown>>;

const encode = (
  format: Format,
  members: Readonly<Record<string, string | Readonly<Record<string, string>>>>,
): Buffer => (format === 'cbor' ? writeCbor(members) : Buffer.from(JSON.stringify(members)));

const decode = (format: Format, payload: Buffer): Members => {
  try {
    const value: unknown = format === 'cbor' ? readCbor(payload) : JSON.parse(payload.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {}
  throw new Seen('said', `an answer came that is no ${format === 'cbor' ? 'CBOR' : 'JSON'} object`);
};

const textOf = (members: Members, name: string): string => {
  const value = members[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new Seen('said', `an answer came without ${name}`);
};

/** Asks one operation of fleet provisioning. Faults: Seen, with what the server said. */
const ask = async (
  client: MqttClient,
  { format }: Plan,
  base: string,
  members: Readonly<Record<string, string | Readonly<Record<string, string>>>>,
): Promise<Members> => {
  const topic = `${base}/${format}`;
  const [accepted, rejected] = [`${topic}/accepted`, `${topic}/rejected`];
  await client.subscribe([accepted, rejected]);
  const reply = await client.request(topic, encode(format, members), [accepted, rejected]);
  const answered = decode(format, reply.payload);
  if (reply.topic === accepted) return answered;
  const { statusCode, errorCode, errorMessage } = answered;
  const shown = [statusCode, errorCode].filter((each) => each !== undefined).join(' ');
  throw new Seen('said', printable(`rejected: ${shown}: ${String(errorMessage)}`.slice(0, 1000)).replace(/\.$/, ''));
};

interface Issued extends KeyedCertificate {
  readonly certificateId: string;
  readonly token: string;
}

const askForCertificate = async (client: MqttClient, plan: Plan, clientId: string): Promise<Issued> => {
  const read = (answered: Members) => ({
    certificateId: textOf(answered, 'certificateId'),
    certificatePem: textOf(answered, 'certificatePem'),
    token: textOf(answered, 'certificateOwnershipToken'),
  });
  if (!plan.csr) {
    const answered = await ask(client, plan, '$aws/certificates/create', {});
    return { ...read(answered), privateKeyPem: textOf(answered, 'privateKey') };
  }
  const pair = await newKeyPair('ec', { namedCurve: 'P-256' });
  const certificateSigningRequest = await newCsr(pair, clientId.slice(0, 64));
  const answered = await ask(client, plan, '$aws/certificates/create-from-csr', { certificateSigningRequest });
  return { ...read(answered), privateKeyPem: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() };
};

const provision = async (
  client: MqttClient,
  plan: Plan,
  number: number,
  clientId: string,
  at: (step: Step) => void,
) => {
  at('certificate');
  const issued = await askForCertificate(client, plan, clientId);
  at('thing');
  const parameters = Object.fromEntries(
    Object.entries(plan.parameters).map(([name, value]) => [name, fill(value, { n: String(number) })]),
  );
  const answered = await ask(client, plan, `$aws/provisioning-templates/${plan.templateName}/provision`, {
    certificateOwnershipToken: issued.token,
    parameters,
  });
  const { thingName } = answered;
  return { ...issued, number, name: typeof thingName === 'string' ? thingName : clientId };
};

/** What came over the wire may be anything. */
const contextOf = (ca: string, { certificatePem, privateKeyPem }: KeyedCertificate): SecureContext => {
  try {
    return createSecureContext({ ca, cert: certificatePem, key: privateKeyPem });
  } catch (cause) {
    throw new Seen('said', 'a certificate and a key came that do not belong together', { cause });
  }
};

const greet = async (plan: Plan, device: NewDevice, at: (step: Step) => void): Promise<void> => {
  at('own');
  const { number, name } = device;
  const { place, ca, answerMsMax } = plan;
  const secureContext = contextOf(ca, device);
  const client = await MqttClient.open({ place, secureContext, clientId: name, answerMsMax });
  at('message');
  const topic = fill(plan.topic, { n: String(number), thing: name });
  const payload = Buffer.from(JSON.stringify({ device: name, message: 'hello', number }));
  await client.publish(topic, payload).finally(() => client.end());
};

/** The file system's refusal, as a step that failed. */
const keepOf = async (plan: Plan, device: NewDevice): Promise<void> => {
  try {
    await plan.keep?.(device);
  } catch (cause) {
    throw new Seen('said', cause instanceof Error ? printable(cause.message) : 'unknown', { cause });
  }
};

/** Undefined when all went well. */
export const simulateOne = async (plan: Plan, number: number): Promise<Refusal | undefined> => {
  let step: Step = 'claim';
  let clientId = fill(plan.clientId, { n: String(number) });
  const at = (next: Step): void => {
    step = next;
  };
  try {
    const { place, claim: secureContext, answerMsMax } = plan;
    const client = await MqttClient.open({ place, secureContext, clientId, answerMsMax });
    const device = await provision(client, plan, number, clientId, at).finally(() => client.end());
    at('keep');
    await keepOf(plan, device);
    clientId = device.name;
    await greet(plan, device, at);
    return undefined;
  } catch (error) {
    if (!(error instanceof Seen)) throw error;
    return { step, seen: error, clientId };
  }
};
