/**
 * Rights of clients on reserved topics (everything that starts with `$`): the table of spec gateway.md 6. A slice that answers a request
 * topic will be found here by its row; until then a request is refused as not available, by the name of the feature.
 */

/** `{a,b}` = one of these levels, `*` = any one level, a last `**` = one level or more. `P` publish, `S` subscribe. */
const rows: readonly (readonly [pattern: string, rights: 'P' | 'S' | 'PS', feature: string])[] = [
  ['$aws/things/*/shadow/{get,update,delete}', 'PS', 'shadows'],
  ['$aws/things/*/shadow/{get,update,delete}/{accepted,rejected}', 'S', 'shadows'],
  ['$aws/things/*/shadow/update/{delta,documents}', 'S', 'shadows'],
  ['$aws/things/*/shadow/name/*/{get,update,delete}', 'PS', 'shadows'],
  ['$aws/things/*/shadow/name/*/{get,update,delete}/{accepted,rejected}', 'S', 'shadows'],
  ['$aws/things/*/shadow/name/*/update/{delta,documents}', 'S', 'shadows'],
  ['$aws/things/*/jobs/{get,start-next}', 'P', 'jobs'],
  ['$aws/things/*/jobs/{get,start-next}/{accepted,rejected}', 'S', 'jobs'],
  ['$aws/things/*/jobs/*/{get,update}', 'P', 'jobs'],
  ['$aws/things/*/jobs/*/{get,update}/{accepted,rejected}', 'S', 'jobs'],
  ['$aws/things/*/jobs/{notify,notify-next}', 'S', 'jobs'],
  ['$aws/certificates/{create,create-from-csr}/{json,cbor}', 'P', 'fleet provisioning'],
  ['$aws/certificates/{create,create-from-csr}/{json,cbor}/{accepted,rejected}', 'S', 'fleet provisioning'],
  ['$aws/provisioning-templates/*/provision/{json,cbor}', 'P', 'fleet provisioning'],
  ['$aws/provisioning-templates/*/provision/{json,cbor}/{accepted,rejected}', 'S', 'fleet provisioning'],
  ['$aws/rules/**', 'P', 'rules'],
  ['$aws/events/**', 'S', 'events'],
  ['$aws/things/*/tunnels/notify', 'S', 'tunnels'],
  ['$aws/things/*/defender/metrics/*', 'P', 'defender'],
  ['$aws/things/*/defender/metrics/*/{accepted,rejected}', 'S', 'defender'],
  ['$aws/things/*/streams/*/{get,describe}/*', 'P', 'streams'],
  ['$aws/things/*/streams/*/{data,description,rejected}/*', 'S', 'streams'],
];

interface Row {
  readonly levels: readonly (readonly string[])[];
  readonly publish: boolean;
  readonly subscribe: boolean;
  readonly feature: string;
}
const alternatives = (level: string): readonly string[] =>
  level.startsWith('{') ? level.slice(1, -1).split(',') : [level];
const table: readonly Row[] = rows.map(([pattern, rights, feature]) => ({
  // A comma list holds no slash, so levels can be split first.
  levels: pattern.split('/').map(alternatives),
  publish: rights.includes('P'),
  subscribe: rights.includes('S'),
  feature,
}));

const meets = (row: readonly string[], level: string): boolean =>
  level === '+' || row[0] === '*' || row.includes(level);

/** Some topic is matched by both the row and the filter (a topic is a filter without wildcards). */
const overlap = (row: Row, levels: readonly string[]): boolean => {
  for (const [index, expected] of row.levels.entries()) {
    if (expected[0] === '**') return levels.length > index;
    const level = levels[index];
    if (level === '#') return true;
    if (level === undefined || !meets(expected, level)) return false;
  }
  return levels.length === row.levels.length;
};

/**
 * What a publish to a topic meets. `open`: not reserved. `ingest`: Basic Ingest, a rule by name. `request`: a request that a feature
 * answers. `service`: only the service itself publishes there. `closed`: reserved without a use.
 */
export type TopicUse =
  | { readonly use: 'open' | 'service' | 'closed' }
  | { readonly use: 'ingest'; readonly ruleName: string }
  | { readonly use: 'request'; readonly feature: string };

/** What the dialect decides about reserved topics. */
export interface ReservedRules {
  /** Topics that begin with `$` are ordinary ones, but for a few. */
  readonly dollarTopics: boolean;
}
const awsRules: ReservedRules = { dollarTopics: false };

const open: TopicUse = { use: 'open' };
const service: TopicUse = { use: 'service' };
const closed: TopicUse = { use: 'closed' };

/** Begins with `$`; in a dialect where such topics are ordinary, only those of the service, of `$SYS` and of shares are reserved. */
export const isReserved = (topic: string, { dollarTopics }: ReservedRules = awsRules): boolean =>
  topic.startsWith('$') && (!dollarTopics || /^\$(?:aws|SYS|share)(?:\/|$)/.test(topic));

export const useOfTopic = (topic: string, rules = awsRules): TopicUse => {
  if (!isReserved(topic, rules)) return open;
  const levels = topic.split('/');
  const matching = table.filter((row) => overlap(row, levels));
  const request = matching.find((row) => row.publish);
  if (request === undefined) return matching.length > 0 ? service : closed;
  if (request.feature !== 'rules') return { use: 'request', feature: request.feature };
  return levels.length > 3 ? { use: 'ingest', ruleName: levels[2] ?? '' } : closed;
};

/** A client may subscribe to this (unshared) filter, subject to its policy: it reaches something that clients may read. */
export const isSubscribable = (filter: string, rules = awsRules): boolean => {
  if (!isReserved(filter, rules)) return true;
  const levels = filter.split('/');
  return table.some((row) => row.subscribe && overlap(row, levels));
};
