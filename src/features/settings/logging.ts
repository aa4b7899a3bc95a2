/** What an account wants logged: its options and the levels of its targets, as rows. Source: spec gateway.md 8; API reference, SetV2LoggingOptions. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { LogThreshold } from '../../journal/event-logs.ts';
import type { Db } from '../../store/store.ts';

interface LoggingOptionsTable {
  account_id: string;
  region: string;
  role_arn: string | null;
  default_log_level: LogThreshold;
  disable_all_logs: number;
  event_configurations: string;
  revision: number;
}
interface LoggingLevelsTable {
  account_id: string;
  region: string;
  target_type: string;
  target_name: string;
  log_level: LogThreshold;
}

declare module '../../store/tables.ts' {
  interface Tables {
    logging_options: LoggingOptionsTable;
    logging_levels: LoggingLevelsTable;
  }
}

export interface EventConfiguration {
  readonly eventType: string;
  readonly logLevel?: LogThreshold;
  readonly logDestination?: string;
}

export interface LoggingOptions {
  readonly roleArn: string | undefined;
  readonly defaultLogLevel: LogThreshold;
  readonly disableAllLogs: boolean;
  readonly eventConfigurations: readonly EventConfiguration[];
}

export interface TargetLevel {
  readonly targetType: string;
  readonly targetName: string;
  readonly logLevel: LogThreshold;
}

/** Levels for single targets, per account and region. Assumed: AWS names no number. */
export const targetLevelsMax = 1000;

// written only by saveOptions, so always a list of event configurations
const parseConfigurations = (text: string): readonly EventConfiguration[] =>
  JSON.parse(text) as readonly EventConfiguration[];

/** Undefined while nothing was ever set. */
export const findOptions = async (db: Db, account: AccountRegion): Promise<LoggingOptions | undefined> => {
  const row = await db
    .selectFrom('logging_options')
    .select(['role_arn', 'default_log_level', 'disable_all_logs', 'event_configurations'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .executeTakeFirst();
  return (
    row && {
      roleArn: row.role_arn ?? undefined,
      defaultLogLevel: row.default_log_level,
      disableAllLogs: Number(row.disable_all_logs) === 1,
      eventConfigurations: parseConfigurations(row.event_configurations),
    }
  );
};

/** Writes all options of an account, inside a unit. */
export const saveOptions = async (db: Db, account: AccountRegion, options: LoggingOptions): Promise<void> => {
  const values = {
    role_arn: options.roleArn ?? null,
    default_log_level: options.defaultLogLevel,
    disable_all_logs: options.disableAllLogs ? 1 : 0,
    event_configurations: JSON.stringify(options.eventConfigurations),
  };
  await db
    .insertInto('logging_options')
    .values({ account_id: account.accountId, region: account.region, ...values, revision: 1 })
    .onConflict((conflict) =>
      conflict
        .columns(['account_id', 'region'])
        .doUpdateSet((eb) => ({ ...values, revision: eb('logging_options.revision', '+', 1) })),
    )
    .execute();
};

/** Marks the account's levels as changed, inside the unit that changed them. */
const touch = async (db: Db, account: AccountRegion): Promise<void> => {
  await db
    .updateTable('logging_options')
    .set((eb) => ({ revision: eb('revision', '+', 1) }))
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .execute();
};

export const saveLevel = async (db: Db, account: AccountRegion, level: TargetLevel): Promise<void> => {
  await db
    .insertInto('logging_levels')
    .values({
      account_id: account.accountId,
      region: account.region,
      target_type: level.targetType,
      target_name: level.targetName,
      log_level: level.logLevel,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['account_id', 'region', 'target_type', 'target_name'])
        .doUpdateSet({ log_level: level.logLevel }),
    )
    .execute();
  await touch(db, account);
};

export const deleteLevel = async (
  db: Db,
  account: AccountRegion,
  target: Pick<TargetLevel, 'targetType' | 'targetName'>,
): Promise<void> => {
  await db
    .deleteFrom('logging_levels')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('target_type', '=', target.targetType)
    .where('target_name', '=', target.targetName)
    .execute();
  await touch(db, account);
};

export const countLevels = async (db: Db, account: AccountRegion): Promise<number> => {
  const { count } = await db
    .selectFrom('logging_levels')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .executeTakeFirstOrThrow();
  return Number(count);
};

/** Levels of targets by type and name, after `after` (undefined starts at the first). */
export const listLevels = async (
  db: Db,
  account: AccountRegion,
  page: {
    readonly after: Pick<TargetLevel, 'targetType' | 'targetName'> | undefined;
    readonly limit: number;
    readonly targetType?: string | undefined;
  },
): Promise<readonly TargetLevel[]> => {
  let query = db
    .selectFrom('logging_levels')
    .select(['target_type', 'target_name', 'log_level'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region);
  const { after, targetType } = page;
  if (targetType !== undefined) query = query.where('target_type', '=', targetType);
  if (after !== undefined) {
    query = query.where((eb) =>
      eb.or([
        eb('target_type', '>', after.targetType),
        eb.and([eb('target_type', '=', after.targetType), eb('target_name', '>', after.targetName)]),
      ]),
    );
  }
  const rows = await query.orderBy('target_type').orderBy('target_name').limit(page.limit).execute();
  return rows.map((row) => ({
    targetType: row.target_type,
    targetName: row.target_name,
    logLevel: row.log_level,
  }));
};

/** Every account that has set something, with the number of its last change. */
export const listRevisions = async (db: Db): Promise<readonly { account: AccountRegion; revision: number }[]> => {
  const rows = await db.selectFrom('logging_options').select(['account_id', 'region', 'revision']).execute();
  return rows.map((row) => ({
    account: { accountId: row.account_id, region: row.region },
    revision: Number(row.revision),
  }));
};
