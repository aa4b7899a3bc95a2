/** What `fleetgate explain` makes of a record that the server has explained. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderRecord } from './render-record.ts';
import { styleOf } from './terminal.ts';

const factLines = (facts: Readonly<Record<string, string>>): readonly string[] => {
  const record = { atMs: 0, eventType: 'ApiCall', status: 'Failure', reason: 'CALL_REFUSED', facts };
  const shown = {
    record,
    sentence: 'It was refused.',
    cure: 'Ask otherwise:',
    commands: ['aws iot list-things'],
    trail: [],
    cause: '',
  };
  const [, afterCommands = ''] = renderRecord(shown, styleOf(false)).split('aws iot list-things\n\n');
  return afterCommands.trimEnd().split('\n');
};

test('every fact has a label of words, also one that has none of its own, so that what can be pasted is the commands', () => {
  const facts = { roleAlias: 'lamps', certificateArn: 'arn:a', PolicyArn: 'arn:b', ruleName: 'hot' };
  assert.deepEqual(factLines(facts), [
    '  Event            ApiCall Failure CALL_REFUSED',
    '  Account          none proven',
    '  Role alias       lamps',
    '  Certificate ARN  arn:a',
    '  Policy ARN       arn:b',
    '  Rule name        hot',
  ]);
});
