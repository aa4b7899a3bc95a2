/** The ledger of the crash test finds what it is there to find: each case is a short history, and what must be said of it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../folder.ts';
import { Ledger } from './ledger.ts';
import { bodyOf, type Client, type Heard, has, type Message } from './records.ts';

const group = '$share/group/s/+';

/** A history in the words of the ledger, in short. */
class History {
  readonly ledger: Ledger;
  readonly client: Client;
  readonly #messages = new Map<string, Message>();
  #heard: Heard;

  constructor(ledger: Ledger, clientId = 'subscriber') {
    this.ledger = ledger;
    this.client = ledger.client(clientId);
    this.#heard = { client: this.client, times: new Map() };
  }

  connect({ present = false, cleanStart = false, isAnswered = true } = {}): void {
    this.ledger.connecting(this.client, { cleanStart });
    this.#heard = { client: this.client, times: new Map() };
    if (isAnswered) this.ledger.connected(this.client, { cleanStart, present });
  }
  subscribe(filter: string): void {
    this.ledger.subscribing(this.client, filter);
    this.ledger.subscribed(this.client, filter, 1);
  }
  unsubscribe(filter: string): void {
    this.ledger.unsubscribing(this.client, filter);
    this.ledger.unsubscribed(this.client, filter);
  }
  send(topic: string, more: { retain?: boolean; isDelete?: boolean } = {}): Message {
    const message = this.ledger.publishing('p', topic, more);
    this.#messages.set(message.id, message);
    return message;
  }
  publish(topic: string, more: { retain?: boolean; isDelete?: boolean } = {}): Message {
    const message = this.send(topic, more);
    this.ledger.acknowledged(message);
    return message;
  }
  receive({ topic, ...message }: Message, { retain = false, isTaken = true, payload = bodyOf(message) } = {}): void {
    const found = this.ledger.received(this.#heard, { topic, payload, retain, packetId: 1 }, false);
    if (found !== undefined && isTaken) this.ledger.taken(this.client, found);
  }
}

type Case = readonly [name: string, history: (history: History) => void, said: RegExp | undefined];
const cases: readonly Case[] = [
  [
    'a message that is owed and comes',
    (h) => {
      h.subscribe('t');
      h.receive(h.publish('t'));
    },
    undefined,
  ],
  [
    'one that never comes',
    (h) => {
      h.subscribe('t');
      h.publish('t');
    },
    /p\/1 on t .* never reached subscriber/,
  ],
  [
    'one that comes and is not acknowledged',
    (h) => {
      h.subscribe('t');
      h.receive(h.publish('t'), { isTaken: false });
    },
    /never reached/,
  ],
  [
    'one without PUBACK that never comes',
    (h) => {
      h.subscribe('t');
      h.send('t');
    },
    undefined,
  ],
  [
    'one that was sent before the SUBACK',
    (h) => {
      h.ledger.subscribing(h.client, 't');
      const message = h.send('t');
      h.ledger.subscribed(h.client, 't', 1);
      h.ledger.acknowledged(message);
    },
    undefined,
  ],
  [
    'one whose PUBACK came after the UNSUBSCRIBE',
    (h) => {
      h.subscribe('t');
      const message = h.send('t');
      h.unsubscribe('t');
      h.ledger.acknowledged(message);
    },
    undefined,
  ],
  [
    'one whose PUBACK came before the UNSUBSCRIBE',
    (h) => {
      h.subscribe('t');
      h.publish('t');
      h.unsubscribe('t');
    },
    /never reached/,
  ],
  [
    'one to a session that was ended',
    (h) => {
      h.subscribe('t');
      h.publish('t');
      h.connect({ cleanStart: true });
    },
    undefined,
  ],
  [
    'one to a session that was to be ended and is there',
    (h) => {
      h.subscribe('t');
      h.publish('t');
      h.connect({ cleanStart: true, isAnswered: false });
      h.connect({ present: true });
    },
    /never reached/,
  ],
  [
    'one that was published while the session may have been over',
    (h) => {
      h.subscribe('t');
      h.connect({ cleanStart: true, isAnswered: false });
      h.publish('t');
      h.connect({ present: true });
    },
    undefined,
  ],
  [
    'one that nobody has published',
    (h) => {
      h.subscribe('t');
      h.receive({ ...h.publish('t'), id: 'p/2', number: 2 });
    },
    /nobody has published p\/2/,
  ],
  [
    'one with a changed payload',
    (h) => {
      h.subscribe('t');
      h.receive(h.publish('t'), { payload: 'p/1 ,,,' });
    },
    /another payload/,
  ],
  ['one that was never subscribed', (h) => h.receive(h.publish('t')), /not entitled/],
  [
    'one published after the UNSUBACK',
    (h) => {
      h.subscribe('t');
      h.unsubscribe('t');
      h.receive(h.publish('t'));
    },
    /not entitled/,
  ],
  [
    'one twice on a connection',
    (h) => {
      h.subscribe('t');
      const message = h.publish('t');
      h.receive(message);
      h.receive(message);
    },
    /more often on one connection/,
  ],
  [
    'one twice, after a reconnect',
    (h) => {
      h.subscribe('t');
      const message = h.publish('t');
      h.receive(message);
      h.connect({ present: true });
      h.receive(message);
    },
    undefined,
  ],
  [
    'an older one after a newer one',
    (h) => {
      h.subscribe('t');
      const [first, second] = [h.publish('t'), h.publish('t')];
      h.receive(second);
      h.receive(first);
    },
    /p\/1 came after p\/2/,
  ],
  [
    'an older one that was sent again',
    (h) => {
      h.subscribe('t');
      const [first, second] = [h.send('t'), h.send('t')];
      h.ledger.publishingAgain(first);
      h.receive(second);
      h.receive(first);
    },
    undefined,
  ],
  ['a session that is gone', (h) => h.connect({ present: false }), /its session is gone/],
  [
    'a session after a clean start',
    (h) => h.connect({ present: true, cleanStart: true }),
    /present after a clean start/,
  ],
  [
    'a session that was ended',
    (h) => {
      h.connect({ cleanStart: true });
      h.connect({ present: true });
    },
    /present that was ended/,
  ],
  [
    'a session whose CONNACK was lost',
    (h) => {
      h.connect({ cleanStart: true });
      h.connect({ isAnswered: false });
      h.connect({ present: true });
    },
    undefined,
  ],
  [
    'a message to a group that takes none',
    (h) => {
      h.subscribe(group);
      h.publish('s/1');
    },
    /never reached its group/,
  ],
  [
    'a message that waited for a member of a group',
    (h) => {
      const message = h.publish('s/1');
      h.subscribe(group);
      h.receive(message);
    },
    undefined,
  ],
  [
    'a message to two members',
    (h) => {
      const other = new History(h.ledger, 'other');
      other.connect();
      other.subscribe(group);
      h.subscribe(group);
      const message = h.publish('s/1');
      h.receive(message);
      other.receive(message);
    },
    /came to 2 of a group/,
  ],
  ['the retained message', (h) => h.ledger.checkRetained('r', h.publish('r', { retain: true }).id), undefined],
  [
    'a retained message that was deleted',
    (h) => {
      const { id } = h.publish('r', { retain: true });
      h.publish('r', { retain: true, isDelete: true });
      h.ledger.checkRetained('r', id);
    },
    /r retains p\/1 instead of nothing/,
  ],
  [
    'a retained message whose deletion was not acknowledged',
    (h) => {
      const { id } = h.publish('r', { retain: true });
      h.send('r', { retain: true, isDelete: true });
      h.ledger.checkRetained('r', id);
      h.ledger.checkRetained('r', undefined);
    },
    undefined,
  ],
  [
    'a retained message that is gone',
    (h) => {
      h.publish('r', { retain: true });
      h.ledger.checkRetained('r', undefined);
    },
    /retains nothing instead of p\/1/,
  ],
  [
    'a retained message that was replaced before it was asked for',
    (h) => {
      const former = h.publish('r', { retain: true });
      h.publish('r', { retain: true });
      h.subscribe('r');
      h.receive(former, { retain: true });
    },
    /came as retained on r, where it was not/,
  ],
  [
    'a will of a client that said goodbye',
    (h) => {
      h.subscribe('w/+');
      h.ledger.armed('will');
      h.ledger.disarmed('will');
      h.ledger.received(
        { client: h.client, times: new Map() },
        { topic: 'w/1', payload: 'will', retain: false, packetId: 1 },
        false,
      );
    },
    /the will will came, which is void/,
  ],
];

for (const [name, history, said] of cases) {
  test(`${name}: ${said === undefined ? 'all is well' : 'a violation'}`, async (t) => {
    const ledger = new Ledger(join(await makeFolder(t), 'ledger'));
    const told = new History(ledger);
    told.connect();
    history(told);
    ledger.close();
    await ledger.end();
    if (said === undefined) assert.deepEqual(ledger.violations, []);
    else assert.match(ledger.violations.join('\n'), said);
  });
}

test('with QoS 2, a message that is taken twice is a violation even after a reconnect', async (t) => {
  const ledger = new Ledger(join(await makeFolder(t), 'ledger'), { isOpen: true });
  const history = new History(ledger);
  history.connect();
  history.subscribe('t');
  const message = history.publish('t');
  history.receive(message);
  history.connect({ present: true });
  history.receive(message);
  await ledger.end();
  assert.match(ledger.violations.join(), /taken twice/);
});

const filters: readonly (readonly [filter: string, topic: string, expected: boolean])[] = [
  ['t/1', 't/1', true],
  ['t/1', 't/2', false],
  ['t/+', 't/1', true],
  ['t/+', 't/1/2', false],
  ['t/#', 't/1/2', true],
  ['t/#', 'u/1', false],
];
for (const [filter, topic, expected] of filters) {
  test(`${filter} ${expected ? 'has' : 'misses'} ${topic}`, () => assert.equal(has(filter, topic), expected));
}
