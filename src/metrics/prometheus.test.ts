import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExposition } from '../../test/exposition.ts';
import { createMetrics } from '../mqtt/metrics.ts';
import { watchProcess } from './process.ts';
import { awsFamilies, exposition, nameOfAwsMetric } from './prometheus.ts';

const names: [aws: string, prometheus: string][] = [
  ['Connect.Success', 'aws_iot_connect_success_total'],
  ['PublishIn.AuthError', 'aws_iot_publish_in_auth_error_total'],
  ['Connect.ClientIDThrottle', 'aws_iot_connect_client_id_throttle_total'],
  ['Connection.AuthNError', 'aws_iot_connection_auth_n_error_total'],
  ['RuleNotFound', 'aws_iot_rule_not_found_total'],
  ['RetrieveOCSPStapleData.Success', 'aws_iot_retrieve_ocsp_staple_data_success_total'],
];
for (const [aws, prometheus] of names) {
  test(`${aws} is ${prometheus}`, () => assert.equal(nameOfAwsMetric(aws), prometheus));
}

test('every counter of the broker is exposed once per protocol, under a name of its own', () => {
  const mqtt = createMetrics();
  const http = createMetrics();
  mqtt['PublishIn.Success'] = 3;
  http['PublishIn.Success'] = 2;
  const families = parseExposition(exposition(awsFamilies({ MQTT: mqtt, HTTP: http })));
  assert.equal(families.size, Object.keys(mqtt).length);
  const { type, samples } = families.get('aws_iot_publish_in_success_total') ?? {};
  assert.equal(type, 'counter');
  assert.deepEqual(samples, [
    { labels: { protocol: 'MQTT' }, value: 3 },
    { labels: { protocol: 'HTTP' }, value: 2 },
  ]);
});

test('help, label values and odd numbers survive (exposition format 0.0.4)', () => {
  const odd = 'a\\b\n"c"';
  const text = exposition([
    {
      name: 'x',
      help: odd,
      type: 'gauge',
      samples: [
        { labels: { of: odd, and: '' }, value: 0.1 },
        ...[Number.NaN, Infinity, -Infinity, 1e21].map((value) => ({ value })),
      ],
    },
    { name: 'none', help: '', type: 'gauge', samples: [] },
  ]);
  const families = parseExposition(text);
  assert.deepEqual(families.get('x'), {
    help: odd,
    type: 'gauge',
    samples: [
      { labels: { of: odd, and: '' }, value: 0.1 },
      ...[Number.NaN, Infinity, -Infinity, 1e21].map((value) => ({ labels: {}, value })),
    ],
  });
  assert.deepEqual(families.get('none')?.samples, []);
});

test('the process is measured, its event loop anew for each scrape', (t) => {
  const watch = watchProcess();
  t.after(watch.close);
  for (const round of [1, 2]) {
    const families = parseExposition(exposition(watch.families()));
    for (const [name, { samples }] of families) {
      const [sample] = samples;
      assert.ok(
        sample !== undefined && sample.value >= 0 && Number.isFinite(sample.value),
        `${name} in round ${round}`,
      );
    }
    assert.ok((families.get('process_resident_memory_bytes')?.samples[0]?.value ?? 0) > 1e6);
  }
});
