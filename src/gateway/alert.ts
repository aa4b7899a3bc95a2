/** A fatal TLS alert in a record of its own, for connections that are refused before OpenSSL has them. RFC 8446 6; RFC 6066 9; RFC 7301 3.2. */

const descriptions = {
  accessDenied: 49,
  decodeError: 50,
  protocolVersion: 70,
  internalError: 80,
  missingExtension: 109,
  unrecognizedName: 112,
  noApplicationProtocol: 120,
} as const;

export type Alert = keyof typeof descriptions;

export const fatalAlert = (alert: Alert): Buffer => Buffer.from([21, 3, 3, 0, 2, 2, descriptions[alert]]);
