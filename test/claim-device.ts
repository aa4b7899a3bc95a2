/**
 * A device as its program was written, mistakes and all: it comes with a claim, asks for a certificate, then for its thing, and connects with what it was given. It
 * goes on whatever it hears, so that later symptoms follow a mistake as they do in the field. It waits for no time: what has not come when the server has answered
 * what was sent behind its request does not come.
 */
import type { MqttClient } from 'mqtt';
import type { FleetNode } from '../src/index.ts';
import { connectFleetDevice, createTopic, csrTopic, type KeyedCertificate, provisionTopic } from './fleet.ts';

export interface OwnKey {
  readonly certificateSigningRequest: string;
  readonly privateKey: string;
}

export interface Program {
  readonly clientId: string;
  readonly claim: KeyedCertificate;
  readonly templateName: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** A key of its own and its request; without it the service makes the key. */
  readonly own?: OwnKey;
  /** What it has kept from an earlier time, and asks no more for. */
  readonly kept?: KeyedCertificate & { readonly certificateOwnershipToken: string };
  readonly version?: 4 | 5;
  /** Where it comes from; the journal keeps a share for each source. */
  readonly localAddress?: string;
  /** What it subscribes to before it asks; both replies without it. */
  readonly subscribesTo?: (topic: string) => string[];
  /** Where it asks; the request topic without it. */
  readonly asksOn?: (topic: string) => string;
  /** How it writes a request; JSON without it. */
  readonly writes?: (members: object) => string;
  /** It comes with its claim once more before it has left: it takes its own place. */
  readonly overlaps?: boolean;
  /** What passes between its connection and its first request. */
  readonly waits?: () => Promise<void>;
  /** It believes that a certificate is enough. */
  readonly asksForNoThing?: boolean;
}

export interface Course {
  /** It was given its thing, and has published with its own certificate. */
  readonly isProvisioned: boolean;
  /** What it saw, for a person who reads why a test failed. */
  readonly saw: readonly string[];
  /** What it was given. */
  readonly given?: KeyedCertificate & { readonly certificateOwnershipToken: string };
}

const bothReplies = (topic: string): string[] => [`${topic}/accepted`, `${topic}/rejected`];

/** The answer of a request, as `accepted` or `rejected` and its members; undefined: none came. */
const ask = async (
  { client, closed }: { readonly client: MqttClient; closed(): Promise<void> },
  { subscribesTo = bothReplies, asksOn = (topic) => topic, writes = JSON.stringify }: Program,
  topic: string,
  members: object,
): Promise<{ readonly outcome: string; readonly members: Readonly<Record<string, unknown>> } | undefined> => {
  const heard: { outcome: string; members: Readonly<Record<string, unknown>> }[] = [];
  const hear = (on: string, payload: Buffer): void => {
    if (on.startsWith(topic)) heard.push({ outcome: on.slice(topic.length + 1), members: JSON.parse(`${payload}`) });
  };
  client.on('message', hear);
  const filters = subscribesTo(topic);
  const steps = async (): Promise<void> => {
    // what is refused here shows later
    if (filters.length > 0) await client.subscribeAsync(filters, { qos: 1 }).catch(() => undefined);
    await client.publishAsync(asksOn(topic), writes(members), { qos: 1 }).catch(() => undefined);
    await client.unsubscribeAsync('nothing').catch(() => undefined);
  };
  await Promise.race([steps(), closed()]);
  client.off('message', hear);
  return heard[0];
};

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** What a certificate came with; undefined where a part of it is missing. */
const givenIn = (members: Readonly<Record<string, unknown>> | undefined, own: Program['own']): Course['given'] => {
  const certificatePem = text(members?.['certificatePem']);
  const privateKey = own?.privateKey ?? text(members?.['privateKey']);
  const certificateOwnershipToken = text(members?.['certificateOwnershipToken']);
  return certificatePem !== undefined && privateKey !== undefined && certificateOwnershipToken !== undefined
    ? { certificatePem, privateKey, certificateOwnershipToken }
    : undefined;
};

/** Once, from the claim to its own identity. */
export const runDevice = async (node: FleetNode, program: Program): Promise<Course> => {
  const { clientId, version = 4, localAddress, claim, own, kept, templateName, parameters, asksForNoThing } = program;
  const saw: string[] = [];
  const connect = async (as: KeyedCertificate, whose: string) => {
    try {
      const device = await connectFleetDevice(node, as, { clientId, version, ...(localAddress && { localAddress }) });
      saw.push(`let in with ${whose}`);
      return device;
    } catch {
      saw.push(`not let in with ${whose}`);
      return undefined;
    }
  };

  let given = kept;
  let hasThing = false;
  const device = await connect(claim, 'the claim');
  if (device) await program.waits?.();
  try {
    if (device && !given) {
      const request = own && { certificateSigningRequest: own.certificateSigningRequest };
      const reply = await ask(device, program, own ? csrTopic : createTopic, request ?? {});
      saw.push(`certificate: ${reply?.outcome}`);
      given = givenIn(reply?.members, own);
    }
    if (device?.client.connected && !asksForNoThing) {
      const request = { certificateOwnershipToken: given?.certificateOwnershipToken, parameters };
      const reply = await ask(device, program, provisionTopic(templateName), request);
      saw.push(`thing: ${reply?.outcome} ${JSON.stringify(reply?.members)}`);
      hasThing = reply?.outcome === 'accepted';
    }
    if (program.overlaps) await (await connect(claim, 'the claim, once more'))?.end();
  } finally {
    await device?.end();
  }
  if (given === undefined) return { isProvisioned: false, saw };
  const itself = await connect(given, 'its own certificate');
  try {
    await itself?.client.publishAsync(`data/${clientId}`, 'hello', { qos: 1 });
  } finally {
    await itself?.end();
  }
  return { isProvisioned: hasThing && itself !== undefined, saw, given };
};
