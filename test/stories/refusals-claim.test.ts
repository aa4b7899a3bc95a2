/**
 * Mistakes in provisioning by claim, each made over the wire by a device in MQTT.js that goes on whatever it hears (test/claim-device.ts), explained by the command
 * and cured. Source: issue "Provisioning", Build 7 and acceptance 6; spec provisioning.md 4 to 6.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import {
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  CreateProvisioningTemplateVersionCommand,
  CreateThingCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { type OwnKey, type Program, runDevice } from '../claim-device.ts';
import { claimPolicy, fleetTemplate } from '../fleet.ts';
import { accountId, newCsr, openScene, provisioningRoleArn, type Scene } from '../fleet-scene.ts';
import { type Cause, makeMistake } from '../mistakes.ts';
import { explainedAbout } from '../refusal.ts';

type Device = Program;
interface Row {
  readonly mistake: string;
  /** The device as it is at first, beside its client id, its claim and the template "fleet". */
  readonly device?: (world: World, name: string) => Promise<Partial<Device>>;
  readonly causes: readonly Cause<Device>[];
  readonly times?: number;
}
interface World {
  readonly scene: Scene;
  /** Of every device, but where the service is asked for one. */
  readonly own: OwnKey;
  /** The file of a function. */
  function(name: string): string;
  /** A claim with this policy. */
  claimWith(name: string, policyDocument: string): Promise<Device['claim']>;
}

/** The claim policy as the guide has it, for every template. */
const policy = claimPolicy('*');
const allow = 'export default async () => ({ allowProvisioning: true });\n';
/** What a device of another line of work than ours is corrected to. */
const instead =
  (change: Partial<Device>): NonNullable<Cause<Device>['done']> =>
  (device) => ({ ...device, ...change });

const jitpParameters = {
  'AWS::IoT::Certificate::Id': { Type: 'String' },
  SerialNumber: { Type: 'String', Default: '1' },
};

/** Made of itself, as a device that does not read the answer would have it. */
const select = (index: string) => ({ 'Fn::Select': [index, { 'Fn::Split': ['-', { Ref: 'SerialNumber' }] }] });
const withThing = (properties: object, overrides: object = {}) => {
  const body = fleetTemplate('device', '');
  const thing = { Type: 'AWS::IoT::Thing', Properties: properties, OverrideSettings: overrides };
  return { ...body, Resources: { ...body.Resources, thing } };
};
/** A template with a hook of this name. */
const hooked =
  (hook: string, source?: string): NonNullable<Row['device']> =>
  async (world, name) => {
    if (source !== undefined) await writeFile(world.function(hook), source);
    await world.scene.template(name, fleetTemplate('device', `${name}-`), { hook });
    return { templateName: name };
  };
/** The function is corrected where the row has put it. */
const corrected =
  (world: () => World, hook: string): NonNullable<Cause<Device>['done']> =>
  async (device, { output }) => {
    assert.match(output, new RegExp(`function:${hook}"`), 'the command names the function');
    await writeFile(world().function(hook), allow);
    return device;
  };

const newOwn = async ({ folder }: Scene): Promise<OwnKey> => {
  const { certificateSigningRequest } = await newCsr(folder, 'own');
  return { certificateSigningRequest, privateKey: await readFile(join(folder, 'own.key'), 'utf8') };
};

const readOwn = async (folder: string, name: string): Promise<OwnKey> => {
  const [certificateSigningRequest, privateKey] = await Promise.all(
    ['csr', 'key'].map((end) => readFile(join(folder, `${name}.${end}`), 'utf8')),
  );
  return { certificateSigningRequest: certificateSigningRequest ?? '', privateKey: privateKey ?? '' };
};

const open = async (scene: Scene): Promise<World> => ({
  scene,
  own: await newOwn(scene),
  function: (name) => join(dirname(scene.dataFolder), 'functions', accountId, `${name}.mjs`),
  async claimWith(policyName, policyDocument) {
    await scene.iot().send(new CreatePolicyCommand({ policyName, policyDocument }));
    return scene.newClaim(policyName);
  },
});

const rowsOf = (world: World): readonly Row[] => [
  {
    mistake: "the guide's create/* in the claim policy of a device with a key of its own",
    device: async ({ claimWith }, name) => ({ claim: await claimWith(name, claimPolicy('*', 'create')) }),
    causes: [{ names: /create-from-csr\/json".*but create\/ does not cover create-from-csr\// }],
  },
  {
    mistake: 'topic/ for topicfilter/ in the claim policy',
    device: async ({ claimWith }, name) => ({
      claim: await claimWith(name, policy.replaceAll(':topicfilter/', ':topic/')),
    }),
    causes: [
      {
        names:
          /refused iot:Subscribe on "topicfilter\/\$aws\/certificates\/.*subscribed to is a topicfilter\/ in a policy, not a topic\/\.$/,
      },
      { names: /refused iot:Subscribe on "topicfilter\/\$aws\/provisioning-templates\/.*not a topic\/\.$/ },
    ],
  },
  {
    mistake: 'topicfilter/ for topic/ in the claim policy',
    device: async ({ claimWith }, name) => ({
      claim: await claimWith(name, policy.replaceAll(/:topic\/(\$aws\/certificates)/g, ':topicfilter/$1')),
      version: 5,
      own: undefined,
    }),
    causes: [
      { names: /refused iot:Publish on "topic\/\$aws\/certificates\/create\/json".*here the resource is a topic\/\.$/ },
    ],
  },
  {
    mistake: 'nothing is subscribed to before it is asked',
    device: async () => ({ subscribesTo: () => [], overlaps: true }),
    causes: [
      {
        names: /without a subscription to the reply's topic "\$aws\/certificates\/create-from-csr\/json\/accepted"/,
        says: /^Subscribe to ".*accepted" and ".*rejected", wait for the SUBACK, and only then publish/,
        done: ({ subscribesTo: _, overlaps: _twice, ...device }) => device,
      },
    ],
  },
  {
    mistake: 'no iot:Receive in the claim policy',
    device: async ({ claimWith }, name) => ({ claim: await claimWith(name, policy.replace(',"iot:Receive"', '')) }),
    causes: [
      { names: /refused iot:Receive on "topic\/\$aws\/certificates\/create-from-csr\/json\/accepted"/ },
      { names: /refused iot:Receive on "topic\/\$aws\/provisioning-templates\/fleet\/provision\/json\/accepted"/ },
    ],
  },
  {
    mistake: 'the claim policy is for another template',
    device: async ({ claimWith }, name) => ({ claim: await claimWith(name, claimPolicy('fleet-2')) }),
    causes: [
      {
        names:
          /refused iot:Publish on "topic\/\$aws\/provisioning-templates\/fleet\/provision\/json": .* only on other resources/,
        says: /^If it may be provisioned by the template "fleet", this allows that request and its replies/,
      },
    ],
  },
  {
    mistake: 'a typing error in the name of the template',
    device: async () => ({ templateName: 'flete' }),
    causes: [
      {
        names: /asked for its thing by the provisioning template "flete", which does not exist/,
        says: /^Let the device name one of those that exist/,
        commands: true,
        done(device, { output }) {
          const [templateName = ''] = /"(fleet)"/.exec(output)?.slice(1) ?? [];
          return { ...device, templateName };
        },
      },
    ],
  },
  {
    mistake: 'the template is disabled',
    async device({ scene }, name) {
      await scene.template(name, fleetTemplate('device', `${name}-`), { enabled: false });
      return { templateName: name };
    },
    causes: [{ names: /cannot be used: Provisioning template \S+ is not enabled\.$/ }],
  },
  {
    mistake: 'the template is of type JITP',
    async device({ scene }, templateName) {
      const templateBody = JSON.stringify({ ...fleetTemplate('device', ''), Parameters: { ...jitpParameters } });
      await scene.iot().send(
        new CreateProvisioningTemplateCommand({
          ...{ templateName, templateBody, type: 'JITP', provisioningRoleArn },
          enabled: true,
        }),
      );
      return { templateName };
    },
    causes: [
      {
        names: /is of type JITP, not FLEET_PROVISIONING\.$/,
        says: /let the device name one of type FLEET_PROVISIONING/,
        commands: true,
        done(device, { output }) {
          const names: string[] = JSON.parse(output);
          assert.ok(!names.includes(device.templateName));
          return { ...device, templateName: names.find((each) => each === 'fleet') ?? '' };
        },
      },
    ],
  },
  {
    mistake: 'a parameter is missing',
    device: async () => ({ parameters: { serialNumber: '8' } }),
    causes: [
      {
        names: /parameter "SerialNumber" has neither value nor Default; the device sent serialNumber\.$/,
        says: /^Let the device send what the template declares/,
        commands: true,
        done(device, { output }) {
          const [parameter = ''] = Object.keys(JSON.parse(output).Parameters);
          return { ...device, parameters: { [parameter]: '8' } };
        },
      },
    ],
  },
  {
    mistake: 'Fn::Select beyond what the parameter has',
    async device({ scene }, name) {
      await scene.template(name, withThing({ ThingName: select('2') }));
      return { templateName: name, parameters: { SerialNumber: 'line-7' } };
    },
    causes: [
      {
        names: /Resources\.thing\.Properties\.ThingName\S*: the index is out of range; the device sent SerialNumber\.$/,
        says: /^Let the device send what the template declares/,
        commands: true,
        done: instead({ parameters: { SerialNumber: 'line-7-select' } }),
      },
    ],
  },
  {
    mistake: 'a token is used again for another thing',
    async device({ scene }, name) {
      const former = {
        clientId: `${name}-0`,
        claim: scene.claim,
        templateName: 'fleet',
        parameters: { SerialNumber: `${name}-0` },
      };
      const { given } = await runDevice(scene.node, former);
      assert.ok(given);
      return { kept: given };
    },
    causes: [
      {
        names: /with an ownership token that has served already, for another request\.$/,
        says: /^Let the device ask for a new certificate/,
        done: ({ kept: _, ...device }) => device,
      },
    ],
  },
  {
    mistake: 'a token of another claim',
    async device({ scene, own }) {
      const other = { clientId: 'lender', claim: await scene.newClaim(), templateName: 'fleet', parameters: {}, own };
      const { given } = await runDevice(scene.node, { ...other, asksForNoThing: true });
      assert.ok(given);
      return { kept: given };
    },
    causes: [
      {
        names: /with an ownership token that another claim certificate was given\.$/,
        says: /^Let the device ask for a certificate and for its thing with one claim certificate/,
        done: ({ kept: _, ...device }) => device,
      },
    ],
  },
  {
    mistake: 'the hook says no',
    device: hooked('strict', 'export default async () => ({ allowProvisioning: false });\n'),
    causes: [
      {
        names: /^The pre-provisioning hook of .* did not let .* be provisioned: .* answered allowProvisioning false\.$/,
        says: /correct the function; within five seconds it must answer \{"allowProvisioning": true\}/,
        commands: true,
        done: corrected(() => world, 'strict'),
      },
    ],
  },
  {
    mistake: 'the hook takes longer than five seconds',
    device: hooked('slow', 'export default () => new Promise((resolve) => setTimeout(resolve, 60_000));\n'),
    times: 1,
    causes: [
      {
        names: /did not let .* be provisioned: The function slow did not answer within 5 s/,
        says: /within five seconds it must answer/,
        commands: true,
        done: corrected(() => world, 'slow'),
      },
    ],
  },
  {
    mistake: 'the function of the hook does not exist',
    device: hooked('absent'),
    causes: [
      {
        names: /There is no function absent of account \d+\. Put it into the folder of --functions as \d+\/absent\.mjs/,
        commands: true,
        done: corrected(() => world, 'absent'),
      },
    ],
  },
  {
    mistake: 'the template names a policy that does not exist',
    async device({ scene }, name) {
      await scene.template(name, fleetTemplate('forgotten', `${name}-`));
      return { templateName: name };
    },
    causes: [{ names: /which names the policy "forgotten": there is none\.$/ }],
  },
  {
    mistake: 'OverrideSettings that say FAIL, for a thing that exists',
    async device({ scene }, name) {
      await scene.template(name, withThing({ ThingName: { Ref: 'SerialNumber' } }, { AttributePayload: 'FAIL' }));
      await scene.iot().send(new CreateThingCommand({ thingName: name }));
      return { templateName: name };
    },
    causes: [
      {
        names: /something that exists is different: Thing \S+ exists already, .* OverrideSettings say FAIL\.$/,
        says: /^Say in OverrideSettings of the template what is to become of what exists \(REPLACE, MERGE, DO_NOTHING\)/,
        commands: true,
        async done(device, { output }) {
          const templateBody = output.replace('"AttributePayload":"FAIL"', '"AttributePayload":"MERGE"');
          const { templateName } = device;
          const version = { templateName, templateBody, setAsDefault: true };
          await world.scene.iot().send(new CreateProvisioningTemplateVersionCommand(version));
          return device;
        },
      },
    ],
  },
  {
    mistake: 'the claim is INACTIVE',
    async device({ scene }) {
      const claim = await scene.newClaim();
      await scene
        .iot()
        .send(new UpdateCertificateCommand({ certificateId: claim.certificateId, newStatus: 'INACTIVE' }));
      return { claim };
    },
    causes: [{ names: /showed the certificate \w{8}, .* but INACTIVE\.$/ }],
  },
  {
    mistake: 'a request for a certificate that is none',
    device: async () => ({ own: { certificateSigningRequest: 'MIIB', privateKey: '' } }),
    causes: [
      {
        names: /sent a certificate signing request that cannot be used/,
        says: /^Send it in PEM, with an RSA key of 2048 bits or more, or on P-256/,
        commands: true,
        async done(device, { folder }) {
          return { ...device, own: await readOwn(folder, 'device') };
        },
      },
    ],
  },
  {
    mistake: 'it asks on the topic of the answer',
    device: async () => ({ asksOn: (topic: string) => `${topic}/accepted` }),
    causes: [
      {
        names: /was refused to publish on "\$aws\/certificates\/create-from-csr\/json\/accepted"/,
        says: /publish to the request topic in front of it, and subscribe to this one/,
        done: ({ asksOn: _, ...device }) => device,
      },
    ],
  },
  {
    mistake: 'a request that is not JSON',
    device: async () => ({
      writes: (members: object) => JSON.stringify(members).replaceAll('"', "'").replace('{}', "{'a'}"),
    }),
    causes: [
      {
        names: /sent a request of fleet provisioning that cannot be read: The payload is not JSON\.$/,
        says: /^Send a map with text keys in the format that the last level of the topic names/,
        done: ({ writes: _, ...device }) => device,
      },
    ],
  },
  {
    mistake: 'it never asks for its thing',
    device: async () => ({ asksForNoThing: true }),
    causes: [
      {
        names: /but PENDING_ACTIVATION, as one made for a claim is until its device has asked for its thing\.$/,
        says: /^Let the device ask for its thing with the ownership token/,
        commands: 'another way',
        done: instead({ asksForNoThing: false }),
      },
    ],
  },
];

test('mistakes in provisioning by claim', { concurrency: true }, async (t) => {
  const scene = await openScene(t);
  await scene.template('fleet', fleetTemplate('device', 'fleet-'));
  const world = await open(scene);
  const rows = rowsOf(world);
  await Promise.all(
    rows.map(({ mistake, device: made, causes, times = 2 }, index) =>
      t.test(mistake, async () => {
        const name = `mistake-${index}`;
        const own = (await made?.(world, name)) ?? {};
        const device: Device = {
          ...{ clientId: name, claim: scene.claim, templateName: 'fleet', parameters: { SerialNumber: name } },
          ...{ own: world.own, localAddress: `127.0.1.${index + 1}` },
          ...own,
        };
        await makeMistake<Device>(
          scene,
          { device, causes, times },
          { subject: ({ clientId }) => clientId, attempt: (each) => runDevice(scene.node, each) },
        );
        const { printed } = await explainedAbout(scene, name, /was provisioned by/);
        assert.match(
          printed,
          / {2}How it went\n {4}\+ \S+ {2}connected with the claim certificate \w{8} as "mistake-\d+"\n/,
        );
      }),
    ),
  );
});
