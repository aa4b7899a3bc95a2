/**
 * Requests on reserved topics: an operation whose wire is a PUBLISH, answered on `.../accepted` or `.../rejected`. Here stand what a feature
 * plugs in, as types, and how a topic is found; `request.ts` has what happens to one. Source: spec provisioning.md 4.1, gateway.md 6.
 */
import type { AccountRegion } from '../aws/arn.ts';
import type { Authority, Signer } from './authority.ts';
import { useOfTopic } from './reserved.ts';

/** What a client asked, and who it is. */
export interface ClientRequest {
  readonly account: AccountRegion;
  readonly clientId: string;
  /** Who asks; its `principalId` is the certificateId, or the userId of an IAM identity. */
  readonly authority: Authority;
  /** An IAM identity. */
  readonly signer?: Signer;
  /** Absent for an IAM identity. */
  readonly certificateId?: string;
  readonly source: { readonly ip: string; readonly port: number };
  /** When its connection was accepted. */
  readonly connectedAtMs: number;
  readonly topic: string;
  /** The levels that the pattern leaves open, by label. */
  readonly labels: Readonly<Record<string, string>>;
  /** A copy, at most `payloadBytesMax`. */
  readonly payload: Buffer;
}

export interface RequestReply {
  /** The level that the reply's topic has beyond the request's. */
  readonly outcome: 'accepted' | 'rejected';
  readonly payload: Uint8Array;
}

/** Why nobody looked at a request, or not to the end: too many of them wait, or `answer` broke by a fault of ours. */
export type Excuse = 'throttled' | 'failed';

/** A topic on which clients ask. */
export interface RequestTopic {
  /** Levels, of which `{label}` stands for any one: `$aws/certificates/create/{format}`. */
  readonly pattern: string;
  /** Resolves when what was asked is done and durable, or refused. A refusal is a reply too; it rejects for faults of ours alone. */
  answer(request: ClientRequest): Promise<RequestReply>;
  excuse(request: ClientRequest, why: Excuse): RequestReply;
}

/** A topic that somebody answers. */
export interface Asked {
  readonly topic: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly handler: RequestTopic;
}

interface Pattern {
  readonly levels: readonly string[];
  readonly handler: RequestTopic;
}

const labelOf = (level: string): string | undefined => /^\{(\w+)\}$/.exec(level)?.[1];

const overlap = ({ levels: a }: Pattern, { levels: b }: Pattern): boolean =>
  a.length === b.length &&
  a.every(
    (level, index) => level === b[index] || labelOf(level) !== undefined || labelOf(b[index] ?? '') !== undefined,
  );

/** The topics that features answer. */
export class RequestTopics {
  readonly #patterns: readonly Pattern[];

  /** Faults: Error for a pattern whose topics nobody may publish on, and for two of which one topic meets both. */
  constructor(handlers: readonly RequestTopic[]) {
    this.#patterns = handlers.map((handler) => ({ levels: handler.pattern.split('/'), handler }));
    for (const [index, pattern] of this.#patterns.entries()) {
      const { levels, handler } = pattern;
      // a label of several words, `{json,cbor}` in the table, is met by one of them
      const example = levels
        .map((level) => (labelOf(level) === 'format' ? 'json' : (labelOf(level) ?? level)))
        .join('/');
      if (useOfTopic(example).use !== 'request') throw new Error(`${handler.pattern} is no topic for requests`);
      const twin = this.#patterns.slice(0, index).find((other) => overlap(other, pattern));
      if (twin !== undefined) throw new Error(`Two features answer ${handler.pattern}: also ${twin.handler.pattern}`);
    }
  }

  find(topic: string): Asked | undefined {
    const given = topic.split('/');
    for (const { levels, handler } of this.#patterns) {
      if (levels.length !== given.length) continue;
      const labels: Record<string, string> = {};
      const meets = levels.every((level, index) => {
        const label = labelOf(level);
        if (label !== undefined) labels[label] = given[index] ?? '';
        return label !== undefined || level === given[index];
      });
      if (meets) return { topic, labels, handler };
    }
    return undefined;
  }
}
