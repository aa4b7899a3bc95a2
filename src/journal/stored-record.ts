/**
 * The border of the journal. What comes in was written by clients that may be hostile: every foreign string is cut to a bound and freed of
 * control characters here, once, so that whatever reads the journal later (a terminal, a log, a page) reads plain text.
 */
import type { WeighedStatement } from '../aws/decision.ts';
import type { ChainEntry, DomainFacts, JournalRecord, ProvisioningStep, TlsFacts } from './record.ts';
import { unprintable } from './shell.ts';

/** A record as it is kept and read. Its strings are plain text: bounded, without control characters. */
export interface StoredRecord extends JournalRecord {
  /** A UUID; the log's traceId. */
  readonly id: string;
  /** When it happened first, and last. */
  readonly atMs: number;
  readonly lastAtMs: number;
  /** How often the same happened again after the first time. */
  readonly repeats: number;
  /** Grows with every record and repeat of this node, also across restarts: the order of reading. */
  readonly sequence: number;
  /** Fields whose text is not what was received (cut or escaped): no command may be built from them. */
  readonly altered?: readonly string[];
  /** Weighed statements that were left out because of `weighedStatementsMax`. */
  readonly statementsOmitted?: number;
}

/** Characters of one foreign string; the rest is cut and an ellipsis shows it. */
export const foreignCharactersMax = 512;
/** Characters of one fact: ten policy names of 128 characters fit (spec policy.md 1). */
export const factCharactersMax = 1536;
/** Certificates of a received chain that are kept. */
export const chainEntriesMax = 4;
/** ALPN names, unresolved variables, facts. */
export const listEntriesMax = 16;
/** Statements kept per record; the deciding one and those that came close are kept first. */
export const weighedStatementsMax = 40;
/** Steps of a provisioning that are kept: ten policies, found and attached, fit. Of more the last ones are. */
export const stepsMax = 40;
/** Characters of a leaf PEM; a longer one is not kept. An RSA-4096 certificate needs about 2500. */
export const leafPemCharactersMax = 16_384;
/** Characters of the fact `decidingDocument`; a longer one is not kept. A policy document has at most 2048 that are not blank (spec policy.md 1). */
export const documentCharactersMax = 16_384;
/** The same of the fact `correctedInput`: whoever may call can fill it. Ten ARNs and fifty tags as people write them fit. */
export const inputCharactersMax = 8192;

const everyUnprintable = new RegExp(unprintable.source, 'gu');
const escapeUnit = (code: number): string => `\\u${code.toString(16).padStart(4, '0')}`;
const escapeOne = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : escapeUnit(code);
};

/** A key, or a certificate, that somebody has put where a name belongs; also without its end. */
const everyPem = /-----BEGIN.*?(?:-----END[^-]*-----|$)/gs;

/** `text` without anything that moves a cursor, changes a colour or turns the reading direction: such characters appear as `\u001b`; and without PEM. */
export const plainText = (text: string, charactersMax = foreignCharactersMax): string => {
  const cut = text.length > charactersMax ? text.slice(0, charactersMax).replace(/[\ud800-\udbff]$/, '') : text;
  const escaped = cut.replace(everyPem, '(PEM)').replace(everyUnprintable, escapeOne);
  return cut.length < text.length ? `${escaped}...` : escaped;
};

const pemShape = /^-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*$/;

const plainLeaf = (pem: string | undefined): string | undefined =>
  pem !== undefined && pem.length <= leafPemCharactersMax && pemShape.test(pem)
    ? `${pem.replaceAll('\r', '').trimEnd()}\n`
    : undefined;

/** JSON on one line in which every character can be printed: the others stand as JSON's own escapes, so that nothing of the value is lost. */
export const printableJson = (value: unknown): string =>
  JSON.stringify(value).replace(everyUnprintable, (character) =>
    Array.from({ length: character.length }, (_, unit) => escapeUnit(character.charCodeAt(unit))).join(''),
  );

/** Facts that are JSON, kept whole or not at all: their bounds, as they came and as they are kept. */
const documentFacts: ReadonlyMap<string, number> = new Map([
  ['decidingDocument', documentCharactersMax],
  ['correctedInput', inputCharactersMax],
]);

/** A policy document, or the input of a call, on one line; empty when it is no JSON, too long, or holds PEM. */
const plainDocument = (text: string, charactersMax: number): string => {
  if (text.length > charactersMax) return '';
  try {
    const json = printableJson(JSON.parse(text));
    return json.length > charactersMax || json.includes('-----BEGIN') ? '' : json;
  } catch {
    return '';
  }
};

/** Leaves absent members absent, as exactOptionalPropertyTypes wants it. */
const present = <T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } => {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(members)) if (value !== undefined) kept[name] = value;
  // A loop over entries forgets the member types that it has just made true.
  return kept as { [K in keyof T]: Exclude<T[K], undefined> };
};

const plainChain = (chain: readonly ChainEntry[]): readonly ChainEntry[] =>
  chain.slice(0, chainEntriesMax).map((entry) => ({
    fingerprint: plainText(entry.fingerprint),
    subject: plainText(entry.subject),
    issuer: plainText(entry.issuer),
    notBeforeMs: entry.notBeforeMs,
    notAfterMs: entry.notAfterMs,
  }));

const plainDomain = ({ name, serverCertificate, ...settings }: DomainFacts): DomainFacts => ({
  ...settings,
  name: plainText(name),
  ...(serverCertificate && {
    serverCertificate: {
      arn: plainText(serverCertificate.arn),
      issuer: plainText(serverCertificate.issuer),
      root: serverCertificate.root,
    },
  }),
});

const plainTls = (tls: TlsFacts): TlsFacts =>
  present({
    serverName: tls.serverName === undefined ? undefined : plainText(tls.serverName),
    domain: tls.domain && plainDomain(tls.domain),
    alpn: tls.alpn?.slice(0, listEntriesMax).map((name) => plainText(name)),
    version: tls.version === undefined ? undefined : plainText(tls.version),
    resumed: tls.resumed,
    chain: tls.chain && plainChain(tls.chain),
    leafPem: plainLeaf(tls.leafPem),
    failure: tls.failure === undefined ? undefined : plainText(tls.failure),
  }) as TlsFacts;

const nearness = { matched: 0, unresolved: 1, condition: 1, resource: 2, action: 3 } as const;

/** Keeps the deciding statement, then those that came closest to matching; in their own order again. */
const chooseStatements = (statements: readonly WeighedStatement[], decidedBy: number | undefined) => {
  if (statements.length <= weighedStatementsMax) return { kept: statements, decidedBy };
  const ranks = statements.map((statement, index) => (index === decidedBy ? -1 : nearness[statement.outcome]));
  const order = [...statements.keys()].sort((a, b) => (ranks[a] ?? 0) - (ranks[b] ?? 0) || a - b);
  const indexes = order.slice(0, weighedStatementsMax).sort((a, b) => a - b);
  return {
    kept: indexes.map((index) => statements[index]).filter((statement) => statement !== undefined),
    decidedBy: decidedBy === undefined ? undefined : indexes.indexOf(decidedBy),
  };
};

const plainStatement = (statement: WeighedStatement): WeighedStatement =>
  present({
    policyName: plainText(statement.policyName),
    policyArn: plainText(statement.policyArn),
    policyVersionId: plainText(statement.policyVersionId),
    index: statement.index,
    sid: statement.sid === undefined ? undefined : plainText(statement.sid),
    effect: statement.effect,
    outcome: statement.outcome,
    unresolved: statement.unresolved?.slice(0, listEntriesMax).map((name) => plainText(name)),
    condition: statement.condition === undefined ? undefined : plainText(statement.condition),
  }) as WeighedStatement;

const plainStep = ({ step, outcome, atMs, subject, how }: ProvisioningStep): ProvisioningStep =>
  present({
    step,
    outcome,
    atMs,
    subject: subject === undefined ? undefined : plainText(subject),
    how: how === undefined ? undefined : plainText(how),
  }) as ProvisioningStep;

/** What the journal adds to what it was told. */
export interface Stamp {
  readonly id: string;
  readonly atMs: number;
  readonly sequence: number;
}

/** Brings a record over the border. Costs time in proportion to the bounds above, whatever comes in. */
export const storedRecord = (record: JournalRecord, stamp: Stamp): StoredRecord => {
  const altered: string[] = [];
  const plain = (field: string, text: string | undefined, charactersMax = foreignCharactersMax) => {
    if (text === undefined) return undefined;
    const safe = plainText(text, charactersMax);
    if (safe !== text) altered.push(field);
    return safe;
  };
  const facts = record.facts && Object.entries(record.facts).slice(0, listEntriesMax);
  const { kept, decidedBy } = chooseStatements(record.statements ?? [], record.decidedBy);
  const omitted = (record.statements?.length ?? 0) - kept.length;
  const members = {
    id: stamp.id,
    atMs: stamp.atMs,
    lastAtMs: stamp.atMs,
    repeats: 0,
    sequence: stamp.sequence,
    account: record.account && { accountId: record.account.accountId, region: record.account.region },
    eventType: record.eventType,
    status: record.status,
    reason: record.reason,
    detail: plain('detail', record.detail),
    protocol: record.protocol,
    sourceIp: plain('sourceIp', record.sourceIp),
    sourcePort: record.sourcePort,
    tls: record.tls && plainTls(record.tls),
    certificateId: plain('certificateId', record.certificateId),
    clientId: plain('clientId', record.clientId),
    action: plain('action', record.action),
    resource: plain('resource', record.resource),
    decision: record.decision,
    statements: record.statements && kept.map(plainStatement),
    decidedBy,
    unresolved: record.unresolved?.slice(0, listEntriesMax).map((name) => plainText(name)),
    steps: record.steps?.slice(-stepsMax).map(plainStep),
    facts:
      facts &&
      Object.fromEntries(
        facts.map(([name, value]) => {
          const charactersMax = documentFacts.get(name);
          const kept =
            charactersMax === undefined
              ? plain(`facts.${name}`, value, factCharactersMax)
              : plainDocument(value, charactersMax);
          return [plainText(name), kept ?? ''];
        }),
      ),
    statementsOmitted: omitted > 0 ? omitted : undefined,
  };
  return present({ ...members, altered: altered.length > 0 ? altered : undefined }) as StoredRecord;
};
