/**
 * MQTT on a real node, over TLS, by a device whose policy names variables: what the registry, the policies and the journal do with what hostile packets say.
 * The connection ends, none of it is an internal error in the journal, and a healthy device is served beside it. Rules: spec gateway.md 5, policy.md 4.4.
 */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:tls';
import { AttachPolicyCommand, CreatePolicyCommand, RegisterCertificateWithoutCACommand } from '@aws-sdk/client-iot';
import { start } from '../../../src/index.ts';
import { connectDevice } from '../../device.ts';
import { readJournal } from '../../journal.ts';
import { selfSigned, throwAwayFolder } from '../../throw-away-certificates.ts';
import { cut } from '../corpus.ts';
import { registerHealthy } from '../healthy.ts';
import { mqttStreams, mqttWords } from '../mqtt-streams.ts';
import { hold, type Target } from '../target.ts';

const answerMsMax = 15_000;
/** Answers come sooner, or the server waits for more. */
const patienceMs = 20;
/** An answer of the journal holds the records of this many. */
const inputsPerLook = 40;

const arn = 'arn:aws:iot:us-east-1:000000000000';
const policyDocument = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: 'iot:Connect', Resource: `${arn}:client/*` },
    { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: `${arn}:topic/a/*` },
    { Effect: 'Allow', Action: 'iot:Subscribe', Resource: `${arn}:topicfilter/*/\${iot:ClientId}/*` },
    { Effect: 'Deny', Action: 'iot:*', Resource: `${arn}:topic/\${iot:Connection.Thing.ThingName}/?` },
    {
      Effect: 'Allow',
      Action: 'iot:*',
      Resource: '*',
      Condition: { 'ForAllValues:StringNotEquals': { 'iot:ConnectAttributes': ['LastWill'] } },
    },
  ],
});

export default async (): Promise<Target> => {
  const node = await start({ accountId: '000000000000', region: 'us-east-1' });
  const healthy = await registerHealthy(node.apiUrl);
  const hostile = selfSigned(throwAwayFolder(), 'hostile', 'ec');
  const { iot } = healthy;
  const { certificateArn: target } = await iot.send(
    new RegisterCertificateWithoutCACommand({ certificatePem: hostile.certificatePem, status: 'ACTIVE' }),
  );
  await iot.send(new CreatePolicyCommand({ policyName: 'hostile', policyDocument }));
  await iot.send(new AttachPolicyCommand({ policyName: 'hostile', target }));
  const identity = { cert: hostile.certificatePem, key: await readFile(hostile.keyFile, 'latin1'), ca: node.rootPem };
  let session: Buffer | undefined;

  /** The first byte of the answer, and whether the server ended the connection in time. */
  const converse = (pieces: readonly Buffer[]): Promise<{ first: number | undefined; closed: boolean }> =>
    new Promise((resolve) => {
      const address = { port: node.mqttPort, host: '127.0.0.1', servername: 'localhost' };
      const socket = connect({ ...address, ...identity, ...(session && { session }) });
      let first: number | undefined;
      const settle = (closed: boolean): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve({ first, closed });
      };
      const timer = setTimeout(() => settle(false), answerMsMax);
      let patience: NodeJS.Timeout | undefined;
      const wait = (): void => {
        clearTimeout(patience);
        patience = setTimeout(() => socket.end(), patienceMs);
      };
      socket.on('secureConnect', () => {
        for (const piece of pieces) socket.write(piece);
        wait();
      });
      socket.on('session', (ticket: Buffer) => {
        session = ticket;
      });
      socket.on('data', (chunk: Buffer) => {
        first ??= chunk[0];
        wait();
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        clearTimeout(patience);
        settle(true);
      });
    });

  const judgeJournal = async (): Promise<void> => {
    const { records } = await readJournal(node, node.account, { failures: 'true', limit: '100' });
    const internal = records.find(({ record }) => record.reason === 'INTERNAL_SERVER_ERROR');
    hold(internal === undefined, `no internal error: ${internal?.record.detail}`);
  };
  let inputs = 0;

  return {
    corpus: mqttStreams,
    dictionary: mqttWords,
    bytesMax: 4_096,
    async run(input) {
      const { first, closed } = await converse(input.length % 8 === 0 ? cut(input, 50, input.length) : [input]);
      hold(closed, `an end within ${answerMsMax} ms`);
      hold(first === undefined || first >> 4 === 2, 'the first answer is CONNACK');
      if (++inputs % inputsPerLook === 0) await judgeJournal();
      return first === undefined ? 'closed without an answer' : 'answered';
    },
    async check() {
      const { client } = await connectDevice(node, healthy.identity, { clientId: 'healthy' });
      await client.endAsync();
      await judgeJournal();
    },
    async close() {
      await healthy.close();
      await node.close(100);
    },
  };
};
