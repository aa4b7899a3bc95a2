import { statSync } from 'node:fs';
import { quoted } from '../../aws/quoted.ts';
import { type BulkInput, noInput } from './bulk-input.ts';
import { hasBucket, openLocalBuckets } from './local-buckets.ts';
import { openS3Endpoint, type S3EndpointOptions } from './s3-endpoint.ts';

export interface InputOptions {
  /** Of `--buckets`. */
  readonly folder?: string;
  /** Of `--s3-endpoint`. */
  readonly s3?: S3EndpointOptions;
}

/** A bucket that the account has a folder for is that folder; all others are the endpoint's. Faults: Error, with a sentence for the operator. */
export const openInput = ({ folder, s3 }: InputOptions): BulkInput => {
  if (folder !== undefined && !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error(`--buckets must name a folder, and ${quoted(folder)} is none.`);
  }
  const local = folder === undefined ? undefined : openLocalBuckets(folder);
  const endpoint = s3 && openS3Endpoint(s3);
  if (folder === undefined || !local) return endpoint ?? noInput;
  if (!endpoint) return local;
  return {
    open: async (place, at) => ((await hasBucket(folder, place)) ? local : endpoint).open(place, at),
    close: endpoint.close,
  };
};
