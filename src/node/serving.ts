/** What the listeners of the API and of HTTPS have in common: handlers, who may call them, and what is told of each call. */
import type { ApiLogEntry, RefusedCall } from '../api/dispatch.ts';
import type { AccountRegion } from '../aws/arn.ts';
import type { Fault } from '../aws/fault.ts';
import type { CredentialFacts } from '../aws/identity.ts';
import { type CallServices, makeCall } from '../call.ts';
import type { Arrival, Caller, Handlers } from '../feature.ts';
import { domainConfigurationArn, getOwnConfiguration } from '../features/domains/domain-configuration.ts';
import { createCallAuthorization } from '../features/iam/authorize-call.ts';
import { createDescribeResource } from '../features/iam/resource-facts.ts';
import { listTags } from '../features/tags/tag.ts';
import { signatureRecord } from '../gateway/signature-record.ts';
import { refusedCallRecord } from '../journal/refused-call.ts';
import type { Base } from './base.ts';
import type { Slices } from './slices.ts';

/** All handlers of all slices, by service. Two slices with one operation are refused. */
const collectHandlers = (features: Slices['features']): Handlers => {
  const collected: Record<string, Record<string, unknown>> = {};
  for (const { operations = {} } of features) {
    for (const [service, handlers] of Object.entries(operations)) {
      const known = collected[service] ?? {};
      collected[service] = known;
      for (const [name, handler] of Object.entries(handlers)) {
        if (name in known) throw new Error(`Two features handle ${service} ${name}`);
        known[name] = handler;
      }
    }
  }
  return collected;
};

export const openServing = (
  { store, log, credentials }: Base,
  { accounts, iam, features }: Pick<Slices, 'accounts' | 'iam' | 'features'>,
  services: CallServices,
) => {
  const { record } = services;
  return {
    handlers: collectHandlers(features),
    authorize: createCallAuthorization({
      ...{ iam, record },
      describe: createDescribeResource({
        db: store.db,
        listTags: (owner, arn) => listTags(store.db, owner, arn),
        async findDomainArn(owner, name) {
          const found = await getOwnConfiguration(store.db, owner, name);
          return found && domainConfigurationArn(owner, found);
        },
      }),
    }),
    credentials: async (accessKeyId: string, facts: CredentialFacts, sessionToken: string | undefined) =>
      credentials.find(accessKeyId, facts) ?? iam.findAnyKey(accessKeyId, facts, sessionToken),
    refused(asked: RefusedCall, fault: Fault) {
      const found = refusedCallRecord(asked, fault);
      if (found) record(found);
    },
    unproven(error: unknown, { source }: Arrival) {
      const found = signatureRecord(error);
      if (!found) return;
      const from = source && { sourceIp: source.ip, sourcePort: source.port };
      record({ eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP', ...from, ...found });
    },
    ensureAccount: async (owner: AccountRegion) => accounts.ensure(owner),
    makeCall(owner: AccountRegion, caller: Caller, arrival: Arrival, operation: string) {
      iam.used(caller.accessKeyId, operation.slice(0, operation.indexOf(' ')), owner.region);
      return makeCall(services, { account: owner, caller, arrival, operation });
    },
    log({ error, account: owner, ...entry }: ApiLogEntry) {
      const fields = { ...entry, ...(owner && { accountId: owner.accountId }) };
      if (error !== undefined) log.server.error({ ...fields, err: error }, 'a request failed');
      else log.server.debug(fields, 'request');
    },
  };
};
