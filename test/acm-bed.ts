/** ACM over a real store and the real CA, for tests of requests and what becomes of them. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext } from 'node:test';
import type { Operations } from '../src/aws/operations.ts';
import { localBus } from '../src/bus/local.ts';
import type { Call, Feature } from '../src/feature.ts';
import { describeCertificate } from '../src/features/acm/describe-certificate.ts';
import { acm } from '../src/features/acm/feature.ts';
import type { IssuanceOptions } from '../src/features/acm/issuance.ts';
import { renewCertificate } from '../src/features/acm/issued-operations.ts';
import { openAcm } from '../src/features/acm/open-acm.ts';
import { requestCertificate } from '../src/features/acm/request-certificate.ts';
import { tags } from '../src/features/tags/feature.ts';
import { createKeyPool } from '../src/pki/key-pool.ts';
import { type OwnCa, openOwnCa } from '../src/pki/own-ca.ts';
import { createSecretBox } from '../src/pki/secret-box.ts';
import type { Store } from '../src/store/store.ts';
import { makeCall } from './call.ts';

export const acmBox = createSecretBox(new Uint8Array(32).fill(7));

export interface AcmSettings {
  readonly dnsServers?: readonly string[];
  readonly everyNameIsImmediate?: boolean;
  readonly development?: boolean;
  readonly lookUp?: (name: string) => Promise<readonly string[] | undefined>;
  readonly takeKeyPair?: IssuanceOptions['takeKeyPair'];
}

/** To be called once by a file of tests: its CA costs some keys, so all of them have one. */
export const acmBed = () => {
  let ca: OwnCa;
  let folderOfCa: string;
  before(async () => {
    folderOfCa = await mkdtemp(join(tmpdir(), 'fleetgate-test-'));
    ca = await openOwnCa(folderOfCa, { domain: 'localhost', defaultRegion: 'us-east-1' });
  });
  after(async () => {
    ca.close();
    await rm(folderOfCa, { recursive: true });
  });

  const start = async (t: TestContext, settings: AcmSettings = {}) => {
    const pool = createKeyPool({ keyPoolMax: 0 });
    t.after(pool.close);
    let offsetMs = 0;
    const now = () => Date.now() + offsetMs;
    const troubles: unknown[] = [];
    // the slice is made before the store that it works on
    let store: Store | undefined;
    const lateStore: Pick<Store, 'db' | 'write'> = {
      get db() {
        assert(store);
        return store.db;
      },
      write(unit) {
        assert(store);
        return store.write(unit);
      },
    };
    const bus = localBus();
    const renewed: string[] = [];
    bus.subscribe('changed.>', (_payload, subject) =>
      renewed.push(decodeURIComponent(subject.split('.').at(-1) ?? '')),
    );
    const acmRequests = openAcm({
      ...{ store: lateStore, bus, box: acmBox, now, issue: ca.issueServerCertificate, takeKeyPair: pool.take },
      ...{ validationKey: new Uint8Array(32).fill(9), dnsServers: ['127.0.0.1:1'] },
      ...{ everyNameIsImmediate: false, development: true, ...settings },
      trouble: (error) => troubles.push(error),
    });
    const slice: Feature = acm({ box: acmBox, acmRequests });
    const calls = await makeCall(t, { features: [tags({}), slice], now });
    store = calls.store;
    const request = requestCertificate(acmRequests);
    return {
      ...calls,
      /** The one that the task tells. */
      bus,
      troubles,
      /** ARNs whose change every node was told of by the task. */
      renewed,
      request,
      renew: renewCertificate(acmRequests.issuance),
      look: acmRequests.issuance.look,
      validationKey: acmRequests.validationKey,
      /** Moves the clock, and lets the task run. */
      async advance(ms: number) {
        offsetMs += ms;
        await acmRequests.issuance.turn(now());
      },
      async requested(input: Partial<Operations['acm']['RequestCertificate']['input']>): Promise<string> {
        const given = { DomainName: 'fleet.corp', ValidationMethod: 'DNS' as const, ...input };
        return String((await request(given, calls.call)).CertificateArn);
      },
    };
  };

  return {
    start,
    /** PEM. */
    rsaRoot: (): string => ca.rootPems.rsa,
  };
};

export const described = async (call: Call, CertificateArn: string) => {
  const { Certificate } = await describeCertificate({ CertificateArn }, call);
  assert(Certificate);
  return Certificate;
};
export const statusesOf = async (call: Call, arn: string) => {
  const { Status, DomainValidationOptions = [] } = await described(call, arn);
  return [Status, ...DomainValidationOptions.map(({ ValidationStatus }) => ValidationStatus)];
};
/** The records that the account has to make. */
export const recordsOf = async (call: Call, arn: string): Promise<Record<string, string>> => {
  const { DomainValidationOptions = [] } = await described(call, arn);
  const bare = (name = '') => name.replace(/\.$/, '');
  return Object.fromEntries(
    DomainValidationOptions.map(({ ResourceRecord }) => [bare(ResourceRecord?.Name), bare(ResourceRecord?.Value)]),
  );
};
