/**
 * Calls on domains, their certificates, IAM, STS and role aliases that a rule of the operation refuses: named by `fleetgate explain`, cured by what that prints, and
 * then they succeed (issue 6, acceptance 5). One row for every cure that there is: a new one without a row does not compile.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as acm from '@aws-sdk/client-acm';
import * as iam from '@aws-sdk/client-iam';
import * as iot from '@aws-sdk/client-iot';
import { AssumeRoleCommand } from '@aws-sdk/client-sts';
import type { callCures } from '../../src/journal/explain-calls.ts';
import { startDnsServer } from '../dns-server.ts';
import { type Booted, bootNode, makeIdentity } from '../harness.ts';
import { allowing, bootIam, type Keys, keysOf, rootKeys, trusting } from '../iam-scene.ts';
import { type Cause, makeMistake } from '../mistakes.ts';

const account = '000000000000';
const arn = (resource: string): string => `arn:aws:iam::${account}:${resource}`;
const document = allowing('iot:*');
const AWSDenyAll = 'arn:aws:iam::aws:policy/AWSDenyAll';

const boot = async (t: Parameters<typeof bootIam>[0]) => {
  const scene = await bootIam(t);
  const clients = { iot: scene.iot(), acm: scene.acm(), iam: scene.iam() };
  return {
    ...scene,
    clients,
    send: {
      iot: (command: unknown) => clients.iot.send(command as never) as Promise<unknown>,
      acm: (command: unknown) => clients.acm.send(command as never) as Promise<unknown>,
      iam: (command: unknown) => clients.iam.send(command as never) as Promise<unknown>,
    },
  };
};
type Scene = Awaited<ReturnType<typeof boot>>;
type Call = () => Promise<unknown>;

interface Row {
  readonly sentence: RegExp;
  /** The call that is refused, after everything that it meets is there. */
  prepare(scene: Scene): Promise<Call> | Call;
  /** The call that succeeds after the cure; default: the same. */
  readonly after?: (scene: Scene, left: { readonly folder: string; readonly output: string }) => Promise<Call> | Call;
}

const requested = async ({ clients }: Scene, DomainName: string): Promise<string> => {
  const command = new acm.RequestCertificateCommand({ DomainName, ValidationMethod: 'DNS' });
  return (await clients.acm.send(command)).CertificateArn ?? '';
};

const rows: Readonly<Record<keyof typeof callCures, Row>> = {
  'iot:CreateDomainConfiguration InvalidRequestException': {
    sentence: /^The call iot:CreateDomainConfiguration was refused: The authentication type CUSTOM_AUTH needs/,
    prepare({ send }) {
      const input: iot.CreateDomainConfigurationCommandInput = {
        ...{ domainConfigurationName: 'wrong', applicationProtocol: 'HTTPS', authenticationType: 'CUSTOM_AUTH' },
        authorizerConfig: { defaultAuthorizerName: 'mine' },
        tlsConfig: { securityPolicy: 'IoTSecurityPolicy_None' },
      };
      return () => send.iot(new iot.CreateDomainConfigurationCommand(input));
    },
    after:
      ({ send }) =>
      () =>
        send.iot(new iot.DescribeDomainConfigurationCommand({ domainConfigurationName: 'wrong' })),
  },
  'iot:UpdateDomainConfiguration InvalidRequestException': {
    sentence: /The application protocol MQTT_WSS goes with .*, not with AWS_X509\.$/,
    async prepare({ send }) {
      await send.iot(new iot.CreateDomainConfigurationCommand({ domainConfigurationName: 'pair' }));
      const pair = { applicationProtocol: 'MQTT_WSS', authenticationType: 'AWS_X509' } as const;
      return () => send.iot(new iot.UpdateDomainConfigurationCommand({ domainConfigurationName: 'pair', ...pair }));
    },
    after: (scene) => async () => {
      const found = await scene.clients.iot.describeDomainConfiguration({ domainConfigurationName: 'pair' });
      assert.deepEqual([found.applicationProtocol, found.authenticationType], ['MQTT_WSS', 'AWS_SIGV4']);
    },
  },
  'iot:CreateDomainConfiguration ResourceAlreadyExistsException': {
    sentence: /Domain configuration with given name already exists\.$/,
    async prepare({ send }) {
      const create = new iot.CreateDomainConfigurationCommand({ domainConfigurationName: 'twice' });
      await send.iot(create);
      return () => send.iot(create);
    },
    after({ send }, { output }) {
      assert.match(output, /^twice\td\w{20}-ats\.iot\.us-east-1\.localhost\tENABLED$/m);
      return () => send.iot(new iot.CreateDomainConfigurationCommand({ domainConfigurationName: 'thrice' }));
    },
  },
  'iot:UpdateDomainConfiguration ResourceNotFoundException': {
    sentence: /The domain configuration Pair does not exist\.$/,
    prepare:
      ({ send }) =>
      () =>
        send.iot(new iot.UpdateDomainConfigurationCommand({ domainConfigurationName: 'Pair' })),
    after({ send }, { output }) {
      assert.match(output, /^pair\t/m);
      return () => send.iot(new iot.UpdateDomainConfigurationCommand({ domainConfigurationName: 'pair' }));
    },
  },
  'iot:DeleteDomainConfiguration ResourceNotFoundException': {
    sentence: /The domain configuration gone does not exist\.$/,
    prepare:
      ({ send }) =>
      () =>
        send.iot(new iot.DeleteDomainConfigurationCommand({ domainConfigurationName: 'gone' })),
    after(_, { output }) {
      assert.doesNotMatch(output, /^gone\t/m);
      return async () => undefined;
    },
  },
  'iot:CreateRoleAlias ResourceAlreadyExistsException': {
    sentence: /Role alias cannot be created - name already exists/,
    async prepare({ send }) {
      for (const RoleName of ['first', 'second']) {
        await send.iam(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trusting(account) }));
      }
      const create = (role: string) => () =>
        send.iot(new iot.CreateRoleAliasCommand({ roleAlias: 'lamps', roleArn: arn(`role/${role}`) }));
      await create('first')();
      return create('second');
    },
    after:
      ({ clients }) =>
      async () => {
        const { roleAliasDescription } = await clients.iot.describeRoleAlias({ roleAlias: 'lamps' });
        assert.equal(roleAliasDescription?.roleArn, arn('role/second'));
      },
  },
  'iot:CreateRoleAlias InvalidRequestException': {
    sentence: /roleArn "arn:aws:iam::000000000000:user\/second" is not the ARN of an IAM role\.$/,
    prepare:
      ({ send }) =>
      () =>
        send.iot(new iot.CreateRoleAliasCommand({ roleAlias: 'more', roleArn: arn('user/second') })),
    after({ send }, { output }) {
      const [roleArn = ''] = /arn:aws:iam::\d{12}:role\/second/.exec(output) ?? [];
      return () => send.iot(new iot.CreateRoleAliasCommand({ roleAlias: 'more', roleArn }));
    },
  },
  'iot:UpdateRoleAlias ResourceNotFoundException': {
    sentence: /Role alias does not exist\.$/,
    prepare:
      ({ send }) =>
      () =>
        send.iot(new iot.UpdateRoleAliasCommand({ roleAlias: 'More' })),
    after({ send }, { output }) {
      const [roleAlias = ''] = /more/.exec(output) ?? [];
      return () => send.iot(new iot.UpdateRoleAliasCommand({ roleAlias }));
    },
  },
  'iot:DeleteRoleAlias ResourceNotFoundException': {
    sentence: /Role alias does not exist\.$/,
    prepare:
      ({ send }) =>
      () =>
        send.iot(new iot.DeleteRoleAliasCommand({ roleAlias: 'MORE' })),
    after({ send }, { output }) {
      const [roleAlias = ''] = /more/.exec(output) ?? [];
      return () => send.iot(new iot.DeleteRoleAliasCommand({ roleAlias }));
    },
  },
  'acm:RequestCertificate InvalidParameterException': {
    sentence: /The validation method EMAIL \(the default\) is not available .*: ask for ValidationMethod DNS\.$/,
    prepare:
      ({ send }) =>
      () =>
        send.acm(new acm.RequestCertificateCommand({ DomainName: 'a.example.test', KeyAlgorithm: 'RSA_4096' })),
    after({ send }, { output }) {
      const { CertificateArn } = JSON.parse(output);
      return () => send.acm(new acm.DescribeCertificateCommand({ CertificateArn }));
    },
  },
  'acm:ImportCertificate ValidationException': {
    sentence: /The private key does not match the certificate\.$/,
    async prepare({ send, folder }) {
      const [one, other] = [await makeIdentity(folder, 'one'), await makeIdentity(folder, 'other')];
      const Certificate = Buffer.from(one.certificatePem);
      const PrivateKey = await readFile(other.keyFile);
      return () => send.acm(new acm.ImportCertificateCommand({ Certificate, PrivateKey }));
    },
    async after({ send }, { folder, output }) {
      assert.deepEqual(await readdir(folder), [], 'where those that were refused lie, nothing is read or written');
      const { CertificateArn } = JSON.parse(output);
      return () => send.acm(new acm.DescribeCertificateCommand({ CertificateArn }));
    },
  },
  'acm:DeleteCertificate ResourceInUseException': {
    sentence: /is in use by arn:aws:iot:us-east-1:000000000000:domainconfiguration\/used\/\w+\.$/,
    async prepare(scene) {
      const CertificateArn = await requested(scene, 'used.example.test');
      const { clients, send } = scene;
      const domain = { domainName: 'used.example.test', serverCertificateArns: [CertificateArn] };
      await clients.iot.createDomainConfiguration({ domainConfigurationName: 'used', ...domain });
      return () => send.acm(new acm.DeleteCertificateCommand({ CertificateArn }));
    },
  },
  'acm:* RequestInProgressException': {
    sentence: /^The call acm:GetCertificate was refused: Certificate arn:\S+ is not issued yet\.$/,
    async prepare(scene) {
      const CertificateArn = await requested(scene, 'pending.example.org');
      return () => scene.send.acm(new acm.GetCertificateCommand({ CertificateArn }));
    },
    after: (_, { output }) => {
      assert.match(
        output,
        /^_[0-9a-f]{32}\.pending\.example\.org\.\tCNAME\t_[0-9a-f]{32}\.\w+\.acm-validations\.aws\.$/m,
      );
      return async () => undefined;
    },
  },
  'acm:* ResourceNotFoundException': {
    sentence: /^The call acm:DeleteCertificate was refused: Could not find certificate arn:/,
    async prepare(scene) {
      const CertificateArn = (await requested(scene, 'there.example.test')).replace(/.{12}$/, '000000000000');
      return () => scene.send.acm(new acm.DeleteCertificateCommand({ CertificateArn }));
    },
    after({ send }, { output }) {
      const [, CertificateArn] = /^(arn:\S+)\tthere\.example\.test\tISSUED$/m.exec(output) ?? [];
      return () => send.acm(new acm.DeleteCertificateCommand({ CertificateArn }));
    },
  },
  'iam:DeleteUser DeleteConflictException': {
    sentence: /^The call iam:DeleteUser was refused: Cannot delete entity, must delete access keys first\.$/,
    async prepare({ send, user }) {
      await user('busy', document);
      await send.iam(new iam.CreateGroupCommand({ GroupName: 'some' }));
      await send.iam(new iam.AddUserToGroupCommand({ UserName: 'busy', GroupName: 'some' }));
      await send.iam(new iam.AttachUserPolicyCommand({ UserName: 'busy', PolicyArn: AWSDenyAll }));
      return () => send.iam(new iam.DeleteUserCommand({ UserName: 'busy' }));
    },
  },
  'iam:DeleteGroup DeleteConflictException': {
    sentence: /must remove users from group first\.$/,
    async prepare({ send, user }) {
      await user('member');
      await send.iam(new iam.CreateGroupCommand({ GroupName: 'busy' }));
      await send.iam(new iam.AddUserToGroupCommand({ UserName: 'member', GroupName: 'busy' }));
      await send.iam(new iam.AttachGroupPolicyCommand({ GroupName: 'busy', PolicyArn: AWSDenyAll }));
      const own = { GroupName: 'busy', PolicyName: 'own', PolicyDocument: document };
      await send.iam(new iam.PutGroupPolicyCommand(own));
      return () => send.iam(new iam.DeleteGroupCommand({ GroupName: 'busy' }));
    },
  },
  'iam:DeleteRole DeleteConflictException': {
    sentence: /must detach all policies first\.$/,
    async prepare({ send }) {
      const RoleName = 'busy';
      await send.iam(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trusting(account) }));
      await send.iam(new iam.AttachRolePolicyCommand({ RoleName, PolicyArn: AWSDenyAll }));
      await send.iam(new iam.PutRolePolicyCommand({ RoleName, PolicyName: 'own', PolicyDocument: document }));
      return () => send.iam(new iam.DeleteRoleCommand({ RoleName }));
    },
  },
  'iam:DeletePolicy DeleteConflictException': {
    sentence: /Cannot delete a policy attached to entities\.$/,
    async prepare({ send, user }) {
      await user('bearer');
      const PolicyArn = arn('policy/worn');
      await send.iam(new iam.CreatePolicyCommand({ PolicyName: 'worn', PolicyDocument: document }));
      await send.iam(new iam.CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: document }));
      await send.iam(new iam.CreateGroupCommand({ GroupName: 'bearers' }));
      const RoleName = 'bearer';
      await send.iam(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trusting(account) }));
      await send.iam(new iam.AttachUserPolicyCommand({ UserName: 'bearer', PolicyArn }));
      await send.iam(new iam.AttachGroupPolicyCommand({ GroupName: 'bearers', PolicyArn }));
      await send.iam(new iam.AttachRolePolicyCommand({ RoleName, PolicyArn }));
      return () => send.iam(new iam.DeletePolicyCommand({ PolicyArn }));
    },
  },
  'iam:DeletePolicyVersion DeleteConflictException': {
    sentence: /Cannot delete the default version of a policy\.$/,
    async prepare({ send }) {
      const PolicyArn = arn('policy/two');
      await send.iam(new iam.CreatePolicyCommand({ PolicyName: 'two', PolicyDocument: document }));
      await send.iam(new iam.CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: document }));
      return () => send.iam(new iam.DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v1' }));
    },
  },
  'iam:CreatePolicyVersion LimitExceededException': {
    sentence: /A managed policy can have up to 5 versions\./,
    async prepare({ send }) {
      const PolicyArn = arn('policy/five');
      const make = () => send.iam(new iam.CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: document }));
      await send.iam(new iam.CreatePolicyCommand({ PolicyName: 'five', PolicyDocument: document }));
      for (let version = 2; version <= 5; version++) await make();
      return make;
    },
  },
  'iam:CreateAccessKey LimitExceededException': {
    sentence: /Cannot exceed quota for AccessKeysPerUser: 2\.$/,
    async prepare({ send, user }) {
      await user('keys');
      const make = () => send.iam(new iam.CreateAccessKeyCommand({ UserName: 'keys' }));
      await make();
      return make;
    },
  },
  'iam:* EntityAlreadyExistsException': {
    sentence: /^The call iam:CreateUser was refused: User with name KEYS already exists\.$/,
    prepare:
      ({ send }) =>
      () =>
        send.iam(new iam.CreateUserCommand({ UserName: 'KEYS' })),
    after({ send }, { output }) {
      assert.match(output, /\bkeys\b/);
      return () => send.iam(new iam.GetUserCommand({ UserName: 'keys' }));
    },
  },
  'iam:* NoSuchEntityException': {
    sentence: /^The call iam:UpdateAccessKey was refused: The Access Key with id AKIA0{16} cannot be found\.$/,
    prepare:
      ({ send }) =>
      () => {
        const none = { UserName: 'keys', AccessKeyId: 'AKIA0000000000000000', Status: 'Active' } as const;
        return send.iam(new iam.UpdateAccessKeyCommand(none));
      },
    after({ send }, { output }) {
      const [AccessKeyId] = /AKIA[A-Z2-7]{16}(?=\tActive)/.exec(output) ?? [];
      return () => send.iam(new iam.UpdateAccessKeyCommand({ UserName: 'keys', AccessKeyId, Status: 'Active' }));
    },
  },
  'iam:* AccessDeniedException': {
    sentence: /^The call iam:CreatePolicyVersion was refused: Policy arn:\S+AWSDenyAll is managed by AWS/,
    prepare:
      ({ send }) =>
      () =>
        send.iam(new iam.CreatePolicyVersionCommand({ PolicyArn: AWSDenyAll, PolicyDocument: document })),
    after:
      ({ send }) =>
      () =>
        send.iam(new iam.CreatePolicyVersionCommand({ PolicyArn: arn('policy/AWSDenyAll'), PolicyDocument: document })),
  },
  'sts:AssumeRole AccessDeniedException': {
    sentence: /^The call sts:AssumeRole was refused: Roles may not be assumed by root accounts\.$/,
    async prepare({ send, stsAs }) {
      const RoleName = 'taken-on';
      await send.iam(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trusting(account) }));
      return () => assume(stsAs(rootKeys()), {});
    },
    after({ stsAs }, { output }) {
      const { AccessKey } = JSON.parse(output.slice(output.lastIndexOf('{\n    "AccessKey"')));
      return () => assume(stsAs(keysOf({ ...AccessKey, SessionToken: undefined })), {});
    },
  },
  'sts:AssumeRole InvalidRequestException': {
    sentence: /The requested DurationSeconds exceeds the MaxSessionDuration set for this role\.$/,
    async prepare({ user, stsAs }) {
      const keys: Keys = await user('hasty', allowing('sts:AssumeRole'));
      return () => assume(stsAs(keys), { DurationSeconds: 7200 });
    },
    // under the user's own key, as its cure would be pasted: the root may assume no role
    after:
      ({ stsAs, user }) =>
      async () => {
        await assume(stsAs(await user('patient', allowing('sts:AssumeRole'))), {});
      },
  },
  'iot:CreateDomainConfiguration LimitExceededException': {
    sentence: /An account has at most 10 domain configurations\.$/,
    async prepare({ send, clients: { iot: client } }) {
      const create = (name: string) =>
        send.iot(new iot.CreateDomainConfigurationCommand({ domainConfigurationName: name }));
      const { domainConfigurations = [] } = await client.listDomainConfigurations({ pageSize: 100 });
      const own = domainConfigurations.filter((it) => !it.domainConfigurationName?.startsWith('iot:'));
      for (let made = own.length; made < 10; made++) await create(`full-${made}`);
      return () => create('eleventh');
    },
    after:
      ({ node, send }, { output }) =>
      async () => {
        const [name = ''] = output.trim().split(/\s/);
        const domainConfigurationName = name.startsWith('iot:') ? 'full-9' : name;
        const off = { domainConfigurationName, domainConfigurationStatus: 'DISABLED' } as const;
        await send.iot(new iot.UpdateDomainConfigurationCommand(off));
        await node.clock.advance(7 * 86_400_000);
        await send.iot(new iot.DeleteDomainConfigurationCommand({ domainConfigurationName }));
        await send.iot(new iot.CreateDomainConfigurationCommand({ domainConfigurationName: 'eleventh' }));
      },
  },
};

const assume = (client: ReturnType<Scene['stsAs']>, more: { readonly DurationSeconds?: number }) =>
  client.send(new AssumeRoleCommand({ RoleArn: arn('role/taken-on'), RoleSessionName: 'shift', ...more }));

/** Its cure is carried out by whoever may; the root of the account may not. */
const notByRoot = 'sts:AssumeRole InvalidRequestException';

/** Makes the call, is refused, asks why and does what is said; then it succeeds. */
const cured = (scene: Booted, device: Call, cause: Cause<Call>) =>
  makeMistake(
    scene,
    { device, causes: [cause], times: 1 },
    {
      subject: () => 'last',
      attempt: (call) =>
        call().then(
          () => ({ isProvisioned: true, saw: [] }),
          (error: Error) => ({ isProvisioned: false, saw: [`${error.name}: ${error.message}`] }),
        ),
    },
  );

test('every cure of a refused call leads to a call that succeeds', async (t) => {
  const scene = await boot(t);
  for (const [name, { sentence, prepare, after }] of Object.entries(rows)) {
    await t.test(name, async () => {
      const cause: Cause<Call> = {
        names: sentence,
        commands: name === notByRoot ? 'another way' : true,
        async done(call, left) {
          return after ? after(scene, left) : call;
        },
      };
      await cured(scene, await prepare(scene), cause);
    });
  }
});

test('a domain configuration with a certificate that waits for its proof: the record is told, and made', async (t) => {
  const dns = await startDnsServer(t);
  const { node, ...scene } = await bootNode(t, { dnsServers: [dns.address] });
  const request = new acm.RequestCertificateCommand({ DomainName: 'iot.example.org', ValidationMethod: 'DNS' });
  const { CertificateArn = '' } = await scene.acm().send(request);
  const input = { domainName: 'iot.example.org', serverCertificateArns: [CertificateArn] };
  const create = () => scene.iot().createDomainConfiguration({ domainConfigurationName: 'mine', ...input });
  await cured({ node, ...scene }, create, {
    names:
      /^The domain configuration "mine" for iot\.example\.org was not created: .*does not exist, or is not issued\.$/,
    says: /^It is issued once its names are proven: put the records that this prints into DNS/,
    commands: true,
    async done(_, { output }) {
      const [name = '', , value = ''] = output.trim().split(/\s+/);
      await dns.serve({ [name.replace(/\.$/, '')]: value.replace(/\.$/, '') });
      await node.clock.advance(10_000);
      return create;
    },
  });
});
