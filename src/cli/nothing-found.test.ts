import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { nothingFound, regionsAskedMax } from './nothing-found.ts';

const pathAndQuery = '/_fleetgate/journal?last=true';

interface World {
  /** Where the journal has records, and nowhere else. */
  readonly regions?: readonly string[];
  /** Where the asker has no right to ask. */
  readonly forbidden?: readonly string[];
  readonly flags?: string;
}

/** What is said when a server answered `members` and no record. */
const said = async (t: TestContext, subject: string, members: object, world: World = {}) => {
  const { regions = [], forbidden = [], flags = '' } = world;
  const asked: string[] = [];
  const server = createServer(({ url, headers }, response) => {
    const region = /\/([^/]*)\/iot\/aws4_request/.exec(headers.authorization ?? '')?.[1] ?? '';
    asked.push(`${region} ${url}`);
    if (forbidden.includes(region)) response.statusCode = 403;
    response.end(JSON.stringify({ records: regions.includes(region) ? [{}] : [] }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  // a TCP server's address is an AddressInfo
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const key = { accessKeyId: 'test', secretAccessKey: 'test', region: 'ap-northeast-1' };
  const question = { subject, server: { url, ...key }, pathAndQuery, flags };
  return { text: await nothingFound(question, JSON.stringify({ records: [], ...members }), Date), asked };
};
const account = { accountId: '000000000000', region: 'ap-northeast-1' };

test('nothing found anywhere: where was asked, and what else to look at', async (t) => {
  const { text, asked } = await said(t, 'last', { account, otherRegions: ['us-east-1'] });
  assert.match(
    text,
    /^Nothing was refused in account 000000000000, region ap-northeast-1\.\n.*--account and --region\.\n.*`fleetgate doctor`.*\nCalls of the API .*\n$/,
  );
  assert.deepEqual(asked, [`us-east-1 ${pathAndQuery}`]);
  const { text: ofDevice } = await said(t, 'dev1', { account, otherRegions: [] });
  assert.match(ofDevice, /^The journal has no record of that .* in account 000000000000, region ap-northeast-1\.\n/);
});

test('other regions that have an answer are commands to paste', async (t) => {
  const otherRegions = ['us-east-1', 'us-west-2', 'eu-west-1'];
  const { text } = await said(t, 'my dev', { account, otherRegions }, { regions: ['us-east-1', 'eu-west-1'] });
  assert.equal(
    text,
    'The journal has no record of that certificate id or client id in account 000000000000, region ap-northeast-1. Another region has one:\n\n' +
      "  fleetgate explain 'my dev' --region us-east-1\n  fleetgate explain 'my dev' --region eu-west-1\n",
  );
});

test('a command to paste asks the same server and account, and a region that the asker may not read is passed over', async (t) => {
  const otherRegions = ['us-east-1', 'us-west-2'];
  const world = { regions: otherRegions, forbidden: ['us-west-2'], flags: ' --account 111111111111' };
  const { text } = await said(t, 'dev1', { account, otherRegions }, world);
  assert.match(text, /\n\n {2}fleetgate explain dev1 --account 111111111111 --region us-east-1\n$/);
  const { text: refused } = await said(t, 'dev1', { account, otherRegions }, { forbidden: otherRegions });
  assert.match(refused, /^The journal has no record of that .* region ap-northeast-1\.\nA refusal is kept under /);
  assert.match(refused, /\nCalls of the API are kept when .*; the answer to any other says itself what was wrong\.\n$/);
});

test('what a strange server answers reaches no shell, moves no cursor and makes no flood', async (t) => {
  const many = Array.from({ length: regionsAskedMax + 1 }, (_, at) => `r-${at}`);
  const otherRegions = ['; rm -rf ~', 7, ...many];
  const { text, asked } = await said(t, 'last', { account: { accountId: '\u001b[2J' }, otherRegions });
  assert.match(text, /^Nothing was refused in account \\u\{1b\}\[2J, region \.\n/);
  assert.equal(asked.length, regionsAskedMax);
});
