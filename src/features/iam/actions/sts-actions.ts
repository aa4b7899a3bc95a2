/** What the operations of STS ask of IAM. Source: service authorization reference, "Actions, resources, and condition keys for AWS Security Token Service". */
import { all, keyed, type Rows, tagged } from './demand.ts';

export const stsRows: Rows<'sts'> = {
  AssumeRole: ({ RoleArn, RoleSessionName, ExternalId, SourceIdentity, Tags, TransitiveTagKeys }) =>
    all(
      { on: [RoleArn ?? ''] },
      keyed({
        'sts:RoleSessionName': RoleSessionName,
        'sts:ExternalId': ExternalId,
        'sts:SourceIdentity': SourceIdentity,
        'sts:TransitiveTagKeys': TransitiveTagKeys,
      }),
      tagged(Tags),
    ),
  // API reference, GetCallerIdentity and GetSessionToken: no permission is needed
  GetCallerIdentity: () => 'nothing',
  GetSessionToken: () => 'nothing',
};
