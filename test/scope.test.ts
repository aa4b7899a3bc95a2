/**
 * Every query says whose rows it means: the account and, where the table has regions, the region. Read from the source, as tidy.test.ts does, so that one
 * that is written tomorrow is read too. Those that mean the rows of everybody stand here by name, each with its reason (design 5).
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src', import.meta.url));

/** By file and function: why it may look further than one account and region. */
const beyond: Readonly<Record<string, string>> = {
  'features/acm/due-certificates.ts listDueAccounts': 'finds whose turn it is; each is then asked for its own',
  'features/acm/due-certificates.ts listDue': 'of one account, whatever the region; each certificate tells its own',
  'features/accounts/account.ts accountCreatedAtMs': 'an account is older than any of its regions',
  'features/accounts/account.ts openAccounts':
    'the accounts themselves: how many, whose endpoint a name is, which there are',
  'features/bulk/bulk-task.ts listRunningTasks': 'the runner serves all in turn',
  'features/bulk/task-retention.ts forgetEndedBefore': 'sweeps what is old',
  'features/bulk/task-retention.ts hasRefuse': 'sweeps what is old',
  'features/bulk/task-retention.ts findForgotten': 'sweeps what is old',
  'features/cas/ca-certificate.ts findCaHolders': 'a connection without SNI names no account',
  'features/certificates/certificate.ts findHoldersOfCertificate': 'a connection without SNI names no account',
  'features/certificates/transfer.ts wasTransferred': 'the row is in the other account by now, and names this one',
  'features/domains/domain-configuration.ts findByDomainName': 'a ClientHello names a domain, and no account',
  'features/domains/domain-wildcard.ts isCoveredElsewhere': 'a domain is served once on the node',
  'features/domains/domain-configuration.ts listServing': 'follows certificates of ACM, each in its own account',
  'features/fleet/ownership-token.ts listExpiredTokens': 'sweeps what is old',
  'features/fleet/provisioning-claim.ts findClaim':
    'a connection without SNI names no account; whose it is, is part of the answer',
  'features/fleet/provisioning-claim.ts forgetExpiredClaims': 'sweeps what is old',
  'features/iam/access-key.ts keyRows': 'a signature names a key, which tells the account',
  'features/iam/access-key.ts saveKeyUses': 'a signature names a key, which tells the account',
  'features/sealed-secrets.ts holdsSealed': 'the key of the node is for all',
  'features/settings/logging.ts listRevisions': 'keeps the levels of all in memory',
  'journal/ring.ts highestSequence': 'numbers go on where they stopped',
  'mqtt/retained-rows.ts countRows': 'counts by account and region',
  'mqtt/session-pages.ts sessionPages': 'all sessions come back at the start of the node',
  'mqtt/session-pages.ts subscriptionPages': 'all sessions come back at the start of the node',
  'mqtt/session-pages.ts receiptPages': 'all sessions come back at the start of the node',
  'mqtt/session-pages.ts queuePages': 'all sessions come back at the start of the node',
  'mqtt/session-pages.ts expiredRows': 'sweeps what is old',
  'mqtt/session-store.ts disconnectAll': 'nobody is connected at the start of the node',
};

const texts = new Map(
  globSync('**/*.ts', { cwd: source })
    .filter((file) => !file.endsWith('.test.ts') && !file.startsWith('store/'))
    .sort()
    .map((file) => [file, readFileSync(join(source, file), 'utf8')]),
);

/** The columns among these two that a table has, by its name. */
const scopes = new Map<string, readonly string[]>();
for (const text of texts.values()) {
  for (const [, table = '', columns = ''] of text.matchAll(/create table (\w+) \(([^`]*?)\n *\)`/g)) {
    scopes.set(
      table,
      ['account_id', 'region'].filter((column) => new RegExp(`^ *${column} text`, 'm').test(columns)),
    );
  }
}

/** From a place to the end of its statement or argument. */
const statementAt = (text: string, from: number): string => {
  let depth = 0;
  let at = from;
  for (; at < text.length; at++) {
    const character = text[at] ?? '';
    if ('([{'.includes(character)) depth++;
    if (')]}'.includes(character)) depth--;
    if (depth < 0 || (depth === 0 && character === ';')) break;
  }
  return text.slice(from, at);
};

/** The nearest declaration of a function above: at the margin, or a method of a class there. */
const functionAt = (text: string, at: number): string => {
  const names = text
    .slice(0, at)
    .matchAll(/^(?:export )?(?:async )?(?:const|function\*?) (\w+)|^ {2}(?:async )?#?(\w+)\([^;]*?\{$/gm);
  const [, constant, method] = [...names].at(-1) ?? [];
  return constant ?? method ?? '';
};

/** Tables that a query reads, changes or deletes from, and whether it says of each whose rows. Inserts name both columns, which are not null. */
const lacksOf = (query: string): readonly string[] => {
  const lacks: string[] = [];
  for (const [, verb = '', name = ''] of query.matchAll(
    /\.(selectFrom|updateTable|deleteFrom|\w*[jJ]oin)\('?([^',)]*)/g,
  )) {
    const [table = '', alias = table] = name.split(' as ');
    for (const column of scopes.get(table) ?? ['account_id', 'region']) {
      const place = `'(${alias}\\.)?${column}'`;
      const isSaid = verb.endsWith('oin')
        ? new RegExp(`onRef\\('${alias}\\.${column}', '='`).test(query)
        : new RegExp(`(\\.where|\\beb)\\(${place}, '=', `).test(query);
      if (!isSaid) lacks.push(`${table}.${column}`);
    }
  }
  return lacks;
};

test('every query says whose rows it means, or stands in a list with its reason', () => {
  const found = new Map<string, string>();
  let queries = 0;
  for (const [file, text] of texts) {
    for (const { index } of text.matchAll(/\.(selectFrom|updateTable|deleteFrom)\(/g)) {
      queries++;
      const lacks = lacksOf(statementAt(text, index)).filter(
        (lack) => !/^(schema_migrations|task_leases)\./.test(lack),
      );
      if (lacks.length > 0) found.set(`${file} ${functionAt(text, index)}`, lacks.join(' '));
    }
  }
  assert.ok(queries > 100, `${queries} were found`);
  for (const [place, lacks] of found) assert.ok(place in beyond, `src/${place} does not ask for ${lacks}`);
  for (const place of Object.keys(beyond)) {
    const [file = ''] = place.split(' ');
    assert.ok(found.has(place) || !existsSync(join(source, file)), `${place} needs no place in the list`);
  }
});

test('so does every query that is written as SQL, once for each table that it names', () => {
  let queries = 0;
  for (const [file, text] of texts) {
    for (const [, sql = ''] of text.matchAll(/\bsql(?:<\w+>)?`([^`]*)`/g)) {
      const tables = [...sql.matchAll(/\b(?:from|join|update|into) (\w+)/g)].filter(([, table = '']) =>
        scopes.has(table),
      );
      queries += tables.length;
      for (const column of ['account_id', 'region']) {
        const said = [...sql.matchAll(new RegExp(`\\b${column} = \\$\\{`, 'g'))].length;
        assert.ok(said >= tables.length, `src/${file} asks for ${column} too seldom: ${sql}`);
      }
    }
  }
  assert.ok(queries >= 6, `${queries} were found`);
});

test('every table has an account and a region, but for those of IAM, which is one for all regions', () => {
  const lacking = [...scopes].filter(([, columns]) => columns.length < 2).map(([table]) => table);
  assert.ok(scopes.size > 20, [...scopes.keys()].join(' '));
  assert.deepEqual(
    lacking.filter((table) => !table.startsWith('iam_')),
    // of the node
    ['task_leases'],
  );
});
