import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import type { FaultName } from '../../aws/fault.ts';
import { createEventLogs } from '../../journal/event-logs.ts';
import type { LogEventType, LogSubject } from '../../journal/log-event.ts';
import { settings } from './feature.ts';
import { followLogging } from './live-logging.ts';
import { targetLevelsMax } from './logging.ts';
import {
  deleteV2LoggingLevel,
  getLoggingOptions,
  getV2LoggingOptions,
  listV2LoggingLevels,
  setLoggingOptions,
  setV2LoggingLevel,
  setV2LoggingOptions,
} from './logging-operations.ts';

const makeSettings = (t: TestContext) => makeCall(t, { features: [settings()] });
const roleArn = 'arn:aws:iam::000000000000:role/logging';

const rejectsWith = (promise: Promise<unknown>, name: FaultName, message: RegExp) =>
  assert.rejects(promise, (error: Error) => {
    assert.equal(error.name, name);
    assert.match(error.message, message);
    return true;
  });

test('before SetV2LoggingOptions the options are NotConfiguredException, levels too, and the first version says DISABLED', async (t) => {
  const { call } = await makeSettings(t);
  await rejectsWith(getV2LoggingOptions({}, call), 'NotConfiguredException', /SetV2LoggingOptions/);
  await rejectsWith(listV2LoggingLevels({}, call), 'NotConfiguredException', /SetV2LoggingOptions/);
  const level = { logTarget: { targetType: 'CLIENT_ID', targetName: 'dev1' }, logLevel: 'DEBUG' } as const;
  await rejectsWith(setV2LoggingLevel(level, call), 'NotConfiguredException', /SetV2LoggingOptions/);
  assert.deepEqual(await getLoggingOptions({}, call), { logLevel: 'DISABLED' });
});

test('what was set is answered; what is left out stays, but for disableAllLogs', async (t) => {
  const { call, callAs } = await makeSettings(t);
  await setV2LoggingOptions({ roleArn, defaultLogLevel: 'INFO', disableAllLogs: true }, call);
  assert.deepEqual(await getV2LoggingOptions({}, call), { roleArn, defaultLogLevel: 'INFO', disableAllLogs: true });
  const eventConfigurations = [{ eventType: 'Ping', logLevel: 'DEBUG' as const, logDestination: 'pings' }];
  await setV2LoggingOptions({ eventConfigurations }, call);
  assert.deepEqual(await getV2LoggingOptions({}, call), {
    roleArn,
    defaultLogLevel: 'INFO',
    disableAllLogs: false,
    eventConfigurations,
  });
  await rejectsWith(getV2LoggingOptions({}, callAs(otherAccount)), 'NotConfiguredException', /./);
});

test('both versions show one level and one role (Assumed)', async (t) => {
  const { call } = await makeSettings(t);
  await setLoggingOptions({ loggingOptionsPayload: { roleArn, logLevel: 'WARN' } }, call);
  assert.deepEqual(await getLoggingOptions({}, call), { roleArn, logLevel: 'WARN' });
  assert.equal((await getV2LoggingOptions({}, call)).defaultLogLevel, 'WARN');
});

test('levels are listed in pages, the account first, and deleted by target', async (t) => {
  const { call, callAs } = await makeSettings(t);
  await setV2LoggingOptions({ defaultLogLevel: 'ERROR' }, call);
  const targets = [
    ['CLIENT_ID', 'dev\n1'],
    ['CLIENT_ID', 'dev2'],
    ['SOURCE_IP', '10.0.0.1'],
  ] as const;
  for (const [targetType, targetName] of targets) {
    await setV2LoggingLevel({ logTarget: { targetType, targetName }, logLevel: 'DEBUG' }, call);
  }
  await setV2LoggingLevel({ logTarget: { targetType: 'DEFAULT' }, logLevel: 'WARN' }, call);
  const listed: (string | undefined)[][] = [];
  let nextToken: string | undefined;
  do {
    const page = await listV2LoggingLevels({ maxResults: 1, ...(nextToken && { nextToken }) }, call);
    assert.equal(page.logTargetConfigurations?.length, 1);
    for (const { logTarget, logLevel } of page.logTargetConfigurations ?? []) {
      listed.push([logTarget?.targetType, logTarget?.targetName, logLevel]);
    }
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  const expected = targets.map(([type, name]): (string | undefined)[] => [type, name, 'DEBUG']);
  assert.deepEqual(listed, [['DEFAULT', undefined, 'WARN'], ...expected]);
  const ofAddresses = await listV2LoggingLevels({ targetType: 'SOURCE_IP' }, call);
  assert.equal(ofAddresses.logTargetConfigurations?.length, 1);

  await setV2LoggingOptions({ defaultLogLevel: 'ERROR' }, callAs(otherAccount));
  await deleteV2LoggingLevel({ targetType: 'CLIENT_ID', targetName: 'dev2' }, callAs(otherAccount));
  assert.equal((await listV2LoggingLevels({}, call)).logTargetConfigurations?.length, 4);
  await deleteV2LoggingLevel({ targetType: 'CLIENT_ID', targetName: 'dev2' }, call);
  await deleteV2LoggingLevel({ targetType: 'CLIENT_ID', targetName: 'dev2' }, call);
  assert.equal((await listV2LoggingLevels({}, call)).logTargetConfigurations?.length, 3);
});

test('what cannot be logged is refused by name', async (t) => {
  const { call } = await makeSettings(t);
  await setV2LoggingOptions({ defaultLogLevel: 'ERROR' }, call);
  const level = (targetType: 'THING_GROUP' | 'CLIENT_ID' | 'SOURCE_IP' | 'DEFAULT', targetName?: string) =>
    setV2LoggingLevel(
      { logTarget: { targetType, ...(targetName !== undefined && { targetName }) }, logLevel: 'INFO' },
      call,
    );
  await rejectsWith(level('THING_GROUP', 'g'), 'InvalidRequestException', /Thing group g does not exist/);
  await rejectsWith(level('CLIENT_ID'), 'InvalidRequestException', /targetName/);
  await rejectsWith(level('CLIENT_ID', 'x'.repeat(129)), 'InvalidRequestException', /targetName/);
  await rejectsWith(level('SOURCE_IP', '10.0.0.0/8'), 'InvalidRequestException', /no IP address/);
  await rejectsWith(level('DEFAULT', 'x'), 'InvalidRequestException', /no targetName/);
  await rejectsWith(
    deleteV2LoggingLevel({ targetType: 'DEFAULT', targetName: 'x' }, call),
    'InvalidRequestException',
    /DISABLED/,
  );
  await rejectsWith(setV2LoggingOptions({ roleArn: 'role' }, call), 'InvalidRequestException', /roleArn/);
  const foreign = { roleArn: `arn:aws:iam::${otherAccount.accountId}:role/logging` };
  await rejectsWith(setV2LoggingOptions(foreign, call), 'InvalidRequestException', /belongs to another account/);
  const first = setLoggingOptions({ loggingOptionsPayload: foreign }, call);
  await rejectsWith(first, 'InvalidRequestException', /belongs to another account/);
  const configure = (...eventTypes: string[]) =>
    setV2LoggingOptions({ eventConfigurations: eventTypes.map((eventType) => ({ eventType })) }, call);
  await rejectsWith(configure('Ping', 'Ping'), 'InvalidRequestException', /twice/);
  await rejectsWith(configure('no type'), 'InvalidRequestException', /no event type/);
});

test(`level ${targetLevelsMax + 1} of single targets is LimitExceededException and leaves nothing`, async (t) => {
  const { call } = await makeSettings(t);
  await setV2LoggingOptions({ defaultLogLevel: 'ERROR' }, call);
  await call.write((db) =>
    db
      .insertInto('logging_levels')
      .values(
        Array.from({ length: targetLevelsMax }, (_, index) => ({
          account_id: testAccount.accountId,
          region: testAccount.region,
          target_type: 'CLIENT_ID',
          target_name: `d${index}`,
          log_level: 'INFO' as const,
        })),
      )
      .execute(),
  );
  const level = (targetName: string) =>
    setV2LoggingLevel({ logTarget: { targetType: 'CLIENT_ID', targetName }, logLevel: 'INFO' }, call);
  await rejectsWith(level('one-more'), 'LimitExceededException', /1000/);
  await level('d0');
});

test('levels act as soon as the operation answers, and after a lost notice when the store is looked at again', async (t) => {
  const { call, bus, store } = await makeSettings(t);
  const written: string[] = [];
  const logs = createEventLogs({ write: (_account, line) => written.push(line), now: call.now, newId: call.newId });
  const fail = (cause: unknown) => assert.fail(String(cause));
  const live = await followLogging({ db: store.db, bus, set: logs.setLevels, failed: fail, recheckMs: 20 });
  t.after(live.close);
  const logged = async (eventType: LogEventType, subject: LogSubject = {}): Promise<boolean> => {
    await live.idle();
    const before = written.length;
    logs.log(testAccount, { eventType, status: 'Success', protocol: 'MQTT', ...subject });
    return written.length > before;
  };
  assert.equal(await logged('Connect'), false, 'DISABLED until it is set');
  await setV2LoggingOptions({ defaultLogLevel: 'INFO' }, call);
  assert.equal(await logged('Connect'), true);
  await setV2LoggingOptions({ disableAllLogs: true }, call);
  assert.equal(await logged('Connect'), false);
  await setV2LoggingOptions({ defaultLogLevel: 'DISABLED' }, call);
  await setV2LoggingLevel({ logTarget: { targetType: 'CLIENT_ID', targetName: 'dev1' }, logLevel: 'INFO' }, call);
  assert.deepEqual([await logged('Connect'), await logged('Connect', { clientId: 'dev1' })], [false, true]);
  await deleteV2LoggingLevel({ targetType: 'CLIENT_ID', targetName: 'dev1' }, call);
  assert.equal(await logged('Connect', { clientId: 'dev1' }), false);

  const silent = { ...call, changed: () => undefined };
  await setV2LoggingOptions({ defaultLogLevel: 'INFO' }, silent);
  while (!(await logged('Connect'))) await new Promise((resolve) => setImmediate(resolve));
});
