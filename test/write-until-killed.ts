/**
 * A process for tests to kill: `node write-until-killed.ts <file> <prefix>`. Sixteen writers put pairs of rows into the table `pairs`, each
 * pair in one unit, and print the pair's name once it is acknowledged.
 */
import { sql } from 'kysely';
import { openStore } from '../src/store/sqlite.ts';

const [file = '', prefix = ''] = process.argv.slice(2);
const store = await openStore({ file });
await store.write((db) => sql`create table if not exists pairs (half text primary key, filler text)`.execute(db));

const writeForever = async (writer: number): Promise<never> => {
  for (let count = 0; ; count++) {
    const pair = `${prefix}.${writer}.${count}`;
    await store.write(async (db) => {
      await sql`insert into pairs values (${`${pair}-left`}, 'x')`.execute(db);
      await sql`insert into pairs values (${`${pair}-right`}, 'x')`.execute(db);
    });
    process.stdout.write(`${pair}\n`);
  }
};
await Promise.all(Array.from({ length: 16 }, (_, writer) => writeForever(writer)));
