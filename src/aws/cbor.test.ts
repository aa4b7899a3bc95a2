/** CBOR by the examples of RFC 8949 appendix A, against another implementation, and against bytes that nobody meant. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cbor as oracle } from '@smithy/core/cbor';
import fc from 'fast-check';
import { CborProblem, type CborValue, cborNestingMax, readCbor, writeCbor } from './cbor.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

/** RFC 8949, appendix A, as far as JSON has the value. */
const examples: readonly (readonly [hex: string, value: CborValue])[] = [
  ['00', 0],
  ['17', 23],
  ['1818', 24],
  ['1903e8', 1000],
  ['1a000f4240', 1000000],
  ['1b000000e8d4a51000', 1000000000000],
  ['20', -1],
  ['3903e7', -1000],
  ['f93e00', 1.5],
  ['fa47c35000', 100000],
  ['fb3ff199999999999a', 1.1],
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['f7', null],
  ['60', ''],
  ['6449455446', 'IETF'],
  ['62c3bc', 'ü'],
  ['64f0908591', '\u{10151}'],
  ['80', []],
  ['83010203', [1, 2, 3]],
  ['8301820203820405', [1, [2, 3], [4, 5]]],
  ['a0', {}],
  ['a26161016162820203', { a: 1, b: [2, 3] }],
  ['7f657374726561646d696e67ff', 'streaming'],
  ['9fff', []],
  ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
  ['bf61610161629f0203ffff', { a: 1, b: [2, 3] }],
  ['bfff', {}],
  ['d9d9f7a0', {}], // self-described CBOR
];
for (const [hex, value] of examples) {
  test(`${hex} reads as ${JSON.stringify(value)} (RFC 8949 appendix A)`, () =>
    assert.deepEqual(readCbor(bytes(hex)), value));
}

const refusals: readonly (readonly [hex: string, rule: RegExp])[] = [
  ['', /ends inside/],
  ['61', /ends inside/],
  ['a16161', /ends inside/],
  ['bf6161', /ends inside/],
  ['7f6161', /ends inside/],
  ['9bffffffffffffffff', /beyond 2\^53/],
  ['9b0000000fffffffff', /ends inside/],
  ['bb001fffffffffffff', /ends inside/],
  ['7b001fffffffffffff', /ends inside/],
  ['4161', /byte string/],
  ['5f4161ff', /byte string/],
  ['a1016161', /key that is not text/],
  ['bf01ff', /key that is not text/],
  ['a2616101616102', /occurs twice/],
  ['7f4161ff', /malformed text/],
  ['7f7f6161ffff', /malformed text/],
  ['62c328', /UTF-8/],
  ['1c', /malformed length/],
  ['1f', /malformed length/],
  ['ff', /unknown simple value/],
  ['f8ff', /unknown simple value/],
  ['a000', /bytes behind/],
  ['1b0020000000000000', /beyond 2\^53/],
];
for (const [hex, rule] of refusals) {
  test(`${hex || 'nothing'} is refused: ${rule.source}`, () =>
    assert.throws(
      () => readCbor(bytes(hex)),
      (error) => error instanceof CborProblem && rule.test(error.message),
    ));
}

test('nesting is bounded: lists, maps and tags', () => {
  const lists = Buffer.concat([Buffer.alloc(cborNestingMax, 0x81), Buffer.of(0)]);
  assert.doesNotThrow(() => readCbor(lists));
  for (const opener of ['81', '9f', 'a16161', 'bf6161', 'c0', 'd9d9f7']) {
    assert.throws(() => readCbor(bytes(opener.repeat(100_000))), CborProblem, opener);
  }
});

test('what is written reads back, here and in another implementation; the other way round, too', () => {
  const { value } = fc.letrec<{ value: CborValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      fc.string({ unit: 'grapheme' }),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value')),
      fc.dictionary(fc.string(), tie('value'), { noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(value, (given) => {
      const written = writeCbor(given);
      assert.deepEqual(readCbor(written), given);
      // the oracle has no own property of this name
      if (JSON.stringify(given).includes('__proto__')) return;
      assert.deepEqual(oracle.deserialize(written), given);
      assert.deepEqual(JSON.stringify(readCbor(oracle.serialize(given))), JSON.stringify(given)); // it writes -0 as 0
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('a key named like what objects inherit is an own property', () => {
  const value = readCbor(bytes('a1695f5f70726f746f5f5fa0'));
  assert.deepEqual(Object.keys(value ?? {}), ['__proto__']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
});

test('any bytes give a value or a CborProblem (fuzz)', () => {
  const openers = fc.constantFrom(0x61, 0x7f, 0x81, 0x9f, 0xa1, 0xbf, 0xc0, 0xff, 0xf6, 0x1b, 0x7b);
  const hostile = fc.array(fc.oneof(openers, fc.nat(255)), { maxLength: 200 });
  fc.assert(
    fc.property(hostile, (given) => {
      try {
        readCbor(Uint8Array.from(given));
      } catch (error) {
        assert.ok(error instanceof CborProblem, String(error));
      }
    }),
    { seed: 11, numRuns: 20_000 },
  );
});
