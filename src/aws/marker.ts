/**
 * Page markers: opaque to the caller, standard base64 (the models' pattern `[A-Za-z0-9+/]+={0,2}`, at most 1024 characters), and tamper-evident.
 * A marker is `base64(mac || cursor)`; the MAC covers the scope, so that it opens for the account, region and operation that sealed it only.
 * Source: spec identity 1.2 (a bad or foreign marker is InvalidRequestException).
 */
import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { AccountRegion } from './arn.ts';
import { Fault } from './fault.ts';

export interface MarkerScope {
  readonly account: AccountRegion;
  /** Service and operation, e.g. `iot ListPolicies`. */
  readonly operation: string;
}

/** Characters of a marker. Source: the models' `Marker` shape. */
const markerCharsMax = 1024;
/** A MAC of 128 bits: a forger has one guess per request. */
const macBytes = 16;
/** UTF-8 bytes of a cursor that a marker has room for. */
export const cursorBytesMax = (markerCharsMax / 4) * 3 - macBytes;

const markerPattern = /^[A-Za-z0-9+/]+={0,2}$/;

const macOf = (key: Uint8Array, { account, operation }: MarkerScope, cursor: Uint8Array): Uint8Array =>
  createHmac('sha256', key)
    .update(JSON.stringify([account.accountId, account.region, operation]))
    .update('\0')
    .update(cursor)
    .digest()
    .subarray(0, macBytes);

/** Seals the cursor after which the next page starts. `key`: 32 random bytes that all nodes of a store share. */
export const sealMarker = (key: Uint8Array, scope: MarkerScope, cursor: string): string => {
  const bytes = Buffer.from(cursor);
  assert(bytes.length <= cursorBytesMax, 'A cursor has to fit into a marker');
  return Buffer.concat([macOf(key, scope, bytes), bytes]).toString('base64');
};

/** The cursor inside. Faults: InvalidRequestException for a marker that this key did not seal for this scope. */
export const openMarker = (key: Uint8Array, scope: MarkerScope, marker: string): string => {
  if (marker.length <= markerCharsMax && markerPattern.test(marker)) {
    const bytes = Buffer.from(marker, 'base64');
    const cursor = bytes.subarray(macBytes);
    const isWhole = bytes.length >= macBytes && bytes.toString('base64') === marker;
    if (isWhole && timingSafeEqual(bytes.subarray(0, macBytes), macOf(key, scope, cursor))) return cursor.toString();
  }
  throw new Fault('InvalidRequestException', 'The marker is not valid for this request');
};
