/**
 * The crash test of the gateway: clients of all kinds load a server that is killed with SIGKILL at random moments and started again on what it left. Each
 * part of a run ends calmly: nothing more is published, everybody is connected, and whatever the ledger says is owed has to arrive.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  IoTClient,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import {
  GetRetainedMessageCommand,
  IoTDataPlaneClient,
  ResourceNotFoundException,
} from '@aws-sdk/client-iot-data-plane';
import { iotArn } from '../../src/aws/arn.ts';
import type { ServerProcess } from '../server-process.ts';
import { type Identity, selfSigned, throwAwayFolder } from '../throw-away-certificates.ts';
import { Ledger } from './ledger.ts';
import { Publisher, retainedTopicsOf, sharedTopics, topics } from './publisher.ts';
import { rareEvents } from './records.ts';
import { groupFilter, Subscriber } from './subscriber.ts';
import { leaveWills } from './wills.ts';
import { between, chance, oneOf, World } from './world.ts';

export interface CrashPlan {
  readonly dataFolder: string;
  /** Where the ledger is written; it stays when something was violated. */
  readonly ledgerFile: string;
  readonly kills: number;
  /** Kills after which everything has to come to rest. */
  readonly killsPerPart: number;
  /** Nothing at all happens for so long: it never will. */
  readonly stallMs?: number;
  /** QoS 2 end to end, which needs `--limits open`. */
  readonly qos?: 1 | 2;
  spawn(): Promise<ServerProcess>;
  /** What becomes of the data folder while nothing runs on it. */
  killed?(): Promise<void>;
  /** Told after each part. */
  report?(line: string): void;
}

const account = { accountId: '000000000000', region: 'us-east-1' };
const everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
/** Acknowledgements from the start of a server to its kill: a random number; now and then a very small one. */
const acksBetweenKills = [200, 1500] as const;
const acksSoon = [1, 60] as const;
/** Acknowledgements to publishers that a rare event is waited for. */
const rareAcksMax = 800;
/** A server is killed while it starts, with this probability, within this time. */
const earlyKill = { probability: 0.25, msMax: 800 };
const stallMsDefault = 20_000;

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
const clientOf = (endpoint: string) => ({ endpoint, region: account.region, credentials, maxAttempts: 1 });

const admit = async (url: string, { certificatePem, certificateId }: Identity): Promise<void> => {
  const iot = new IoTClient(clientOf(url));
  await iot.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
  const target = iotArn(account, 'cert', certificateId);
  await iot.send(new AttachPolicyCommand({ policyName: 'everything', target }));
  iot.destroy();
};

/** Every retained topic of the ledger is asked for, while nobody publishes. */
const auditRetained = async (url: string, ledger: Ledger): Promise<void> => {
  const iotData = new IoTDataPlaneClient(clientOf(url));
  await Promise.all(
    ledger.retainedTopics.map(async (topic) => {
      const kept = await iotData.send(new GetRetainedMessageCommand({ topic })).catch((error: unknown) => {
        assert.ok(error instanceof ResourceNotFoundException, String(error));
        return undefined;
      });
      const payload = kept?.payload && Buffer.from(kept.payload).toString();
      ledger.checkRetained(topic, payload?.split(' ')[0]);
    }),
  );
  iotData.destroy();
};

class Stalled extends Error {}

export class Crashes {
  readonly ledger: Ledger;
  readonly #plan: CrashPlan;
  readonly #world: World;
  readonly #identity: Identity;
  readonly #publishers: readonly Publisher[];
  readonly #prober: Publisher;
  readonly #subscribers: readonly Subscriber[];
  #server: ServerProcess | undefined;
  /** What clients trust; undefined until the first server has it. */
  #rootPem: string | undefined;

  constructor(plan: CrashPlan) {
    const { qos = 1 } = plan;
    this.#plan = plan;
    this.ledger = new Ledger(plan.ledgerFile, { isOpen: qos === 2 });
    const world = new World(this.ledger);
    this.#world = world;
    this.#identity = selfSigned(throwAwayFolder(), 'device', 'ec');
    this.#publishers = ([4, 4, 5, 5] as const).map(
      (version, index) => new Publisher(world, { name: `publisher${index}`, version, qos }),
    );
    this.#prober = new Publisher(world, { name: 'prober', version: 5, qos });
    const retained = this.#publishers.flatMap(({ name }) => retainedTopicsOf(name));
    const sometimes = [...topics, 't/+', 't/#', 'w/+', 'r/#', ...retained];
    const roaming = ([4, 5, 4, 5, 4, 5] as const).map((version, index) => ({
      ...{ clientId: `subscriber${index}`, version, qos, sometimes, mayEnd: true },
      always: index < 2 ? ['t/+'] : [],
    }));
    const members = ([4, 5, 5] as const).map((version, index) => ({
      ...{ clientId: `member${index}`, version, qos, mayEnd: false },
      always: index < 2 ? [groupFilter] : [],
      sometimes: index < 2 ? topics : [groupFilter],
    }));
    this.#subscribers = [...roaming, ...members].map((each) => new Subscriber(world, each));
  }

  /** Kills, as often as planned or until the first loss. Whatever must not be stands in the ledger. */
  readonly run = async (): Promise<void> => {
    try {
      await this.#runParts();
    } catch (error) {
      // a client that waits for what is lost waits for ever: the ledger has the cause
      if (!(error instanceof Stalled) || this.ledger.violationsCount === 0) throw error;
    } finally {
      this.#world.abort();
      await this.ledger.end();
    }
  };

  async #runParts(): Promise<void> {
    const { kills, killsPerPart, report } = this.#plan;
    await this.#start();
    while (this.ledger.totals.kills < kills && this.ledger.violationsCount === 0) {
      await this.#part(Math.min(kills, this.ledger.totals.kills + killsPerPart));
      report?.(this.ledger.summary);
    }
    this.#server?.child.kill('SIGTERM');
    const ended = await this.#server?.exited;
    if (ended?.code !== 0) this.ledger.violate(`the server ended with ${ended?.code}: ${ended?.stderr}`);
  }

  /** Until there were so many kills. */
  async #part(kills: number): Promise<void> {
    const world = this.#world;
    world.isStopping = false;
    world.isOver = false;
    const publishing = Promise.all(this.#publishers.map((each) => each.run()));
    const subscribing = Promise.all(this.#subscribers.map((each) => each.run()));
    const leaving = Promise.all(
      ([4, 5] as const).map((version, index) => leaveWills(world, { clientId: `will${index}`, version })),
    );
    const load = Promise.all([publishing, subscribing, leaving]);
    const killing = async (): Promise<void> => {
      while (this.ledger.totals.kills < kills && this.ledger.violationsCount === 0) {
        const [low, high] = chance(0.2) ? acksSoon : acksBetweenKills;
        await world.later(between(low, high));
        await this.#moment();
        await this.#kill();
      }
      await world.later(between(...acksSoon));
      world.isStopping = true;
      world.progress();
    };
    await this.#unlessStalled(Promise.all([killing(), load]));
    await this.#rest();
  }

  /** Some milliseconds, or right after something rare has been acknowledged. */
  async #moment(): Promise<void> {
    if (chance(0.4)) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      return;
    }
    const wanted = oneOf(rareEvents);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ledger.happened = (event) => {
      if (event === wanted) resolve();
    };
    await Promise.race([promise, this.#world.later(rareAcksMax)]);
    this.ledger.happened = () => {};
  }

  /** Everything that is owed arrives, or is lost. */
  async #rest(): Promise<void> {
    const { ledger } = this;
    const draining = Promise.all(this.#subscribers.map((each) => each.drain()));
    await this.#unlessStalled(this.#prober.publish([...topics, ...sharedTopics, ...sharedTopics]));
    const arrived = async (): Promise<void> => {
      while (ledger.open.size > 0) await ledger.next;
    };
    await this.#unlessStalled(arrived(), () => undefined);
    const arrivals = (): number => this.#subscribers.reduce((sum, each) => sum + each.arrivals, 0);
    let before: number;
    do {
      before = arrivals();
      await Promise.all(this.#subscribers.map((each) => each.ping()));
    } while (arrivals() > before);
    await auditRetained((await this.#server?.ready) ?? '', ledger);
    ledger.close();
    ledger.forget();
    this.#world.isOver = true;
    for (const each of this.#subscribers) each.goodbye();
    await this.#unlessStalled(draining);
  }

  /** Waits for something as long as anything happens. */
  async #unlessStalled(work: Promise<unknown>, stalled?: () => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<'stalled'>();
    let timer: NodeJS.Timeout | undefined;
    let isDone = false;
    const watch = async (): Promise<void> => {
      while (!isDone) {
        clearTimeout(timer);
        timer = setTimeout(() => resolve('stalled'), this.#plan.stallMs ?? stallMsDefault);
        await this.ledger.next;
      }
    };
    void watch();
    const outcome = await Promise.race([work, promise]).finally(() => {
      isDone = true;
      clearTimeout(timer);
    });
    if (outcome !== 'stalled') return;
    if (stalled) stalled();
    else throw new Stalled(`Nothing happens any more: ${this.ledger.summary}; ${this.ledger.violations.join('; ')}`);
  }

  async #kill(): Promise<void> {
    const { ledger } = this;
    const dying = this.#server;
    ledger.totals.kills++;
    this.#world.down();
    dying?.child.kill('SIGKILL');
    await dying?.exited;
    await this.#plan.killed?.();
    await this.#start();
  }

  /** Starts a server, kills it too early now and then, and looks at what is retained before anybody else may ask. */
  async #start(): Promise<void> {
    const { dataFolder, spawn, killed } = this.#plan;
    const { ledger } = this;
    for (let isFirst = true; ; isFirst = false) {
      const server = await spawn();
      this.#server = server;
      const isEarly = isFirst && this.#rootPem !== undefined && chance(earlyKill.probability);
      const early = isEarly
        ? setTimeout(() => server.child.kill('SIGKILL'), Math.random() * earlyKill.msMax)
        : undefined;
      const url = await server.ready;
      clearTimeout(early);
      if (url === undefined || server.child.killed) {
        const { code, stderr } = await server.exited;
        assert.equal(code, null, `the server ended by itself: ${stderr}`);
        ledger.totals.kills++;
        await killed?.();
        continue;
      }
      const ca = await readFile(join(dataFolder, 'root-ca.pem'), 'utf8');
      if (this.#rootPem === undefined) await admit(url, this.#identity);
      else if (ca !== this.#rootPem) ledger.violate('the root certificate is another one');
      this.#rootPem = ca;
      await auditRetained(url, ledger);
      const mqttPort = (await server.mqttPort) ?? assert.fail('the server has no port for MQTT');
      const { keyPem: key, certificatePem: cert } = this.#identity;
      this.#world.up({ mqttPort, secureContext: createSecureContext({ ca, key, cert }) });
      return;
    }
  }
}
