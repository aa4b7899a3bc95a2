import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Row, readRow, rowCharactersMax } from './csv.ts';

const pem = '-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n';

const read = (text: string, separator: ',' | ';' = ','): Row | undefined => {
  const row = readRow(separator);
  for (const [index, line] of text.split('\n').entries()) {
    if (index > 0 && !row.fits(line)) return undefined;
    const done = row.take(line);
    if (done) return done;
  }
  return undefined;
};

const rows: readonly [text: string, fields: readonly string[], rule: string][] = [
  ['a,b', ['a', 'b'], 'fields'],
  [' a , b', ['a', 'b'], 'blanks around a bare field go'],
  ['a,,', ['a', '', ''], 'empty fields stay'],
  ['', [''], 'an empty line is one empty field'],
  ['"a,b",c', ['a,b', 'c'], 'a separator in quotes is text'],
  ['"say ""no""","",x', ['say "no"', '', 'x'], 'a doubled quote is one'],
  ['" a "', [' a '], 'blanks in quotes stay'],
  [`"${pem}",dev,`, [pem, 'dev', ''], 'a PEM text runs over lines'],
  [`x,"${pem.trimEnd()}"`, ['x', pem.trimEnd()], 'also as the last field'],
];
for (const [text, fields, rule] of rows) {
  test(`${rule}: ${JSON.stringify(text)}. RFC 4180 section 2`, () => {
    assert.deepEqual(read(text), { fields });
    assert.deepEqual(read(text.replaceAll(',', ';'), ';'), {
      fields: fields.map((field) => field.replaceAll(',', ';')),
    });
  });
}

const refused: readonly [text: string, problem: RegExp][] = [
  ['a"b,c', /inside a field/],
  ['"a" ,c', /follows the quote/],
  ['"a', /not closed/],
  ['x,"', /not closed/],
];
for (const [text, problem] of refused) {
  test(`${text} is refused`, () => {
    const row = read(text);
    assert.match(row && 'problem' in row ? row.problem : '', problem);
  });
}

const strangers = ['certs/a.pem,dev', '"-----BEGIN CERTIFICATE-----', '"a.pem",x', 'MIIB, x', '-----BEGIN x-----'];
for (const line of strangers) {
  test(`a row whose quote was forgotten does not swallow the line ${line}`, () => {
    const row = readRow(',');
    assert.equal(row.take('"-----BEGIN CERTIFICATE-----'), undefined);
    assert.equal(row.fits(line), false);
  });
}

test('a row is bounded over all its lines', () => {
  const row = readRow(',');
  assert.equal(row.take('"-----BEGIN CERTIFICATE-----'), undefined);
  let taken: Row | undefined;
  for (let lines = 0; !taken && lines < rowCharactersMax; lines++) taken = row.take('A'.repeat(64));
  assert.match(taken && 'problem' in taken ? taken.problem : '', /more than 131072 characters/);
});
