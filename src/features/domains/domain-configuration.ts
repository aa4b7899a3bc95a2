/** A domain configuration: which name an account serves, how, and with which server certificate. Its record and its queries. Source: spec identity 8. */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { SecretBox, SecretRow } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import type { ApplicationProtocol, AuthenticationType } from '../../tls/served-domain.ts';
import { saveWildcards } from './domain-wildcard.ts';
import type { EndpointType } from './endpoint.ts';

interface DomainConfigurationsTable {
  account_id: string;
  region: string;
  name: string;
  suffix: string;
  domain_name: string;
  domain_type: string;
  status: string;
  status_changed_at_ms: number;
  created_at_ms: number;
  security_policy: string;
  authentication_type: string;
  application_protocol: string;
  server_certificate_arn: string | null;
  validation_certificate_arn: string | null;
  served_chain_pem: string | null;
  served_key_sealed: string | null;
  certificate_detail: string | null;
  enable_ocsp_check: number | null;
  ocsp_lambda_arn: string | null;
  ocsp_authorized_responder_arn: string | null;
  client_certificate_callback_arn: string | null;
}

declare module '../../store/tables.ts' {
  interface Tables {
    domain_configurations: DomainConfigurationsTable;
  }
}

export type DomainType = 'ENDPOINT' | 'AWS_MANAGED' | 'CUSTOMER_MANAGED';
export type DomainStatus = 'ENABLED' | 'DISABLED';

/** serverCertificateConfig: whether and how OCSP responses are stapled. Members as the API names them. */
export interface OcspConfig {
  readonly enableOCSPCheck?: boolean;
  readonly ocspLambdaArn?: string;
  readonly ocspAuthorizedResponderArn?: string;
}

export interface DomainConfiguration {
  readonly account: AccountRegion;
  readonly name: string;
  /** What AWS appends to the ARN; '' for the default endpoints. */
  readonly suffix: string;
  /** Lower case. Of a default endpoint it is drawn from the server's `--domain`, and no row keeps it. */
  readonly domainName: string;
  readonly domainType: DomainType;
  readonly status: DomainStatus;
  readonly statusChangedAtMs: number;
  readonly createdAtMs: number;
  readonly securityPolicy: string;
  readonly authenticationType: AuthenticationType;
  readonly applicationProtocol: ApplicationProtocol;
  /** CUSTOMER_MANAGED only. */
  readonly serverCertificateArn: string | undefined;
  readonly validationCertificateArn: string | undefined;
  /** The chain that is presented; its key is sealed. */
  readonly served: { readonly chainPem: string; readonly keySealed: string } | undefined;
  /** Why what ACM has now is not what is presented; undefined: it is. */
  readonly certificateDetail: string | undefined;
  readonly ocsp: OcspConfig;
  readonly clientCertificateCallbackArn: string | undefined;
}

/** AWS's default endpoints, which every account has and cannot create. */
export const defaultEndpoints = [
  'iot:Data-ATS',
  'iot:CredentialProvider',
  'iot:Jobs',
] as const satisfies EndpointType[];

export const domainConfigurationArn = (
  account: AccountRegion,
  { name, suffix }: Pick<DomainConfiguration, 'name' | 'suffix'>,
): string => iotArn(account, 'domainconfiguration', suffix === '' ? name : `${name}/${suffix}`);

const toDomainConfiguration = (row: DomainConfigurationsTable): DomainConfiguration => ({
  account: { accountId: row.account_id, region: row.region },
  name: row.name,
  suffix: row.suffix,
  domainName: row.domain_name,
  // written by this slice only, from values of these types
  domainType: row.domain_type as DomainType,
  status: row.status as DomainStatus,
  statusChangedAtMs: Number(row.status_changed_at_ms),
  createdAtMs: Number(row.created_at_ms),
  securityPolicy: row.security_policy,
  authenticationType: row.authentication_type as AuthenticationType,
  applicationProtocol: row.application_protocol as ApplicationProtocol,
  serverCertificateArn: row.server_certificate_arn ?? undefined,
  validationCertificateArn: row.validation_certificate_arn ?? undefined,
  served:
    row.served_chain_pem === null || row.served_key_sealed === null
      ? undefined
      : { chainPem: row.served_chain_pem, keySealed: row.served_key_sealed },
  certificateDetail: row.certificate_detail ?? undefined,
  ocsp: {
    ...(row.enable_ocsp_check !== null && { enableOCSPCheck: Number(row.enable_ocsp_check) === 1 }),
    ...(row.ocsp_lambda_arn !== null && { ocspLambdaArn: row.ocsp_lambda_arn }),
    ...(row.ocsp_authorized_responder_arn !== null && {
      ocspAuthorizedResponderArn: row.ocsp_authorized_responder_arn,
    }),
  },
  clientCertificateCallbackArn: row.client_certificate_callback_arn ?? undefined,
});

/** A name as its row has it: that of a default endpoint is no host's, as the host is another with another `--domain`. */
const domainNameKept = ({ account, name, domainName, domainType }: DomainConfiguration): string =>
  domainType === 'ENDPOINT' ? `${account.accountId}/${account.region}/${name}` : domainName;

const toRow = (configuration: DomainConfiguration): DomainConfigurationsTable => ({
  account_id: configuration.account.accountId,
  region: configuration.account.region,
  name: configuration.name,
  suffix: configuration.suffix,
  domain_name: domainNameKept(configuration),
  domain_type: configuration.domainType,
  status: configuration.status,
  status_changed_at_ms: configuration.statusChangedAtMs,
  created_at_ms: configuration.createdAtMs,
  security_policy: configuration.securityPolicy,
  authentication_type: configuration.authenticationType,
  application_protocol: configuration.applicationProtocol,
  server_certificate_arn: configuration.serverCertificateArn ?? null,
  validation_certificate_arn: configuration.validationCertificateArn ?? null,
  served_chain_pem: configuration.served?.chainPem ?? null,
  served_key_sealed: configuration.served?.keySealed ?? null,
  certificate_detail: configuration.certificateDetail ?? null,
  enable_ocsp_check:
    configuration.ocsp.enableOCSPCheck === undefined ? null : Number(configuration.ocsp.enableOCSPCheck),
  ocsp_lambda_arn: configuration.ocsp.ocspLambdaArn ?? null,
  ocsp_authorized_responder_arn: configuration.ocsp.ocspAuthorizedResponderArn ?? null,
  client_certificate_callback_arn: configuration.clientCertificateCallbackArn ?? null,
});

const rowsOf = (db: Db, { accountId, region }: AccountRegion) =>
  db.selectFrom('domain_configurations').selectAll().where('account_id', '=', accountId).where('region', '=', region);

/** What was created or changed by the account. */
export const getOwnConfiguration = async (
  db: Db,
  account: AccountRegion,
  name: string,
): Promise<DomainConfiguration | undefined> => {
  const row = await rowsOf(db, account).where('name', '=', name).executeTakeFirst();
  return row && toDomainConfiguration(row);
};

/** Whether there is a configuration whose ARN ends in this: `name/suffix`, or the name of a default endpoint. */
export const hasConfiguration = async (db: Db, account: AccountRegion, resourceName: string): Promise<boolean> => {
  if (defaultEndpoints.some((name) => name === resourceName)) return true;
  const [name = '', suffix = ''] = resourceName.split('/');
  const own = await getOwnConfiguration(db, account, name);
  return own !== undefined && resourceName === `${name}/${suffix}` && own.suffix === suffix;
};

/** Whoever serves a name, lower case; on this whole node it is one. Never a default endpoint. */
export const findByDomainName = async (db: Db, domainName: string): Promise<DomainConfiguration | undefined> => {
  const row = await db
    .selectFrom('domain_configurations')
    .selectAll()
    .where('domain_name', '=', domainName)
    .executeTakeFirst();
  return row && toDomainConfiguration(row);
};

/** All of the account that it made itself, by name. There are few: `domainConfigurationsMax`. */
export const listOwn = async (db: Db, account: AccountRegion): Promise<readonly DomainConfiguration[]> => {
  const rows = await rowsOf(db, account).where('domain_type', '!=', 'ENDPOINT').orderBy('name').execute();
  return rows.map(toDomainConfiguration);
};

/** All that present a certificate of ACM, or are vouched for by it. */
export const findUsersOfCertificate = async (
  db: Db,
  account: AccountRegion,
  arn: string,
): Promise<readonly DomainConfiguration[]> => {
  const rows = await rowsOf(db, account)
    .where((eb) =>
      eb.or([
        eb('server_certificate_arn', '=', arn),
        eb('validation_certificate_arn', '=', arn),
        eb('ocsp_authorized_responder_arn', '=', arn),
      ]),
    )
    .orderBy('name')
    .execute();
  return rows.map(toDomainConfiguration);
};

/** Of every account: what presents certificates of ACM, in the order of their keys, after `after`. */
export const listServing = async (db: Db, after: string, limit: number): Promise<readonly DomainConfiguration[]> => {
  const rows = await db
    .selectFrom('domain_configurations')
    .selectAll()
    .where('server_certificate_arn', 'is not', null)
    .where('domain_name', '>', after)
    .orderBy('domain_name')
    .limit(limit)
    .execute();
  return rows.map(toDomainConfiguration);
};

/** False when the name of the configuration, or the domain, is taken. */
export const insertDomainConfiguration = async (db: Db, configuration: DomainConfiguration): Promise<boolean> => {
  const result = await db
    .insertInto('domain_configurations')
    .values(toRow(configuration))
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
};

/** Writes all of it, whether or not it was there. */
export const saveDomainConfiguration = async (db: Db, configuration: DomainConfiguration): Promise<void> => {
  const row = toRow(configuration);
  await db
    .insertInto('domain_configurations')
    .values(row)
    .onConflict((conflict) => conflict.columns(['account_id', 'region', 'name']).doUpdateSet(row))
    .execute();
};

export const removeDomainConfiguration = async (
  db: Db,
  { accountId, region }: AccountRegion,
  name: string,
): Promise<void> => {
  await db
    .deleteFrom('domain_configurations')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('name', '=', name)
    .execute();
  await saveWildcards(db, { accountId, region }, name, []);
};

const keyRow = ({ accountId, region }: AccountRegion, name: string): SecretRow => ({
  accountId,
  kind: 'domain-server-key',
  id: `${region}/${name}`,
});

export const sealServerKey = (box: SecretBox, account: AccountRegion, name: string, keyPem: string): string =>
  box.seal(keyPem, keyRow(account, name));

/** Faults: SecretUnreadable. */
export const openServerKey = (box: SecretBox, { account, name }: DomainConfiguration, sealed: string): string =>
  box.open(sealed, keyRow(account, name)).toString('utf8');
