/** The command line of the simulation. Its devices meet a real node in test/stories/device-simulate.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepingIo } from '../../../test/io.ts';
import { configFlags } from '../../config.ts';
import { commands } from '../commands.ts';
import { serverFlags } from '../server.ts';
import { simulate, simulateFlags } from './simulate.ts';

const run = (line: string) => simulate(line.split(' '), keepingIo({ out: assert.fail, err: assert.fail }).io);

const enough = '--claim c --template t';
const refused: [line: string, sentence: RegExp][] = [
  ['--template t', /--claim is missing: fleetgate device simulate --claim FOLDER/],
  ['--claim c', /--template is missing/],
  ['--claim c --template a/b', /--template must be the name of a provisioning template, not "a\/b"/],
  [`${enough} --count 0`, /--count must be a number from 1 to 1000000, not "0"/],
  [`${enough} --count many`, /--count must be a number/],
  [`${enough} --concurrency 65`, /--concurrency must be a number from 1 to 64/],
  [`${enough} --timeout 0`, /--timeout must be a number from 1 to 600/],
  [`${enough} --format xml`, /--format must be json or cbor, not "xml"/],
  [
    `${enough} --parameter SerialNumber`,
    /--parameter must be NAME=TEXT, such as SerialNumber=\{n\}, not "SerialNumber"/,
  ],
  [`${enough} --parameter A=1 --parameter A=2`, /--parameter A is given twice/],
  [`${enough} --parameter A={N}`, /--parameter has \{N\}, which stands for nothing: it may have \{n\}/],
  [`${enough} --topic {name}`, /--topic has \{name\}, .* \{n\} and \{thing\}/],
  [`${enough} --count 2 --client-id one`, /--client-id must have \{n\}: devices with one client id put each other out/],
  [`${enough} --endpoint http://x`, /--endpoint must be HOST or HOST:PORT, not "http:\/\/x"/],
  [`${enough} --endpoint x:99999`, /--endpoint must be HOST or HOST:PORT/],
  [`${enough} 20`, /device simulate takes flags only, not "20"/],
  [`${enough} --cuont 20`, /Did you mean --count\?/],
];
for (const [line, sentence] of refused) {
  test(`makes no sense: ${line}`, async () => {
    await assert.rejects(run(line), (error) => {
      assert(error instanceof Error);
      assert.equal(error.name, 'ConfigProblem', error.message);
      assert.match(error.message, sentence);
      return true;
    });
  });
}

test('its page fits a terminal and has every flag', () => {
  const page = commands['device']?.page?.() ?? assert.fail();
  for (const { name } of [...simulateFlags, ...serverFlags]) assert.match(page, new RegExp(`^  --${name}\\b`, 'm'));
  assert(page.split('\n').every((line) => line.length <= 125));
  // a name that means something else to start would be learned wrongly
  const known = new Set<string>(configFlags.map(({ name }) => name));
  assert.deepEqual(
    simulateFlags.filter(({ name }) => known.has(name)),
    [],
  );
});
