/**
 * The programs that people type cannot tell this server from AWS: Debian's mosquitto_pub and mosquitto_sub, with and without `-V mqttv5`, and curl. Every
 * line is typed as their manuals have it. Source: spec gateway.md 1, 3, 5.3, 5.7 to 5.10; checks 27, 34.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { bash, type Identity } from '../harness.ts';
import { type Subscriber, subscribe } from '../mosquitto.ts';
import { bootFleet, type Fleet } from '../refusal.ts';

interface Scene {
  readonly t: TestContext;
  readonly fleet: Fleet;
  readonly device: Identity;
  /**
   * Runs lines of bash, in which `pub` and `sub` are mosquitto's clients with QoS 1 and this node's address, `post` is curl; all with the device's
   * certificate. Answers what they print; the first that fails ends it and the test.
   */
  type(script: string): Promise<string>;
}

const prelude = ({ node }: Fleet, { certFile, keyFile }: Identity): string => `
set -e -o pipefail
tls=(-h localhost -p ${node.mqttPort} --cafile '${node.rootFile}' --cert '${certFile}' --key '${keyFile}')
pub() { mosquitto_pub "\${tls[@]}" -q 1 "$@"; }
sub() { mosquitto_sub "\${tls[@]}" -q 1 -W 10 "$@"; }
url='https://localhost:${node.httpsPort}'
certificate=(--cert '${certFile}' --key '${keyFile}')
post() { curl -sS --cacert '${node.rootFile}' -X POST -w ' %{http_code}\\n' "$@" | sed 's/"traceId":"[0-9a-f-]*"/"traceId"/'; }
`;

const lines = (...expected: readonly string[]): string => expected.map((line) => `${line}\n`).join('');

/** Each with one node, which they share. */
const stories: [title: string, tell: (scene: Scene) => Promise<void>][] = [];
const story = (title: string, tell: (scene: Scene) => Promise<void>): void => {
  stories.push([title, tell]);
};

for (const [title, version, flag] of [
  ['version 3.1.1', 4, ''],
  ['version 5', 5, '-V mqttv5'],
] as const) {
  const prefix = `v${version}`;

  story(`mosquitto_sub -c finds what came while it was away, ${title}`, async ({ type }) => {
    const printed = await type(`
      sub ${flag} -i ${prefix}-keeper -c -t '${prefix}/away/#' -E
      for number in 1 2 3; do pub ${flag} -t ${prefix}/away/$number -m "message $number"; done
      pub ${flag} -q 0 -t ${prefix}/away/4 -m 'QoS 0 is not kept'
      sub ${flag} -i ${prefix}-keeper -c -t '${prefix}/away/#' -C 3 -F '%t %p %q %r'
    `);
    assert.equal(printed, lines(...[1, 2, 3].map((number) => `${prefix}/away/${number} message ${number} 1 0`)));
  });

  story(`mosquitto_pub -r leaves a message to those who come later, -r -n takes it away, ${title}`, async (scene) => {
    const printed = await scene.type(`
      pub ${flag} -r -t ${prefix}/kept -m first
      pub ${flag} -r -t ${prefix}/kept -m second
      sub ${flag} -t ${prefix}/kept -C 1 -F '%t %p %q %r'
      pub ${flag} -r -n -t ${prefix}/kept
      sub ${flag} -i ${prefix}-late -c -t ${prefix}/kept -E
      pub ${flag} -t ${prefix}/kept -m live
      sub ${flag} -i ${prefix}-late -c -t ${prefix}/kept -C 1 -F '%t %p %q %r'
    `);
    assert.equal(printed, lines(`${prefix}/kept second 1 1`, `${prefix}/kept live 1 0`));
  });

  story(`the will of a mosquitto_sub that is killed is published, of one that ends is not, ${title}`, async (scene) => {
    const printed = await scene.type(`
      sub ${flag} -i ${prefix}-heir -c -t '${prefix}/wills/#' -E
      sub ${flag} -t x --will-topic ${prefix}/wills/ended --will-payload ended --will-qos 1 -E
      coproc stdbuf -oL mosquitto_sub "\${tls[@]}" ${flag} -d -t x --will-topic ${prefix}/wills/killed --will-payload killed --will-qos 1
      while read -r line; do
        if [[ $line == *'received SUBACK'* ]]; then kill -9 $COPROC_PID; break; fi
      done <&"\${COPROC[0]}"
      sub ${flag} -i ${prefix}-heir -c -t '${prefix}/wills/#' -C 1 -F '%t %p %q'
    `);
    assert.equal(printed, lines(`${prefix}/wills/killed killed 1`));
  });

  story(`subscribers to $share get each message once between them, ${title}`, async ({ fleet, device, type, t }) => {
    const enter = (clientId: string): Promise<Subscriber> =>
      subscribe(t, fleet.as(device, { clientId, version }), `$share/workers/${prefix}/work/+`, `${prefix}/end`);
    const workers = [await enter(`${prefix}-one`), await enter(`${prefix}-two`)];
    await type(`
      seq 1 20 | pub ${flag} -t ${prefix}/work/items -l
      pub ${flag} -t ${prefix}/end -m 'of shift'
    `);
    for (const worker of workers) await worker.until('of shift');
    const items = workers.map((worker) =>
      [...worker.soFar().matchAll(/work\/items ([0-9]+)$/gm)].map(([, item]) => Number(item)),
    );
    assert.deepEqual(
      items.flat().sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, item) => item + 1),
    );
  });
}

story('mosquitto_pub -D: properties arrive as they were given', async ({ type }) => {
  const printed = await type(`
    sub -V mqttv5 -i reader -c -t properties -E
    pub -V mqttv5 -t properties -m '{}' -D publish user-property line 1 -D publish user-property line 2 \\
      -D publish content-type application/json -D publish response-topic answers/here \\
      -D publish correlation-data 4711 -D publish payload-format-indicator 1
    sub -V mqttv5 -i reader -c -t properties -C 1 -F '%p|%P|%C|%R|%D|%F'
  `);
  assert.equal(printed, lines('{}|line:1 line:2|application/json|answers/here|4711|1'));
});

story('mosquitto_pub -D publish message-expiry-interval: too late is never', async ({ fleet, type }) => {
  await type(`
    sub -V mqttv5 -i sleeper -c -t expiring -E
    pub -V mqttv5 -t expiring -m short -D publish message-expiry-interval 10
    pub -V mqttv5 -t expiring -m long -D publish message-expiry-interval 1000
  `);
  await fleet.node.clock.advance(11_000);
  const printed = await type(`sub -V mqttv5 -i sleeper -c -t expiring -C 1 -F '%p %E'`);
  assert.match(printed, /^long 9[0-9]{2}\n$/);
});

story('mosquitto_sub -c -x: a session ends when its time is over', async ({ fleet, type }) => {
  await type(`
    sub -V mqttv5 -i forgetful -c -x 60 -t forgotten -E
    pub -V mqttv5 -t forgotten -m 'never read'
  `);
  await fleet.node.clock.advance(61_000);
  const printed = await type(`
    sub -V mqttv5 -i forgetful -c -x 60 -t forgotten -E -d | grep CONNACK
    pub -V mqttv5 -t forgotten -m new
    sub -V mqttv5 -i forgetful -c -x 60 -t forgotten -C 1
  `);
  assert.equal(printed, lines('Client forgetful received CONNACK (0)', 'new'));
});

story('curl with a certificate: a topic, a retained message, properties of version 5 (check 34)', async ({ type }) => {
  const properties = Buffer.from('[{"line":"1"},{"line":"2"}]').toString('base64');
  const printed = await type(`
    sub -V mqttv5 -i curious -c -t 'curl/#' -E
    post "\${certificate[@]}" -d 'over ALPN' "$url/topics/curl%2Falpn?qos=1"
    post "\${certificate[@]}" --no-alpn -d 'without' "$url/topics/curl/none?qos=1"
    post "\${certificate[@]}" --http1.0 --data-binary @- "$url/topics/curl/kept?qos=1&retain=true&contentType=text%2Fplain" \\
      -H 'x-amz-mqtt5-user-properties: ${properties}' -H 'x-amz-mqtt5-payload-format-indicator: UTF8_DATA' <<<'kept'
    sub -V mqttv5 -i curious -c -t 'curl/#' -C 3 -F '%t %p %q %r|%P|%C|%F'
    sub -t curl/kept -C 1 -F '%t %p %q %r'
  `);
  const ok = '{"message":"OK","traceId"} 200';
  assert.equal(
    printed,
    lines(
      ...[ok, ok, ok],
      'curl/alpn over ALPN 1 0|||',
      'curl/none without 1 0|||',
      'curl/kept kept\n 1 0|line:1 line:2|text/plain|1',
      'curl/kept kept\n 1 1',
    ),
  );
});

story('curl --aws-sigv4, with a long-lived and with a temporary key; refused with a wrong one', async (scene) => {
  const { accountId, region } = scene.fleet.node.account;
  const printed = await scene.type(`
    sub -i signed -c -t 'signed/#' -E
    signed=(--aws-sigv4 aws:amz:${region}:iotdata)
    post "\${signed[@]}" --user test:test -d 'long-lived' "$url/topics/signed/long?qos=1"
    post "\${signed[@]}" --user ASIA${accountId}:test -H 'x-amz-security-token: test' -d 'temporary' "$url/topics/signed/temporary?qos=1"
    post "\${signed[@]}" --user test:guessed -d 'guessed' "$url/topics/signed/guessed?qos=1" | tail -c 5
    sub -i signed -c -t 'signed/#' -C 2 -F '%t %p'
  `);
  const ok = '{"message":"OK","traceId"} 200';
  assert.equal(printed, lines(ok, ok, ' 403', 'signed/long long-lived', 'signed/temporary temporary'));
});

story('curl without permission, and with a certificate that is INACTIVE: 403 ForbiddenException', async (scene) => {
  const { fleet, type } = scene;
  await fleet.policy('one-topic', [['iot:Publish', 'topic/mine']]);
  const { certFile, keyFile } = await fleet.device('narrow', { policyName: 'one-topic' });
  const stranger = await fleet.device('stranger', { status: 'INACTIVE' });
  const printed = await type(`
    narrow=(--cert '${certFile}' --key '${keyFile}' -o /dev/null -d x -w '%header{x-amzn-errortype} %{http_code}\\n')
    post "\${narrow[@]}" "$url/topics/mine"
    post "\${narrow[@]}" "$url/topics/yours"
    post "\${narrow[@]}" "$url/topics/mine?retain=true"
    post "\${narrow[@]}" --cert '${stranger.certFile}' --key '${stranger.keyFile}' "$url/topics/mine"
  `);
  assert.equal(printed, lines(' 200', ...Array(3).fill('ForbiddenException 403')));
});

test('mosquitto and curl', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('device', { policyName: 'everything' });
  const type: Scene['type'] = async (script) => {
    const { code, stdout, stderr } = await bash(prelude(fleet, device) + script, { cwd: fleet.folder });
    assert.equal(code, 0, `${script}\n${stdout}\n${stderr}`);
    return stdout;
  };
  for (const [title, tell] of stories) await t.test(title, (t) => tell({ fleet, device, type, t }));
});
