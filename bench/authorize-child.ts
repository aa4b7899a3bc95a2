/**
 * Nanoseconds per decision. `new topic`: evaluated, the topic was never seen. `same topics`: evaluated again for 64 topics, so strings and caches are
 * warm. `remembered`: what the broker does for a topic that it has decided before, measured as a whole PUBLISH that nobody receives, beside the same with
 * a new topic each time. `compile`: a document from its text to a set.
 */
import { Duplex } from 'node:stream';
import { awsLimits } from '../src/limits.ts';
import type { Authority } from '../src/mqtt/authority.ts';
import { createBroker } from '../src/mqtt/broker.ts';
import { evaluate } from '../src/policy/evaluate.ts';
import { compilePolicies, type NamedPolicy, type PolicySet } from '../src/policy/policy-set.ts';
import { memoryStore } from '../test/memory-store.ts';
import { report } from './child.ts';
import { connectPacket, publishPacket } from './packets.ts';

const rounds = Number(process.argv[2] ?? 5);
const region = 'us-east-1';
const accountId = '000000000000';
const prefix = `arn:aws:iot:${region}:${accountId}:`;
const clientId = 'device-42';

const policy = (index: number, statements: readonly object[]): NamedPolicy => ({
  policyName: `policy-${index}`,
  policyArn: `${prefix}policy/policy-${index}`,
  policyVersionId: '1',
  text: JSON.stringify({ Version: '2012-10-17', Statement: statements }),
});
const allow = (action: string | readonly string[], ...resources: readonly string[]) => ({
  Effect: 'Allow',
  Action: action,
  Resource: resources.map((resource) => (resource === '*' ? '*' : prefix + resource)),
});

const sets: Readonly<Record<string, readonly NamedPolicy[]>> = {
  'allow all': [policy(0, [allow('iot:*', '*')])],
  'prefix with variables': [
    policy(0, [
      allow('iot:Connect', 'client/${iot:ClientId}'),
      allow(['iot:Publish', 'iot:Receive'], 'topic/fleet/${iot:ClientId}/*'),
    ]),
  ],
  '10 policies': Array.from({ length: 10 }, (_, index) =>
    policy(index, [
      allow('iot:Connect', 'client/*'),
      allow(['iot:Publish', 'iot:Receive'], `topic/area-${index}/\${iot:ClientId}/*`, `topic/common-${index}/*/status`),
      { ...allow('iot:Publish', `topic/area-${index}/secret/*`), Effect: 'Deny' },
      // the one that allows stands in the last
      ...(index === 9 ? [allow(['iot:Publish', 'iot:Receive'], 'topic/fleet/${iot:ClientId}/*')] : []),
    ]),
  ),
};

const topicOf = (index: number): string => `fleet/${clientId}/sensor/${index}/value`;

/** Nanoseconds per call of `work`, which does `count` of them. */
const nanos = (count: number, work: () => void): number => {
  const started = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - started) / count;
};

const evaluations = 200_000;
const context = { clientId, sourceIp: '127.0.0.1', domainName: 'localhost', certificate: { id: 'a'.repeat(64) } };

const decide = (set: PolicySet, resources: readonly string[]): number =>
  nanos(evaluations, () => {
    const request = { action: 'iot:Publish', resource: '', context };
    for (let left = evaluations; left > 0; left--) {
      request.resource = resources[left % resources.length]!;
      if (evaluate(set, request) !== 'ALLOWED') throw new Error(`denied: ${request.resource}`);
    }
  });

/** A broker with one client whose every packet is pushed in as bytes. */
const openClient = async (set: PolicySet): Promise<(bytes: Buffer) => void> => {
  const account = { accountId, region };
  const request = { action: '', resource: '', context };
  const authority: Authority = {
    account,
    principalId: context.certificate.id,
    revision: 1,
    stale: () => undefined,
    allows(action, resource) {
      request.action = action;
      request.resource = prefix + resource;
      return evaluate(set, request) === 'ALLOWED';
    },
    weigh: () => ({ decision: 'IMPLICIT_DENY', statements: [], unresolved: [] }),
    facts: () => ({}),
    onLost: () => {},
    release: () => {},
  };
  const broker = createBroker({
    limits: awsLimits,
    admit: async () => ({ authority }),
    record: () => {},
    store: memoryStore([]),
    now: Date.now,
    newId: () => 'session',
  });
  const peer = {
    account,
    serverName: 'localhost',
    certificate: undefined,
    tls: {},
    remoteAddress: '127.0.0.1',
    remotePort: 1,
  };
  const connected = Promise.withResolvers<void>();
  const socket = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      connected.resolve();
      done();
    },
  });
  broker.accept(socket, peer);
  socket.push(connectPacket(clientId));
  await connected.promise;
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  return (bytes) => socket.emit('data', bytes);
};

const publishes = 50_000;
const perChunk = 100;

/** Nanoseconds per PUBLISH that nobody receives; chunks hold 100 of them, and each has a turn of the event loop, as a connection may not take more than its slice of one. */
const publish = async (deliver: (bytes: Buffer) => void, topic: (index: number) => string): Promise<number> => {
  const chunks = Array.from({ length: publishes / perChunk }, (_, chunk) =>
    Buffer.concat(
      Array.from({ length: perChunk }, (_, index) => publishPacket(topic(chunk * perChunk + index), 0, 128).bytes),
    ),
  );
  let sum = 0;
  for (const chunk of chunks) {
    sum += nanos(perChunk, () => deliver(chunk));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sum / chunks.length;
};

let serial = 0;
for (const [name, policies] of Object.entries(sets)) {
  const set = compilePolicies(policies);
  const deliver = await openClient(set);
  const few = Array.from({ length: 64 }, (_, index) => `${prefix}topic/${topicOf(index)}`);
  for (let round = -1; round < rounds; round++) {
    const fresh = Array.from({ length: evaluations }, () => `${prefix}topic/${topicOf(serial++)}`);
    const scenario = `authorize, ${name}`;
    const measured: readonly (readonly [string, number])[] = [
      ['decision, new topic', decide(set, fresh)],
      ['decision, same topics', decide(set, few)],
      ['PUBLISH, new topic', await publish(deliver, () => topicOf(serial++))],
      ['PUBLISH, remembered topic', await publish(deliver, () => topicOf(0))],
      [
        'compile',
        nanos(500, () => {
          for (let left = 500; left > 0; left--) compilePolicies(policies);
        }),
      ],
    ];
    if (round < 0) continue;
    for (const [peer, value] of measured)
      report({ figure: { scenario, peer, round, value, unit: 'ns', compared: false } });
  }
}
process.disconnect?.();
process.exit();
