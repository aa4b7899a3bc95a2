/**
 * A process for tests to kill: `node overwrite-until-killed.ts <file>`. It writes over rows of a store that is not worth an fsync, without end, and prints a
 * line after each hundred kilobytes.
 */
import { openStore } from '../src/store/sqlite.ts';

const [file = ''] = process.argv.slice(2);
const store = await openStore({ file, durable: false });
await store.append([{ sql: 'create table if not exists rows (place integer primary key, text text)', parameters: [] }]);
const overwrite = {
  sql: 'insert or replace into rows values (abs(random()) % 3000, ?)',
  parameters: ['x'.repeat(1000)],
};
for (;;) {
  await store.append(Array(100).fill(overwrite));
  process.stdout.write('written\n');
}
