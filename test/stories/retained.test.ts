/** What is retained outlives the node, and the node that comes later cleans up what has expired by then. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { GetRetainedMessageCommand, ListRetainedMessagesCommand, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import { makeFolder } from '../folder.ts';
import { bootNode } from '../harness.ts';
import { queryStore } from '../stores.ts';

test('a retained message outlives its node; one that expired is gone at once, and its row at the next turn of the task', async (t) => {
  const dataFolder = join(await makeFolder(t), 'data');
  const first = await bootNode(t, { dataFolder });
  const data = first.iotData();
  const topics = async () =>
    (await queryStore(dataFolder, 'select topic from retained_messages')).map((row) => row['topic']);
  const message = { payload: Buffer.from('21 degrees'), qos: 1, retain: true } as const;
  await data.send(new PublishCommand({ topic: 'room/1', ...message }));
  await data.send(new PublishCommand({ topic: 'room/2', ...message, messageExpiry: 3600 }));
  assert.deepEqual((await topics()).sort(), ['room/1', 'room/2']);
  await first.node.close();

  const second = await bootNode(t, { dataFolder });
  const later = second.iotData();
  const kept = await later.send(new GetRetainedMessageCommand({ topic: 'room/1' }));
  assert.equal(Buffer.from(kept.payload ?? []).toString(), '21 degrees');
  await second.node.clock.advance(3_601_000);
  await assert.rejects(later.send(new GetRetainedMessageCommand({ topic: 'room/2' })), {
    name: 'ResourceNotFoundException',
  });
  assert.deepEqual(await topics(), ['room/1']);
  const { retainedTopics } = await later.send(new ListRetainedMessagesCommand({}));
  assert.deepEqual(
    retainedTopics?.map(({ topic }) => topic),
    ['room/1'],
  );
});
