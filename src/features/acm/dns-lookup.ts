/** CNAME records as DNS has them now: no cache of ours, no file of hosts, no search domains. */
import { Resolver } from 'node:dns/promises';

/** One question, with its second try. */
const lookupMsMax = 5000;
/** Records of one name that are looked at; a name has one CNAME (RFC 1034 section 3.6.2). */
const recordsMax = 10;

/** The name has no CNAME record, or there is no such name. */
const none: readonly unknown[] = ['ENODATA', 'ENOTFOUND'];

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

/**
 * Looks up the CNAME records of a name. Undefined: nobody has answered in time, or with an error. `servers`: `address:port` each; without one those of the
 * operating system, which are read at each question. `msMax`: what a question may take.
 */
export const dnsLookup =
  (servers: readonly string[] = [], msMax = lookupMsMax) =>
  async (name: string): Promise<readonly string[] | undefined> => {
    const resolver = new Resolver({ timeout: Math.floor(msMax / 3), tries: 2 });
    if (servers.length > 0) resolver.setServers([...servers]);
    const late = setTimeout(() => resolver.cancel(), msMax);
    try {
      return (await resolver.resolveCname(name)).slice(0, recordsMax);
    } catch (error) {
      return none.includes(codeOf(error)) ? [] : undefined;
    } finally {
      clearTimeout(late);
    }
  };
