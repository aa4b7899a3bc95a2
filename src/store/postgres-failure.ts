/**
 * What failures of PostgreSQL mean to Fleetgate. Those of the world (server gone, disk full, not allowed in) become StoreUnavailable with a sentence
 * that names the server and the cure; all others (constraints, bad SQL) are the program's own and rise as they are.
 * Source: PostgreSQL manual, appendix A "Error Codes", and 13.5 "Serialization Failure Handling".
 */
import { DatabaseError } from 'pg';
import { StoreUnavailable } from './store.ts';

/** An error that PostgreSQL answered to a statement, e.g. a broken constraint. Without the detail, which may quote rows. */
export class PostgresError extends Error {
  override readonly name = 'PostgresError';
  /** SQLSTATE, five characters. */
  readonly code: string;
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Which server and database, without the password: `127.0.0.1:5432, database "fleet"`. */
export interface Place {
  readonly server: string;
  readonly database: string;
  readonly user: string;
}

/** What a transaction that failed may do next. */
export type Verdict =
  /** It lost against another one: nothing of it happened, and the same again may succeed. */
  | 'collision'
  /** The connection is of no more use; before the commit was sent, nothing of the transaction happened. */
  | 'lost'
  /** The statement is at fault, or the world in a way that a repetition does not mend. */
  | 'final';

/** SQLSTATEs of a server that is going down, coming up, or has ended this connection. */
const goneCodes = ['57P01', '57P02', '57P03', '57P05', '25P03', '25P04'];
/** A prepared statement whose table has changed since ("cached plan must not change result type"): a fresh connection plans anew. */
const isStalePlan = (error: DatabaseError): boolean =>
  error.code === '0A000' && error.routine === 'RevalidateCachedQuery';

/**
 * 40001 serialization failure, 40P01 deadlock; 23505 unique violation, which may stand where a serialization failure could have: the row
 * in the way may be of a transaction that this one overlapped.
 */
const collisionCodes = ['40001', '40P01', '23505'];

/** A value that postgres-pool.ts refused to send or to read. */
const isUnfit = (error: unknown): error is Error => error instanceof TypeError || error instanceof RangeError;

export const verdictOf = (error: unknown): Verdict => {
  if (isUnfit(error)) return 'final';
  if (!(error instanceof DatabaseError)) return 'lost'; // whatever does not come from the server comes from the way to it
  const code = error.code ?? '';
  if (collisionCodes.includes(code)) return 'collision';
  return code.startsWith('08') || goneCodes.includes(code) || isStalePlan(error) ? 'lost' : 'final';
};

/** Whether the row in the way was committed before this transaction began is known only by trying once more. */
export const isUniqueViolation = (error: unknown): boolean => error instanceof DatabaseError && error.code === '23505';

type Sentence = (place: Place) => string;
const at = ({ server, database }: Place): string => `PostgreSQL at ${server}, database "${database}",`;

const worldly: readonly (readonly [codes: string, sentence: Sentence])[] = [
  ['25006', (place) => `${at(place)} is read-only: name the primary server in --store, not a standby.`],
  ['28', (place) => `${at(place)} does not let user "${place.user}" in: check the user and the password in --store.`],
  [
    '3D000',
    ({ server, database }) => `PostgreSQL at ${server} has no database "${database}": ${howToCreate(database)}`,
  ],
  ['42501', (place) => `${at(place)} forbids user "${place.user}" what Fleetgate needs: make that user its owner.`],
  ['53100', (place) => `The disk of ${at(place)} is full: free some space; service then resumes by itself.`],
  ['53300', (place) => `${at(place)} takes no more connections: raise max_connections, or run fewer nodes.`],
  ['53', (place) => `${at(place)} is short of memory: give it more; service then resumes by itself.`],
  ['54', (place) => `${at(place)} has reached one of its own limits.`],
  ['55P03', (place) => `${at(place)} is held up by a lock of another program: stop that program.`],
  ['57014', (place) => `${at(place)} took too long for a statement: look for what holds it up.`],
  ['57', (place) => `${at(place)} is stopping or starting: service resumes by itself when it is up.`],
  ['58', (place) => `${at(place)} could not read or write its files: check the disk that holds them.`],
  ['F0', (place) => `${at(place)} reports a broken configuration file: see its log.`],
  ['XX', (place) => `${at(place)} reports damaged data or an error of its own: see its log.`],
  ['08', (place) => `The connection to ${at(place)} was lost: service resumes by itself when it is back.`],
  ['25P', (place) => `${at(place)} has ended a transaction that took too long.`],
];

/** The command that makes a database as Fleetgate needs it. */
export const howToCreate = (database: string): string =>
  `CREATE DATABASE "${database.replaceAll('"', '""')}" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';`;

const ways: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'there is no such socket',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'its name cannot be resolved just now',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
};

/** The way to the server failed. */
const unreachable = (place: Place, cause: unknown): StoreUnavailable => {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const way = ways[code];
  const sentence =
    way === undefined
      ? `The connection to ${at(place)} was lost`
      : `${at(place)} cannot be reached (${way}): start it, or correct --store`;
  return new StoreUnavailable(`${sentence}; service resumes by itself when it is back.`, { cause });
};

/** The error to throw for a failed statement. */
export const errorFrom = (place: Place, error: unknown): Error => {
  if (error instanceof StoreUnavailable || isUnfit(error)) return error;
  if (!(error instanceof DatabaseError)) return unreachable(place, error);
  const code = error.code ?? '';
  const cause = new PostgresError(error.message, code);
  if (isStalePlan(error)) return unreachable(place, cause);
  const [, sentence] = worldly.find(([codes]) => code.startsWith(codes)) ?? [];
  return sentence ? new StoreUnavailable(sentence(place), { cause }) : cause;
};
