/** What Fleetgate needs of a database, made sure of when it is opened. */
import { howToCreate, type Place } from './postgres-failure.ts';
import type { Lent } from './postgres-pool.ts';
import { StoreUnavailable } from './store.ts';

/** The oldest server that its makers still mend, as `server_version_num` has it. */
const versionMin = 130_000;

/** The lock under which Fleetgate's nodes make what is missing: any number that only they use. */
const preparationLock = 0x666c6565;

interface Facts {
  version: number;
  encoding: string;
  collation: string;
  /** `c` libc, `i` ICU, `b` built in. */
  provider: string;
}

/** `order by` and `<` must mean what they mean in SQLite: bytes of UTF-8. ICU's and most of libc's collations do not. */
const sortsBytes = ({ provider, collation }: Facts): boolean =>
  (provider !== 'i' && (collation === 'C' || collation === 'POSIX')) || (provider === 'b' && collation === 'C.UTF-8');

/** Faults: StoreUnavailable with the command that makes a database which can be used. */
const assertUsable = (facts: Facts, { server, database }: Place): void => {
  const where = `PostgreSQL at ${server}`;
  if (facts.version < versionMin) {
    throw new StoreUnavailable(`${where} is too old (${facts.version}): Fleetgate needs version 13 or later.`);
  }
  const wrong =
    facts.encoding !== 'UTF8'
      ? `has the encoding ${facts.encoding} instead of UTF8`
      : sortsBytes(facts)
        ? undefined
        : `sorts text by the collation ${facts.collation} instead of C`;
  if (wrong === undefined) return;
  throw new StoreUnavailable(
    `The database "${database}" of ${where} ${wrong}, so that lists would come in another order: make one for Fleetgate with ${howToCreate(database)}`,
  );
};

/** The schema's own table `store_turn` has no columns: only locks on it matter (postgres-units.ts). */
const isPrepared = 'select to_regclass($1) is not null as prepared';

/** Checks the database and makes the schema in it. Faults: StoreUnavailable. */
export const prepareDatabase = async (connection: Lent, place: Place, schema: string): Promise<void> => {
  const { rows } = await connection.run({
    // as JSON, because servers before 15 have no column datlocprovider, and those from 17 on name the collation of theirs elsewhere
    sql: `select current_setting('server_version_num')::int as version, pg_encoding_to_char(encoding) as encoding,
      coalesce(to_jsonb(d)->>'datlocprovider', 'c') as provider,
      case when to_jsonb(d)->>'datlocprovider' = 'b' then to_jsonb(d)->>'datlocale' else datcollate end as collation
      from pg_database d where datname = current_database()`,
    parameters: [],
  });
  const [facts] = rows as unknown as Facts[]; // the columns of the statement above
  if (facts) assertUsable(facts, place);
  const asked = await connection.run({ sql: isPrepared, parameters: [`${schema}.store_turn`] });
  if (asked.rows[0]?.['prepared'] === true) return;
  await connection.command(
    `begin isolation level read committed, read write;
    select pg_advisory_xact_lock(${preparationLock});
    create schema if not exists ${schema};
    create table if not exists ${schema}.store_turn ();
    commit`,
  );
};
