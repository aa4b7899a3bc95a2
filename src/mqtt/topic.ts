/** Topics (names) and topic filters (patterns): what is well formed, and AWS's limits on them. Source: spec gateway.md 5.5, 5.6, 5.10, 12. */

/** Bounds that `limitOf` judges by; a part of config's Limits. */
export interface TopicLimits {
  readonly topicBytesMax: number;
  readonly topicSlashesMax: number;
}

/** Longest ShareName of a shared subscription, characters (spec gateway.md 12). */
export const shareNameCharsMax = 128;

/** What is wrong with a topic name; undefined = nothing. MQTT 5.0 4.7. */
export const faultOfTopic = (topic: string): string | undefined => {
  if (topic === '') return 'empty topic';
  return /[+#]/.test(topic) ? 'wildcard in a topic' : undefined;
};

/** What is wrong with a topic filter: wildcards must fill a level, `#` the last one [MQTT-4.7.1-1, MQTT-4.7.1-2]. */
export const faultOfFilter = (filter: string): string | undefined => {
  if (filter === '') return 'empty topic filter';
  const levels = filter.split('/');
  const last = levels.length - 1;
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== last)) return '# is not the whole last level';
    if (level.includes('+') && level !== '+') return '+ is not a whole level';
  }
  return undefined;
};

/** Whether an unshared filter matches a topic. For one of each: many at once are looked up in `Subscriptions`. */
export const matchesFilter = (filter: string, topic: string, hashMatchesParent: boolean): boolean => {
  const levels = topic.split('/');
  const pattern = filter.split('/');
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false; // [MQTT-4.7.2-1]
  for (const [index, expected] of pattern.entries()) {
    if (expected === '#') return levels.length > index || hashMatchesParent;
    if (index >= levels.length || (expected !== '+' && expected !== levels[index])) return false;
  }
  return pattern.length === levels.length;
};

/** A shared subscription `$share/{shareName}/{filter}` taken apart. */
export interface SharedFilter {
  readonly shareName: string;
  readonly filter: string;
}

/** Undefined for a filter that is not shared; a string says what is wrong with one that is. */
export const parseShared = (filter: string): SharedFilter | string | undefined => {
  if (filter !== '$share' && !filter.startsWith('$share/')) return undefined;
  const slash = filter.indexOf('/', 7);
  const shareName = filter.slice(7, slash < 0 ? undefined : slash);
  if (shareName === '' || slash < 0 || /[+#]/.test(shareName)) return 'malformed ShareName'; // [MQTT-4.8.2-1, MQTT-4.8.2-2]
  return { shareName, filter: filter.slice(slash + 1) };
};

/** The part of a topic that the limits count: Basic Ingest topics without `$aws/rules/{rule}/`. */
const counted = (topic: string): string => {
  if (!topic.startsWith('$aws/rules/')) return topic;
  const slash = topic.indexOf('/', 11);
  return slash < 0 ? topic : topic.slice(slash + 1);
};

/** The limit that a topic or an unshared filter breaks, by its name; undefined = none. */
export const limitOf = (topic: string, limits: TopicLimits): keyof TopicLimits | undefined => {
  const part = counted(topic);
  if (Buffer.byteLength(part) > limits.topicBytesMax) return 'topicBytesMax';
  let slashes = 0;
  for (let at = part.indexOf('/'); at >= 0; at = part.indexOf('/', at + 1)) slashes++;
  return slashes > limits.topicSlashesMax ? 'topicSlashesMax' : undefined;
};

/** The limit that the topic of a retained message breaks beyond those of every topic, by its name; undefined = none. */
export const retainedLimitOf = (
  topic: string,
  { retainedTopicBytesMax }: { readonly retainedTopicBytesMax: number },
): 'retainedTopicBytesMax' | undefined =>
  Buffer.byteLength(topic) > retainedTopicBytesMax ? 'retainedTopicBytesMax' : undefined;
