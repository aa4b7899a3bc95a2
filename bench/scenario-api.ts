/**
 * Requests per second of three operations, beside a plain node:http server with SQLite that does the least for the same bytes; and of two of them by users of
 * the account, whom IAM has to allow what its root may do anyway.
 */
import { hash, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, measure, shareOf } from './bench.ts';
import { pemOf } from './identities.ts';
import type { HttpJob } from './jobs.ts';
import { type Peer, saidBy, startEarlier, startFleetgate, startPinned, stopChild } from './peers.ts';
import { type ApiRequest, makeManagedPolicy, makeUser, rawRequest, root, type Signer } from './registry.ts';

/** Requests per round. */
const requestCount = 600;
/** In all: 16 requests are under way. */
const connectionCount = 16;

type ApiPeer = Pick<Peer, 'name' | 'pid' | 'stop'> & { readonly apiPort: number; readonly signer?: Signer };

const startCeiling = async ({ folder, core }: Bench['place']): Promise<ApiPeer> => {
  const program = fileURLToPath(new URL('ceiling.ts', import.meta.url));
  const child = startPinned(core, [process.execPath, program, join(folder, `ceiling-${process.hrtime.bigint()}.db`)]);
  const [, port] = await saidBy(child, /^port (\d+)$/);
  return { name: 'node:http + SQLite', pid: child.pid!, apiPort: Number(port), stop: () => stopChild(child) };
};

/** Bytes that precede a serial number of 20 bytes in a certificate: INTEGER, 20. */
const serialMark = Buffer.of(0x02, 0x14);

/** As many certificates as wanted from one, by their serial numbers. Their signatures are wrong, which registration without CA does not ask about. */
const certificateMaker = (pem: string): (() => string) => {
  const der = Buffer.from(new X509Certificate(pem).raw);
  const at = der.indexOf(serialMark) + serialMark.length;
  let serial = 0;
  return () => {
    der.writeUInt32BE(serial++, at + 8);
    const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  };
};

const idOf = (pem: string): string => hash('sha256', new X509Certificate(pem).raw, 'hex');

/** The requests of one operation in one round; both peers get the same. */
interface Operation {
  readonly scenario: string;
  requests(): readonly ApiRequest[];
}

const operationsOf = (bench: Bench): readonly Operation[] => {
  const makeCertificate = certificateMaker(pemOf(bench.identities.devices[0]!.certFile));
  const registered: string[] = [];
  let things = 0;
  const many = (one: (index: number) => ApiRequest) => (): readonly ApiRequest[] =>
    Array.from({ length: requestCount }, (_, index) => one(index));
  return [
    {
      scenario: 'API, RegisterCertificateWithoutCA',
      requests: many(() => {
        const certificatePem = makeCertificate();
        registered.push(idOf(certificatePem));
        return { method: 'POST', path: '/certificate/register-no-ca', body: { certificatePem, status: 'ACTIVE' } };
      }),
    },
    {
      scenario: 'API, CreateThing',
      requests: many(() => ({
        method: 'POST',
        path: `/things/thing-${things++}`,
        body: { attributePayload: { attributes: { serial: 'A-42', site: 'north' } } },
      })),
    },
    {
      scenario: 'API, DescribeCertificate',
      requests: many((index) => ({
        method: 'GET',
        path: `/certificates/${registered[(index * 7) % registered.length]}`,
      })),
    },
  ];
};

const jobsFor = (
  bench: Bench,
  { apiPort: port, signer }: ApiPeer,
  requests: readonly ApiRequest[],
): readonly HttpJob[] => {
  const { count } = bench.generators;
  const raw = requests.map((request) => rawRequest(port, request, signer));
  return Array.from({ length: count }, (_, index) => ({
    job: 'http',
    port,
    connections: shareOf(connectionCount, count, index),
    requests: raw.filter((_, at) => at % count === index),
  }));
};

const run = async (
  bench: Bench,
  peers: readonly ApiPeer[],
  { scenario, requests }: Operation,
  { oneServer = false } = {},
): Promise<void> => {
  bench.say(scenario);
  for (let round = -1; round < bench.rounds; round++) {
    let wanted = oneServer ? [] : requests();
    for (const peer of peers) {
      // what one caller has registered, the next one cannot
      if (oneServer) wanted = requests();
      const jobs = jobsFor(bench, peer, wanted);
      const jobOf = (index: number) => jobs[index];
      if (round < 0) await bench.generators.each(jobOf);
      else await measure(bench, peer, { scenario, round, jobOf });
    }
  }
};

export const api = async (bench: Bench): Promise<void> => {
  const started = [await startFleetgate(bench.place), await startEarlier(bench.place), await startCeiling(bench.place)];
  const peers: readonly ApiPeer[] = started.filter((peer) => peer !== undefined);
  try {
    for (const operation of operationsOf(bench)) await run(bench, peers, operation);
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
};

/** Statements of a user that is held to its work: the last of ten policies allows what the bench asks for. */
const manyPolicies = Array.from({ length: 10 }, (_, index) => [
  { Effect: 'Allow', Action: [`iot:List*`, 'iot:Describe*'], Resource: `arn:aws:iot:*:*:thing/area-${index}-*` },
  {
    Effect: 'Deny',
    Action: 'iot:Delete*',
    Resource: '*',
    Condition: { StringNotLike: { 'aws:userid': `boss-${index}` } },
  },
  { Effect: 'Allow', Action: ['acm:*', 'sts:*'], Resource: '*' },
  ...(index === 9
    ? [{ Effect: 'Allow', Action: ['iot:DescribeCertificate', 'iot:RegisterCertificate*'], Resource: '*' }]
    : []),
]);

/** The same requests to one server by callers with other rights. */
export const iam = async (bench: Bench): Promise<void> => {
  const server = await startFleetgate(bench.place);
  try {
    const port = server.apiPort;
    const arns: string[] = [];
    for (const [index, statements] of manyPolicies.entries()) {
      arns.push(await makeManagedPolicy(port, `area-${index}`, statements));
    }
    const callers = {
      'the root of the account': root,
      'a user with AdministratorAccess': await makeUser(port, 'admin', ['arn:aws:iam::aws:policy/AdministratorAccess']),
      'a user with ten policies': await makeUser(port, 'held', arns),
    };
    const peers = Object.entries(callers).map(([name, signer]) => ({ ...server, name, signer }));
    for (const operation of operationsOf(bench)) {
      const { scenario, requests } = operation;
      if (scenario === 'API, CreateThing') continue;
      await run(bench, peers, { scenario: `${scenario}, by whom`, requests }, { oneServer: true });
    }
  } finally {
    await server.stop();
  }
};
