/** The query of the journal's page: records of the asker, or InvalidRequestException; and every record that a hostile peer can cause is explained. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readQuery } from '../../../src/api/rest-json.ts';
import { Fault } from '../../../src/aws/fault.ts';
import { answerJournal } from '../../../src/journal/endpoint.ts';
import { openJournal, readLimitMax } from '../../../src/journal/journal.ts';
import type { JournalRecord } from '../../../src/journal/record.ts';
import { journalMigrations } from '../../../src/journal/ring.ts';
import { migrate } from '../../../src/store/migrate.ts';
import { openStore } from '../../../src/store/sqlite.ts';
import { hold, type Target } from '../target.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const certificateId = 'ab12cd34'.repeat(8);
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const recordEvery = 8;

export default async (): Promise<Target> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-fuzz-'));
  const store = await openStore({ file: join(folder, 'journal.db'), durable: false });
  await migrate(store, journalMigrations);
  const journal = await openJournal({ store, now: Date.now });
  let asked = 0;
  /** A refusal whose every foreign text is hostile. */
  const record = (text: string): void => {
    const refusal: JournalRecord = {
      account,
      eventType: 'Connect',
      status: 'Failure',
      reason: 'AUTHORIZATION_FAILURE',
      certificateId,
      clientId: text,
      action: 'iot:Connect',
      resource: `arn:aws:iot:us-east-1:000000000000:client/${text}`,
      detail: text,
      tls: { serverName: text, alpn: [text] },
      facts: { topic: text },
    };
    journal.record(refusal);
  };
  return {
    corpus: [
      'subject=dev1&limit=20',
      'subject=ab12cd34&failures=true',
      `certificateId=${certificateId}&limit=1`,
      'clientId=dev1&last=true',
      'subject=%C3%BC%00',
    ].map((query) => Buffer.from(query)),
    dictionary: [
      'subject=',
      'clientId=',
      'certificateId=',
      '&',
      '=',
      '%',
      '%00',
      '%ff',
      "'",
      '"',
      '\\',
      '*',
      '_',
      ' OR 1=1',
      '__proto__',
    ],
    bytesMax: 4_096,
    async run(input) {
      const text = input.toString('latin1');
      if (asked++ % recordEvery === 0) record(input.toString('utf8'));
      try {
        const query = new URLSearchParams([...readQuery(text)]);
        const { records } = await answerJournal(journal, { query, account, development: false, apiUrl: 'http://x' });
        hold(records.length <= readLimitMax, 'an answer is bounded');
        for (const { sentence, cure, commands } of records) {
          hold(
            ![sentence, cure, ...commands].some((line) => controls.test(line)),
            'nothing that a terminal obeys is told',
          );
        }
        return records.length === 0 ? 'none' : 'records';
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        hold(/^(InvalidRequest|Serialization)Exception$/.test(error.name), 'a bad query is the asker’s mistake');
        return error.name;
      }
    },
    async close() {
      await journal.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
