/**
 * Claim provisionings by the hundred are killed with the server, again and again. What devices were answered is kept here, outside the killed process. After
 * each restart the rows of the store are compared with it: whatever was acknowledged is there and whole, and nothing is there by half.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { iotArn } from '../../src/aws/arn.ts';
import {
  account,
  type Claim,
  ClaimConnection,
  devicePolicyName,
  makeClaim,
  makeCsr,
  placeOf,
  registerTopic,
  thingPrefix,
} from '../claim-connection.ts';
import { createTopic, csrTopic } from '../fleet.ts';
import type { ServerProcess } from '../server-process.ts';
import { queryStore } from '../stores.ts';
import type { Place } from './wire.ts';
import { between } from './world.ts';

/** Eight requests of a connection wait in the server, the rest in its socket: so all of these are in it. */
const connectionsCount = 63;
const devicesPerConnection = 8;
export const inFlightCount = connectionsCount * devicesPerConnection;
/** Keys of the service cost so much time that a few connections of them are enough. */
const connectionsWithKeys = 2;

export interface ProvisioningCrashPlan {
  readonly dataFolder: string;
  readonly kills: number;
  /** Replies from the moment when all are under way to the kill: a random number between the two. */
  readonly repliesBetweenKills: readonly [low: number, high: number];
  spawn(): Promise<ServerProcess>;
  report?(line: string): void;
}

/** One device, and what it was told. */
interface Device {
  readonly serialNumber: string;
  certificateId?: string;
  token?: string;
  /** RegisterThing has left at least once. */
  isOpen: boolean;
  isRegistered: boolean;
}

const refusalOfUsed = 'InvalidCertificateOwnershipToken';

export class ProvisioningCrashes {
  readonly violations: string[] = [];
  readonly totals = { kills: 0, replies: 0, acknowledged: 0, lost: 0, lostButDone: 0, inFlightLeast: Infinity };
  readonly #plan: ProvisioningCrashPlan;
  readonly #csr = makeCsr();
  readonly #devices: Device[] = [];
  /** Those that were interrupted. */
  #waiting: Device[] = [];
  #claim: Claim | undefined;
  #rootPem: string | undefined;
  #isStopping = false;
  #isDown = false;
  #inFlight = 0;
  #repliesLeft = Infinity;
  #enough = Promise.withResolvers<void>();

  constructor(plan: ProvisioningCrashPlan) {
    this.#plan = plan;
  }

  get summary(): string {
    const { kills, acknowledged, lost, lostButDone, inFlightLeast } = this.totals;
    return (
      `${kills} kills with at least ${inFlightLeast} provisionings in flight; ${acknowledged} of ${this.#devices.length} devices provisioned; ` +
      `${lost} replies to RegisterThing were lost, ${lostButDone} of them to what had been done; ${this.violations.length} violations`
    );
  }

  /** Kills, as often as planned, then lets every device come to its end. Whatever must not be stands in `violations`. */
  async run(): Promise<void> {
    const { kills, repliesBetweenKills, report } = this.#plan;
    let [server, place] = await this.#start();
    while (this.totals.kills < kills) {
      const connections = await this.#connect(place);
      this.#isDown = false;
      this.#repliesLeft = between(...repliesBetweenKills);
      this.#enough = Promise.withResolvers();
      const load = this.#load(connections);
      await Promise.race([this.#enough.promise, load]); // it ends before only when the server has ended everything
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      this.totals.inFlightLeast = Math.min(this.totals.inFlightLeast, this.#inFlight);
      this.#isDown = true;
      this.totals.kills++;
      server.child.kill('SIGKILL');
      await Promise.all([server.exited, load]);
      [server, place] = await this.#start();
      await this.#audit();
      report?.(this.summary);
    }
    this.#isStopping = true;
    this.#isDown = false;
    const connections = await this.#connect(place);
    await this.#load(connections);
    await this.#useAgain(connections);
    for (const connection of connections) connection.drop();
    await this.#audit();
    for (const { serialNumber, isRegistered } of this.#devices) {
      if (!isRegistered) this.violations.push(`${serialNumber} was not provisioned in the end`);
    }
    server.child.kill('SIGTERM');
    const { code, stderr } = await server.exited;
    if (code !== 0) this.violations.push(`the server ended with ${code}: ${stderr}`);
  }

  async #start(): Promise<[ServerProcess, Place]> {
    const server = await this.#plan.spawn();
    const url = await server.ready;
    if (url === undefined) assert.fail(`the server did not start: ${(await server.exited).stderr}`);
    const mqttPort = (await server.mqttPort) ?? assert.fail('the server has no port for MQTT');
    this.#claim ??= await makeClaim(url);
    const ca = await readFile(join(this.#plan.dataFolder, 'root-ca.pem'), 'utf8');
    this.#rootPem ??= ca;
    if (ca !== this.#rootPem) this.violations.push('the root certificate is another one');
    return [server, placeOf(mqttPort, ca, this.#claim)];
  }

  #connect(place: Place): Promise<ClaimConnection[]> {
    const open = async (_: unknown, index: number): Promise<ClaimConnection> =>
      (await ClaimConnection.open(place, `claimant${index}`)) ?? assert.fail('a claimant was not let in');
    return Promise.all(Array.from({ length: connectionsCount }, open));
  }

  /** Everybody provisions one device after the other, until the server is gone or there are no more. */
  async #load(connections: readonly ClaimConnection[]): Promise<void> {
    const slots = connections.flatMap((connection, index) =>
      Array.from({ length: devicesPerConnection }, async () => {
        for (let device = this.#next(); device !== undefined; device = this.#next()) {
          this.#inFlight++;
          await this.#provision(connection, device, index < connectionsWithKeys);
          this.#inFlight--;
          if (!device.isRegistered) this.#waiting.push(device);
          if (connection.isClosed || !device.isRegistered) break;
        }
      }),
    );
    await Promise.all(slots);
    for (const [index, { surprises, isClosed }] of connections.entries()) {
      this.violations.push(...surprises);
      if (isClosed && !this.#isDown)
        this.violations.push(`claimant${index}: the server, which was up, ended the connection`);
    }
  }

  #next(): Device | undefined {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined || this.#isStopping) return waiting;
    const device = { serialNumber: `${this.#devices.length}`, isOpen: false, isRegistered: false };
    this.#devices.push(device);
    return device;
  }

  /** From where the device stands to its end, or to that of the connection. */
  async #provision(connection: ClaimConnection, device: Device, hasKeys: boolean): Promise<void> {
    if (device.token === undefined) {
      const answer = await (hasKeys ? connection.ask(createTopic, {}) : connection.ask(csrTopic, this.#csr));
      if (answer === undefined) return;
      this.#replied();
      if (!answer.isAccepted) return this.#refused(device, answer.members);
      device.certificateId = String(answer.members['certificateId']);
      device.token = String(answer.members['certificateOwnershipToken']);
    }
    device.isOpen = true;
    const answer = await connection.ask(registerTopic, this.#request(device, device.serialNumber));
    if (answer === undefined) {
      this.totals.lost++;
      return;
    }
    this.#replied();
    if (!answer.isAccepted) return this.#refused(device, answer.members);
    if (answer.members['thingName'] !== `${thingPrefix}${device.serialNumber}`) {
      this.violations.push(`${device.serialNumber} was answered ${JSON.stringify(answer.members)}`);
    }
    device.isRegistered = true;
    this.totals.acknowledged++;
  }

  #request({ token }: Device, SerialNumber: string) {
    return { certificateOwnershipToken: token, parameters: { SerialNumber } };
  }

  #refused({ serialNumber }: Device, members: unknown): void {
    this.violations.push(`${serialNumber} was refused: ${JSON.stringify(members)}`);
  }

  #replied(): void {
    this.totals.replies++;
    if (--this.#repliesLeft === 0) this.#enough.resolve();
  }

  /** Every token that has served serves nobody else; a thing made by it would be one that the audit does not know. */
  async #useAgain(connections: readonly ClaimConnection[]): Promise<void> {
    const devices = this.#devices.filter(({ isRegistered }) => isRegistered);
    const use = async (connection: ClaimConnection): Promise<void> => {
      for (let device = devices.pop(); device !== undefined; device = devices.pop()) {
        const answer = await connection.ask(registerTopic, this.#request(device, `${device.serialNumber}-again`));
        if (answer?.members['errorCode'] === refusalOfUsed) continue;
        this.violations.push(`the token of ${device.serialNumber} served again: ${JSON.stringify(answer?.members)}`);
      }
    };
    await Promise.all(connections.map(use));
  }

  /** Nobody asks for anything meanwhile. */
  async #audit(): Promise<void> {
    const { dataFolder } = this.#plan;
    const rows = (text: string): Promise<Record<string, unknown>[]> => queryStore(dataFolder, text);
    const certificates = await rows('select certificate_id as id, status from certificates');
    const things = await rows('select thing_name as name from things');
    const thingsOf = grouped(await rows('select principal as owner, thing_name as what from thing_principals'));
    const policiesOf = grouped(await rows('select target as owner, policy_name as what from policy_attachments'));
    const tokens = await rows('select token_hash, certificate_id, request_hash, answer from ownership_tokens');
    const tokenOf = new Map(tokens.map((token) => [String(token['certificate_id']), token]));
    const whole = new Map<string, string>();
    const known = new Set<string>();
    const owned = new Set<string>();
    for (const { id, status } of certificates) {
      const certificateId = String(id);
      if (certificateId === this.#claim?.certificateId) continue;
      known.add(certificateId);
      const arn = iotArn(account, 'cert', certificateId);
      const token = tokenOf.get(certificateId);
      const held = thingsOf.get(arn) ?? [];
      for (const name of held) owned.add(name);
      const isSpent = token !== undefined && token['request_hash'] !== null;
      const seen = [String(status), `token ${isSpent ? 'spent' : 'unspent'}`, ...(policiesOf.get(arn) ?? []), ...held];
      const answer: unknown = JSON.parse(String(token?.['answer'] ?? '{}'));
      const complete = ['ACTIVE', 'token spent', devicePolicyName, held[0]].join();
      const isWhole =
        held.length === 1 && seen.join() === complete && JSON.stringify(answer).includes(`"thingName":"${held[0]}"`);
      if (isWhole) whole.set(certificateId, String(held[0]));
      else if (token === undefined || seen.join() !== 'PENDING_ACTIVATION,token unspent') {
        this.violations.push(`half: certificate ${certificateId}: ${token ? '' : 'no token, '}${seen.join(', ')}`);
      }
    }
    const names = new Set(things.map(({ name }) => String(name)));
    for (const name of names) if (!owned.has(name)) this.violations.push(`half: thing ${name} without a certificate`);
    for (const name of owned) if (!names.has(name)) this.violations.push(`half: a certificate of no thing ${name}`);
    for (const certificateId of tokenOf.keys()) {
      if (!known.has(certificateId)) this.violations.push(`half: a token of no certificate ${certificateId}`);
    }
    for (const device of this.#devices) this.#compare(device, tokenOf, whole);
    const expected = new Set(this.#devices.map(({ serialNumber }) => `${thingPrefix}${serialNumber}`));
    for (const name of names) if (!expected.has(name)) this.violations.push(`thing ${name}, which nobody may have`);
  }

  #compare(
    device: Device,
    tokenOf: ReadonlyMap<string, Record<string, unknown>>,
    whole: ReadonlyMap<string, string>,
  ): void {
    const { serialNumber, certificateId, token, isOpen, isRegistered } = device;
    if (certificateId === undefined || token === undefined) return;
    const say = (what: string): unknown => this.violations.push(`${serialNumber}: ${what}`);
    if (tokenOf.get(certificateId)?.['token_hash'] !== hash('sha256', token, 'hex')) {
      say('the certificate and token that it was given are gone');
    }
    const thing = whole.get(certificateId);
    if (thing !== undefined && thing !== `${thingPrefix}${serialNumber}`) say(`has become ${thing}`);
    if (isRegistered && thing === undefined) say('was acknowledged, and is not provisioned');
    if (!isOpen && thing !== undefined) say('is provisioned, and has not asked');
    if (isOpen && !isRegistered && thing !== undefined) this.totals.lostButDone++;
  }
}

const grouped = (rows: readonly Record<string, unknown>[]): ReadonlyMap<string, string[]> => {
  const groups = new Map<string, string[]>();
  for (const { owner, what } of rows) {
    const group = groups.get(String(owner)) ?? [];
    groups.set(String(owner), [...group, String(what)]);
  }
  return groups;
};
