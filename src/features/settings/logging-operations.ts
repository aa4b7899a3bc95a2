/** The operations of AWS IoT logging, both versions. Source: API reference; spec gateway.md 8. */
import { isIP } from 'node:net';
import { Fault } from '../../aws/fault.ts';
import { assertRoleArn } from '../../aws/role-arn.ts';
import type { Call, Handler } from '../../feature.ts';
import {
  countLevels,
  deleteLevel,
  type EventConfiguration,
  findOptions,
  type LoggingOptions,
  listLevels,
  saveLevel,
  saveOptions,
  targetLevelsMax,
} from './logging.ts';

/** Entries of `eventConfigurations`. Assumed: AWS has about as many event types. */
export const eventConfigurationsMax = 100;
/** Characters of a target's name: a client id has 128 bytes at most (spec gateway.md 12). */
export const targetNameCharactersMax = 128;
/** Levels per page when the caller names no number. Assumed. */
export const levelsPageDefault = 25;

const invalid = (message: string): Fault => new Fault('InvalidRequestException', message);

/** Tells every node, so that the levels act at once. */
const changed = (call: Call): void => call.changed('logging', 'levels');

const readConfigurations = (
  given: readonly {
    eventType: string | undefined;
    logLevel?: EventConfiguration['logLevel'] | undefined;
    logDestination?: string | undefined;
  }[],
): readonly EventConfiguration[] => {
  if (given.length > eventConfigurationsMax) {
    throw invalid(`At most ${eventConfigurationsMax} event configurations, not ${given.length}`);
  }
  const types = new Set<string>();
  return given.map(({ eventType = '', logLevel, logDestination }) => {
    if (!/^[A-Za-z][A-Za-z.-]{0,63}$/.test(eventType))
      throw invalid(`${JSON.stringify(eventType.slice(0, 64))} is no event type`);
    if (types.has(eventType)) throw invalid(`The event type ${eventType} is given twice`);
    types.add(eventType);
    if (logDestination !== undefined && !/^[.\-_/#A-Za-z0-9]{1,512}$/.test(logDestination)) {
      throw invalid('logDestination is not the name of a log group');
    }
    return { eventType, ...(logLevel && { logLevel }), ...(logDestination !== undefined && { logDestination }) };
  });
};

const nothingSet: LoggingOptions = {
  roleArn: undefined,
  defaultLogLevel: 'DISABLED',
  disableAllLogs: false,
  eventConfigurations: [],
};

/**
 * Assumed: members that are left out keep their values, but for `disableAllLogs`, whose default is false. The role is kept and shown: nothing
 * is written to CloudWatch. Faults: InvalidRequestException.
 */
export const setV2LoggingOptions: Handler<'SetV2LoggingOptions'> = async (input, call) => {
  if (input.roleArn !== undefined) assertRoleArn(input.roleArn, call.account, 'roleArn');
  const configurations = input.eventConfigurations && readConfigurations(input.eventConfigurations);
  await call.write(async (db) => {
    const before = (await findOptions(db, call.account)) ?? nothingSet;
    await saveOptions(db, call.account, {
      roleArn: input.roleArn ?? before.roleArn,
      defaultLogLevel: input.defaultLogLevel ?? before.defaultLogLevel,
      disableAllLogs: input.disableAllLogs ?? false,
      eventConfigurations: configurations ?? before.eventConfigurations,
    });
  });
  changed(call);
  return {};
};

const getOptions = async (db: Call['db'], call: Call): Promise<LoggingOptions> => {
  const options = await findOptions(db, call.account);
  if (options) return options;
  throw new Fault('NotConfiguredException', 'Logging is not configured: call SetV2LoggingOptions first');
};

/** Faults: NotConfiguredException before the first SetV2LoggingOptions. */
export const getV2LoggingOptions: Handler<'GetV2LoggingOptions'> = async (_input, call) => {
  const { roleArn, defaultLogLevel, disableAllLogs, eventConfigurations } = await getOptions(call.db, call);
  return {
    ...(roleArn !== undefined && { roleArn }),
    defaultLogLevel,
    disableAllLogs,
    ...(eventConfigurations.length > 0 && { eventConfigurations: eventConfigurations.map((each) => ({ ...each })) }),
  };
};

/** What a level can be set for. Faults: InvalidRequestException; no thing group exists in this version, so each is unknown. */
const checkTarget = (targetType: string, targetName: string): void => {
  if (targetName === '' || targetName.length > targetNameCharactersMax) {
    throw invalid(`targetName must have 1 to ${targetNameCharactersMax} characters for a target of type ${targetType}`);
  }
  if (targetType === 'THING_GROUP') throw invalid(`Thing group ${targetName} does not exist`);
  if (targetType === 'SOURCE_IP' && isIP(targetName) === 0) throw invalid(`${targetName} is no IP address`);
};

/**
 * A level of type DEFAULT is the account's own. Faults: NotConfiguredException before SetV2LoggingOptions, InvalidRequestException,
 * LimitExceededException beyond `targetLevelsMax`.
 */
export const setV2LoggingLevel: Handler<'SetV2LoggingLevel'> = async (input, call) => {
  const { targetType = 'DEFAULT', targetName = '' } = input.logTarget ?? {};
  const logLevel = input.logLevel ?? 'DISABLED';
  if (targetType !== 'DEFAULT') checkTarget(targetType, targetName);
  else if (targetName !== '') throw invalid('A target of type DEFAULT has no targetName');
  await call.write(async (db) => {
    const options = await getOptions(db, call);
    if (targetType === 'DEFAULT') {
      await saveOptions(db, call.account, { ...options, defaultLogLevel: logLevel });
      return;
    }
    await saveLevel(db, call.account, { targetType, targetName, logLevel });
    if ((await countLevels(db, call.account)) > targetLevelsMax) {
      throw new Fault('LimitExceededException', `At most ${targetLevelsMax} logging levels of single targets`);
    }
  });
  changed(call);
  return {};
};

/** Between type and name of a cursor; no type has it. */
const separator = '\n';

/**
 * The account's own level first, then those of targets. Faults: NotConfiguredException, InvalidRequestException (a marker that is not ours).
 */
export const listV2LoggingLevels: Handler<'ListV2LoggingLevels'> = async (input, call) => {
  const { defaultLogLevel } = await getOptions(call.db, call);
  const cursor = call.openMarker(input.nextToken);
  const limit = input.maxResults ?? levelsPageDefault;
  const { targetType } = input;
  const at = cursor.indexOf(separator);
  const own =
    cursor === '' && (targetType === undefined || targetType === 'DEFAULT')
      ? [{ logTarget: { targetType: 'DEFAULT' as const }, logLevel: defaultLogLevel }]
      : [];
  const rows = await listLevels(call.db, call.account, {
    after: cursor === '' ? undefined : { targetType: cursor.slice(0, at), targetName: cursor.slice(at + 1) },
    limit: limit - own.length + 1,
    targetType,
  });
  const page = rows.slice(0, limit - own.length);
  const last = page.at(-1);
  return {
    logTargetConfigurations: [
      ...own,
      ...page.map(({ logLevel, ...logTarget }) => ({
        // the types that SetV2LoggingLevel stores
        logTarget: { ...logTarget, targetType: logTarget.targetType as 'CLIENT_ID' },
        logLevel,
      })),
    ],
    ...(rows.length > page.length && {
      nextToken: call.sealMarker(last ? `${last.targetType}${separator}${last.targetName}` : separator),
    }),
  };
};

/** A level that is not there is a success (Assumed). Faults: InvalidRequestException for DEFAULT, which is set to DISABLED instead. */
export const deleteV2LoggingLevel: Handler<'DeleteV2LoggingLevel'> = async (input, call) => {
  const { targetType = '', targetName = '' } = input;
  if (targetType === 'DEFAULT') throw invalid('The level of type DEFAULT cannot be deleted; set it to DISABLED');
  await call.write((db) => deleteLevel(db, call.account, { targetType, targetName }));
  changed(call);
  return {};
};

/** The first version of the same settings. Assumed: both versions show one level and one role. Faults: InvalidRequestException. */
export const setLoggingOptions: Handler<'SetLoggingOptions'> = async (input, call) => {
  const { roleArn, logLevel } = input.loggingOptionsPayload ?? {};
  if (roleArn !== undefined) assertRoleArn(roleArn, call.account, 'roleArn');
  await call.write(async (db) => {
    const before = (await findOptions(db, call.account)) ?? nothingSet;
    await saveOptions(db, call.account, {
      ...before,
      roleArn: roleArn ?? before.roleArn,
      defaultLogLevel: logLevel ?? before.defaultLogLevel,
    });
  });
  changed(call);
  return {};
};

/** Assumed: before anything was set, DISABLED without a role. */
export const getLoggingOptions: Handler<'GetLoggingOptions'> = async (_input, call) => {
  const { roleArn, defaultLogLevel } = (await findOptions(call.db, call.account)) ?? nothingSet;
  return { ...(roleArn !== undefined && { roleArn }), logLevel: defaultLogLevel };
};
