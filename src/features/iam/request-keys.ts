/** Condition keys of a request to the API itself, whose port speaks plain HTTP. Source: IAM user guide, "AWS global condition context keys". */
import type { Call } from '../../feature.ts';
import type { Keys } from './actions/demand.ts';

export const requestKeys = ({ account, arrival }: Pick<Call, 'account' | 'arrival'>): Keys => ({
  'aws:RequestedRegion': account.region,
  'aws:SecureTransport': 'false',
  ...(arrival.source && { 'aws:SourceIp': arrival.source.ip }),
});
