import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stores } from '../../test/stores.ts';
import { keepQuery, keptLengthsMax } from './kept-query.ts';
import { migrate } from './migrate.ts';

interface WordsTable {
  word: string;
  kind: string;
}
declare module './tables.ts' {
  interface Tables {
    test_words: WordsTable;
  }
}

for (const [engine, open] of stores) {
  test(`${engine}: a kept query is built once per number of values, and answers with the values it is asked with`, async (t) => {
    const store = await open(t);
    await migrate(store, [
      { name: 'words-0001', sql: ['create table test_words (word text not null primary key, kind text not null)'] },
    ]);
    const words = ['apple', 'beech', 'cherry'].map((word) => ({ word, kind: word === 'beech' ? 'tree' : 'fruit' }));
    await store.write((db) => db.insertInto('test_words').values(words).execute());
    let built = 0;
    const ofKind = keepQuery((db, [kind = '', ...names]) => {
      built++;
      const named = db.selectFrom('test_words').select('word').where('word', 'in', names).where('word', '<>', 'x');
      return named.where('kind', '=', kind).orderBy('word');
    });
    const wordsFor = async (...values: string[]) => (await ofKind(store.db, values)).map(({ word }) => word);
    assert.deepEqual(await wordsFor('fruit', 'apple', 'beech'), ['apple']);
    assert.deepEqual(await wordsFor('tree', 'beech', 'cherry'), ['beech']);
    assert.deepEqual(await wordsFor('fruit', 'x', 'cherry'), ['cherry']);
    assert.equal(built, 1);
    assert.deepEqual(await wordsFor('fruit', 'apple', 'beech', 'cherry'), ['apple', 'cherry']);
    assert.equal(built, 2);
    const within = await store.write(async (db) => (await ofKind(db, ['tree', 'beech'])).map(({ word }) => word));
    assert.deepEqual(within, ['beech'], 'a unit has an engine of its own');
  });

  test(`${engine}: beyond keptLengthsMax numbers of values a query is built each time, and right all the same`, async (t) => {
    const store = await open(t);
    await migrate(store, [
      { name: 'words-0001', sql: ['create table test_words (word text not null primary key, kind text not null)'] },
    ]);
    let built = 0;
    const among = keepQuery((db, values) => {
      built++;
      return db.selectFrom('test_words').select('word').where('word', 'in', values);
    });
    const asked = Array.from({ length: keptLengthsMax + 2 }, (_, index) => Array<string>(index + 1).fill('a'));
    for (const values of [...asked, ...asked]) assert.deepEqual(await among(store.db, values), []);
    assert.equal(built, keptLengthsMax + 2 + 2);
  });
}
