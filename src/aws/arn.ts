/** One account in one region: the scope of every resource. `accountId` is 12 digits, `region` e.g. `us-east-1`. */
export interface AccountRegion {
  readonly accountId: string;
  readonly region: string;
}

/** The resource types of `arn:aws:iot:<region>:<account>:<type>/<name>` that Fleetgate knows. Source: spec identity 1.3. */
export type ResourceType =
  | 'cert'
  | 'cacert'
  | 'policy'
  | 'thing'
  | 'client'
  | 'topic'
  | 'topicfilter'
  | 'thinggroup'
  | 'provisioningtemplate'
  | 'domainconfiguration'
  | 'rolealias';

/** The ARN of an IoT resource, e.g. `arn:aws:iot:us-east-1:000000000000:cert/<certificateId>`. */
export const iotArn = (account: AccountRegion, type: ResourceType, name: string): string =>
  `arn:aws:iot:${account.region}:${account.accountId}:${type}/${name}`;

export interface ParsedArn extends AccountRegion {
  readonly partition: string;
  readonly service: string;
  /** What stands before the first `/` or `:` of the resource part, e.g. `cert`. */
  readonly resourceType: string;
  /** What stands after it; may contain further `/` and `:`. */
  readonly resourceName: string;
}

const arnPattern = /^arn:(aws|aws-cn|aws-us-gov):([a-z0-9-]+):([a-z0-9-]*):([0-9]{12}|):([^/:]+)[/:]([\s\S]+)$/;

/** Takes an ARN apart; undefined when it is none. */
export const parseArn = (text: string): ParsedArn | undefined => {
  const match = arnPattern.exec(text);
  if (!match) return undefined;
  const [, partition = '', service = '', region = '', accountId = '', resourceType = '', resourceName = ''] = match;
  return { partition, service, region, accountId, resourceType, resourceName };
};

export const sameAccount = (a: AccountRegion, b: AccountRegion): boolean =>
  a.accountId === b.accountId && a.region === b.region;

/** A key for maps that hold things of several accounts and regions. */
export const accountKey = (account: AccountRegion): string => `${account.accountId}/${account.region}`;
