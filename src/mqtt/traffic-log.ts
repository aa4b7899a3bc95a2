/**
 * The log of one connection's traffic, or of one session that is offline. While none of it is wanted, which is the usual case, a packet costs one
 * comparison of integers: `if (log.quietAt !== logs.revision) log.write(...)`. The first packet after a change of any logging level asks anew.
 */
import type { AccountRegion } from '../aws/arn.ts';
import type { EventLogs, LogEntry, LogSubject } from '../journal/log-event.ts';

/** Whose traffic it is. */
export interface TrafficSubject extends LogSubject {
  readonly account: AccountRegion;
  readonly sourcePort?: number | undefined;
}

export class TrafficLog {
  /** The revision of the levels at which nothing was wanted; -1 = ask. */
  quietAt = -1;
  readonly #logs: EventLogs;
  readonly #subject: TrafficSubject;
  #askedAt = -1;

  constructor(logs: EventLogs, subject: TrafficSubject) {
    this.#logs = logs;
    this.#subject = subject;
  }

  /** Writes one event of the traffic if the levels ask for it. */
  write(entry: Pick<LogEntry, 'eventType' | 'topicName' | 'reason' | 'details' | 'more'> & Partial<LogEntry>): void {
    const { account, ...subject } = this.#subject;
    const { revision } = this.#logs;
    if (this.#askedAt !== revision) {
      this.#askedAt = revision;
      this.quietAt = this.#logs.wantsTraffic(account, subject) ? -1 : revision;
    }
    if (this.quietAt !== revision)
      this.#logs.log(account, { status: 'Success', protocol: 'MQTT', ...subject, ...entry });
  }
}
