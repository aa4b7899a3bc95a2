/** The store on PostgreSQL against the world: what it refuses to start on, lost connections, collisions, bounds. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { freshDatabase, sharedPostgres } from '../../test/postgres.ts';
import { openPostgresStore, type PostgresOptions, type PostgresStore } from './postgres.ts';
import { type Db, StoreUnavailable } from './store.ts';

const openAt = async (t: TestContext, options: PostgresOptions): Promise<PostgresStore> => {
  const store = await openPostgresStore(options);
  t.after(() => store.close());
  return store;
};
const open = async (t: TestContext, options: Partial<PostgresOptions> = {}): Promise<PostgresStore> => {
  const store = await openAt(t, { url: await freshDatabase(), ...options });
  await store.write((db) => sql`create table counts (name text primary key, amount bigint not null)`.execute(db));
  await store.write((db) => sql`insert into counts values ('a', 0), ('b', 0)`.execute(db));
  return store;
};
const amountOf = async (db: Db, name: string): Promise<number> => {
  const { rows } = await sql<{ amount: number }>`select amount from counts where name = ${name}`.execute(db);
  return rows[0]?.amount ?? Number.NaN;
};
const setAmount = (db: Db, name: string, amount: number) =>
  sql`update counts set amount = ${amount} where name = ${name}`.execute(db);
const increment = async (db: Db): Promise<void> => {
  await setAmount(db, 'a', (await amountOf(db, 'a')) + 1);
};
const many = <T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));
const until = async (so: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await so())) await new Promise(setImmediate);
};
/** Ends every connection to this store's database but our own, as an operator or a restart would. */
const endConnections = async (url: string): Promise<void> => {
  const { sql: ask } = await sharedPostgres();
  const database = new URL(url).pathname.slice(1);
  await ask(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`);
};

const badCollations: readonly (readonly [creation: string, told: RegExp])[] = [
  [
    `template template0 lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8'`,
    /sorts text by the collation C\.UTF-8 instead of C, .*CREATE DATABASE "(\w+)" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';$/,
  ],
  [`template template0 encoding 'SQL_ASCII'`, /has the encoding SQL_ASCII instead of UTF8/],
  [`template template0 locale_provider icu icu_locale 'en'`, /sorts text by the collation \S+ instead of C/],
];
for (const [index, [creation, told]] of badCollations.entries()) {
  test(`a database made with ${creation} is refused with the command that makes a right one (design 2.4)`, async () => {
    const { sql: ask, url } = await sharedPostgres();
    const name = `wrong${process.pid}_${index}`;
    await ask(`create database ${name} ${creation}`);
    await assert.rejects(openPostgresStore({ url: url(name) }), { name: 'StoreUnavailable', message: told });
    const right = await openPostgresStore({ url: await freshDatabase() });
    await right.close();
  });
}

test('the command that is told makes a database which is accepted', async (t) => {
  const { sql: ask, url } = await sharedPostgres();
  const name = `made${process.pid}`;
  const refusal = await openPostgresStore({ url: url(name) }).catch((error: unknown) => error);
  assert.ok(refusal instanceof StoreUnavailable);
  const [command] = /CREATE DATABASE .*;$/.exec(refusal.message) ?? assert.fail(refusal.message);
  await ask(command);
  await openAt(t, { url: url(name) });
});

const unreachable: readonly (readonly [url: string, told: RegExp])[] = [
  ['postgres://fleetgate:hunter2@127.0.0.1:1/fleet', /^PostgreSQL at 127\.0\.0\.1:1, .*nothing listens there/],
  ['postgres://fleetgate:hunter2@/fleet?host=/nowhere', /^PostgreSQL at \/nowhere, .*no such socket/],
  ['postgres://fleetgate:hunter2@no.such.host.invalid/fleet', /cannot be reached/],
  ['postgres://fleetgate:hunter2@localhost:port/fleet', /cannot be understood/],
];
for (const [url, told] of unreachable) {
  test(`a server that cannot be reached is told without its password: ${url}`, async () => {
    await assert.rejects(openPostgresStore({ url }), (error: unknown) => {
      assert.ok(error instanceof StoreUnavailable);
      assert.match(error.message, told);
      for (let each: unknown = error; each instanceof Error; each = each.cause)
        assert.ok(!`${each.stack}${JSON.stringify(each)}`.includes('hunter2'));
      return true;
    });
  });
}

test('a user who may not log in, and one who may not make the schema, are told so', async () => {
  const { sql: ask, url } = await sharedPostgres();
  const [guest, database] = [`guest${process.pid}`, `guests${process.pid}`];
  await ask(`create database ${database}`);
  const asGuest = url(database).replace('fleetgate@', `${guest}@`);
  await assert.rejects(openPostgresStore({ url: asGuest }), {
    name: 'StoreUnavailable',
    message: /does not let user "guest/,
  });
  await ask(`create role ${guest} login`);
  await assert.rejects(openPostgresStore({ url: asGuest }), {
    name: 'StoreUnavailable',
    message: /make that user its owner/,
  });
  await ask(`alter database ${database} owner to ${guest}`);
  await (await openPostgresStore({ url: asGuest })).close();
});

test('units that collide are run again until each has had its turn, and none is lost', async (t) => {
  const url = await freshDatabase();
  const store = await open(t, { url });
  const second = await openAt(t, { url });
  await many(150, (index) => (index % 2 ? store : second).write(increment));
  assert.equal(await amountOf(store.db, 'a'), 150);
  assert.ok(store.collisions + second.collisions > 0, 'they did collide');
});

test('two units that each read what the other writes are not both done on what they read (write skew)', async (t) => {
  const store = await open(t);
  /** Both rows may be 1 at most together: each looks at the other before it takes its own. */
  const take = (own: string, other: string) =>
    store.write(async (db) => {
      if ((await amountOf(db, other)) > 0) return false;
      await setAmount(db, own, 1);
      return true;
    });
  for (let round = 0; round < 20; round++) {
    await store.write(async (db) => {
      await setAmount(db, 'a', 0);
      await setAmount(db, 'b', 0);
    });
    const taken = await Promise.all([take('a', 'b'), take('b', 'a')]);
    assert.deepEqual(taken.sort(), [false, true], `round ${round}`);
  }
});

test('a unit that stands in the way of another for ever is overcome by running that one alone', async (t) => {
  const store = await open(t);
  let attempts = 0;
  const running = new Set<string>();
  let others = 0;
  const stop = new AbortController();
  const disturb = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await store.write(async (db) => {
        await increment(db);
      });
      others++;
    }
  };
  const disturbing = many(6, disturb);
  await until(() => others > 10);
  const value = await store.write(async (db) => {
    attempts++;
    running.add('slow');
    const before = await amountOf(db, 'a');
    // long enough for others to commit in between, unless they are held up
    for (let turn = 0; turn < 20; turn++) await sql`select pg_sleep(0.002)`.execute(db);
    await setAmount(db, 'a', before + 1);
    return before + 1;
  });
  stop.abort();
  await disturbing;
  assert.ok(attempts > 1 && attempts <= 5, `${attempts} attempts`);
  assert.equal(await amountOf(store.db, 'a'), others + 1);
  assert.ok(value > 0);
});

test('a unit that is asked to run alone finds no other one under way', async (t) => {
  const store = await open(t);
  let [inside, together, wrong] = [0, 0, 0];
  const ordinary = () =>
    store.write(async (db) => {
      await sql`select 1`.execute(db);
      inside++;
      await sql`select pg_sleep(0.001)`.execute(db);
      together = Math.max(together, inside);
      inside--;
    });
  const alone = () =>
    store.write(
      async (db) => {
        await sql`select 1`.execute(db);
        if (inside > 0) wrong++;
        await sql`select pg_sleep(0.005)`.execute(db);
        if (inside > 0) wrong++;
      },
      { alone: true },
    );
  await many(60, (index) => (index % 6 === 3 ? alone() : ordinary()));
  assert.equal(wrong, 0);
  assert.ok(together > 1, 'ordinary units do run side by side');
});

test('connections that were ended while idle are replaced: neither reads nor units notice', async (t) => {
  const url = await freshDatabase();
  const store = await open(t, { url });
  for (let round = 0; round < 5; round++) {
    await endConnections(url);
    const [, amount] = await Promise.all([store.write(increment), amountOf(store.db, 'b')]);
    assert.equal(amount, 0);
  }
  assert.equal(await amountOf(store.db, 'a'), 5);
});

test('a unit whose connection is ended in the middle is run again on another one, once', async (t) => {
  const url = await freshDatabase();
  const store = await open(t, { url });
  let attempts = 0;
  await store.write(async (db) => {
    attempts++;
    await increment(db);
    if (attempts === 1) await sql`select pg_terminate_backend(pg_backend_pid())`.execute(db);
  });
  assert.equal(attempts, 2);
  assert.equal(await amountOf(store.db, 'a'), 1);
  const doomed = store.write(async (db) => {
    attempts++;
    await sql`select pg_terminate_backend(pg_backend_pid())`.execute(db);
  });
  await assert.rejects(doomed, { name: 'StoreUnavailable', message: /resumes by itself/ });
  assert.equal(attempts, 4);
  assert.equal(store.writable, false);
  await until(() => store.writable); // the store's own probe
});

/** A server in front of PostgreSQL that can be told to swallow the answer to a commit, to spoil the begin before a statement, or to be gone. */
const startProxy = async (t: TestContext, url: string) => {
  const socketFolder = new URL(url).searchParams.get('host') ?? '';
  let mode: 'open' | 'lose commits' | 'spoil begins' | 'hang' = 'open';
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(`${socketFolder}/.s.PGSQL.5432`);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
    }
    let losing = false;
    near.on('data', (chunk) => {
      losing ||= mode === 'lose commits' && chunk.includes('commit\0');
      // of the same length, and refused by the parser: nothing of that message is done
      if (mode === 'spoil begins') far.write(Buffer.from(chunk.toString('latin1').replace('begin', 'xxxxx'), 'latin1'));
      else if (mode !== 'hang') far.write(chunk);
    });
    far.on('data', (chunk) => {
      if (losing) near.destroy();
      else if (mode !== 'hang') near.write(chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const { pathname, username } = new URL(url);
  return {
    url: `postgres://${username}@127.0.0.1:${port}${pathname}`,
    become(next: typeof mode) {
      mode = next;
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async closePort() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
    async openPort() {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
  };
};

test('a commit whose answer is lost is neither a success nor tried again: whoever asked is told that it may have happened', async (t) => {
  const direct = await freshDatabase();
  const proxy = await startProxy(t, direct);
  const store = await open(t, { url: proxy.url });
  proxy.become('lose commits');
  let attempts = 0;
  const ambiguous = store.write(async (db) => {
    attempts++;
    await increment(db);
  });
  await assert.rejects(ambiguous, { name: 'StoreUnavailable', message: /it may have happened or not/ });
  assert.equal(attempts, 1);
  assert.equal(store.writable, false);
  await assert.rejects(store.append([{ sql: `update counts set amount = 7 where name = 'b'`, parameters: [] }]), {
    name: 'StoreUnavailable',
    message: /it may have happened or not/,
  });
  proxy.become('open');
  await until(() => store.writable);
  assert.equal(await amountOf(store.db, 'a'), 1, 'here it had happened');
});

test('while the server is gone every read and write fails at once with a sentence; when it is back, all work without a restart', async (t) => {
  const proxy = await startProxy(t, await freshDatabase());
  const store = await open(t, { url: proxy.url });
  await proxy.closePort();
  for (let round = 0; round < 3; round++) {
    const refusal = { name: 'StoreUnavailable', message: /resumes by itself/ };
    await assert.rejects(store.write(increment), refusal);
    await assert.rejects(amountOf(store.db, 'a'), refusal);
    await assert.rejects(store.append([{ sql: 'select 1', parameters: [] }]), refusal);
    assert.equal(store.writable, false);
  }
  await proxy.openPort();
  await until(() => store.writable);
  await store.write(increment);
  assert.equal(await amountOf(store.db, 'a'), 1);
});

test('a server that takes connections and says nothing costs no longer than the bound', async (t) => {
  const proxy = await startProxy(t, await freshDatabase());
  const store = await open(t, { url: proxy.url, acquireMs: 300 });
  proxy.cut();
  proxy.become('hang');
  const start = performance.now();
  await assert.rejects(store.write(increment), StoreUnavailable);
  await assert.rejects(amountOf(store.db, 'a'), StoreUnavailable);
  assert.ok(performance.now() - start < 5000);
  proxy.become('open');
  proxy.cut();
  await until(() => store.writable);
});

test('whoever finds all connections busy waits in turn, and no longer than acquireMs', async (t) => {
  const store = await open(t, { poolMax: 2, acquireMs: 200 });
  const held = Promise.withResolvers<void>();
  let started = 0;
  const hold = () =>
    store.write(async (db) => {
      started++;
      while (started < 100) await sql`select pg_sleep(0.005)`.execute(db);
    });
  const holding = [hold(), hold()];
  await until(() => started === 2);
  await assert.rejects(store.write(increment), { name: 'StoreUnavailable', message: /All 2 connections .* 200 ms/ });
  assert.equal(await amountOf(store.db, 'a'), 0, 'readers have connections of their own');
  started = 100;
  await Promise.all(holding);
  held.resolve();
  const order: number[] = [];
  await many(20, (index) =>
    store
      .write(async (db) => {
        await sql`select 1`.execute(db);
      })
      .then(() => order.push(index)),
  );
  assert.equal(order.length, 20);
});

test('a statement that takes too long is ended, and its unit with it', async (t) => {
  const store = await open(t, { statementMs: 100 });
  await assert.rejects(
    store.write((db) => sql`select pg_sleep(30)`.execute(db)),
    { name: 'StoreUnavailable', message: /took too long/ },
  );
  await assert.rejects(sql`select pg_sleep(30)`.execute(store.db), StoreUnavailable);
  await store.write(increment);
});

test('a table that another node has changed does not break what was prepared before (rolling upgrade)', async (t) => {
  const store = await open(t);
  const read = () => sql`select * from counts where name = ${'a'}`.execute(store.db);
  for (let round = 0; round < 12; round++) await read();
  await store.write((db) => sql`alter table counts add column remark text`.execute(db), { alone: true });
  for (let round = 0; round < 12; round++) assert.equal((await read()).rows.length, 1);
  await store.write(async (db) => {
    assert.equal((await sql`select * from counts where name = ${'a'}`.execute(db)).rows.length, 1);
  });
});

test('appends that wait are committed together, in their order; one that is at fault fails alone', async (t) => {
  const store = await open(t);
  await store.write((db) =>
    sql`create table log (place bigserial primary key, entry text unique not null)`.execute(db),
  );
  const entry = (text: string | null) => ({ sql: 'insert into log (entry) values ($1)', parameters: [text] });
  const outcomes = await Promise.allSettled([
    ...Array.from({ length: 500 }, (_, index) => store.append([entry(`e${String(index).padStart(3, '0')}`)])),
    store.append([entry('whole'), entry(null)]),
    store.append([entry('last')]),
  ]);
  assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 1);
  assert.equal(outcomes[500]?.status, 'rejected');
  const { rows } = await sql<{ entry: string }>`select entry from log order by place`.execute(store.db);
  const expected = [...Array.from({ length: 500 }, (_, index) => `e${String(index).padStart(3, '0')}`), 'last'];
  assert.deepEqual(
    rows.map((row) => row.entry),
    expected,
  );
});

test('a statement whose begin was cancelled on the way does not commit by itself', async (t) => {
  const url = await freshDatabase();
  const proxy = await startProxy(t, url);
  const store = await open(t, { url: proxy.url });
  proxy.become('spoil begins');
  await assert.rejects(store.write((db) => setAmount(db, 'a', 9)));
  proxy.become('open');
  assert.equal(await amountOf(store.db, 'a'), 0);
});

test('durable means synchronous_commit on, and off for what is not worth it', async (t) => {
  const url = await freshDatabase();
  for (const durable of [true, false]) {
    const store = await openAt(t, { url, durable });
    const setting = await store.write(
      async (db) => (await sql<{ synchronous_commit: string }>`show synchronous_commit`.execute(db)).rows[0],
    );
    assert.equal(setting?.synchronous_commit, durable ? 'on' : 'off');
  }
});

test('the parsers of others who use the driver in this process stay as they are', async (t) => {
  const store = await open(t);
  assert.equal(await amountOf(store.db, 'a'), 0);
  const { sql: ask } = await sharedPostgres();
  assert.deepEqual(await ask('select 5::bigint as five'), [{ five: '5' }]);
  await assert.rejects(sql`select 9007199254740993::bigint as large`.execute(store.db), RangeError);
});

test('undefined, objects and other values that SQLite does not bind are refused here too', async (t) => {
  const store = await open(t);
  for (const value of [undefined, {}, ['a'], true, Number.NaN, new Date(0)]) {
    await assert.rejects(
      store.write((db) => sql`update counts set name = ${value}`.execute(db)),
      TypeError,
    );
  }
  assert.equal(store.writable, true);
});
