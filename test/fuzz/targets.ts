/** Everything that is fuzzed, by name. Each is loaded in the thread that fuzzes it, so that a thread holds one room and what stands behind it. */
import type { Target } from './target.ts';

export type OpenTarget = () => Promise<Target>;

export const targets: Readonly<Record<string, OpenTarget>> = {
  'client-hello': async () => (await import('./targets/client-hello.ts')).default(),
  'mqtt-reader': async () => (await import('./targets/mqtt-reader.ts')).default(),
  'mqtt-connection': async () => (await import('./targets/mqtt-connection.ts')).default(),
  certificate: async () => (await import('./targets/certificate.ts')).default(),
  csr: async () => (await import('./targets/csr.ts')).default(),
  issued: async () => (await import('./targets/issued.ts')).default(),
  ocsp: async () => (await import('./targets/ocsp.ts')).default(),
  policy: async () => (await import('./targets/policy.ts')).default(),
  'iam-policy': async () => (await import('./targets/iam-policy.ts')).default(),
  'session-token': async () => (await import('./targets/session-token.ts')).default(),
  'secret-box': async () => (await import('./targets/secret-box.ts')).default(),
  'acm-import': async () => (await import('./targets/acm-import.ts')).default(),
  'credentials-request': async () => (await import('./targets/credentials-request.ts')).default(),
  'server-name': async () => (await import('./targets/server-name.ts')).default(),
  'fleet-payload': async () => (await import('./targets/fleet-payload.ts')).default(),
  template: async () => (await import('./targets/template.ts')).default(),
  marker: async () => (await import('./targets/marker.ts')).default(),
  arn: async () => (await import('./targets/arn.ts')).default(),
  'journal-query': async () => (await import('./targets/journal-query.ts')).default(),
  'api-input': async () => (await import('./targets/api-input.ts')).default(),
  'api-node': async () => (await import('./targets/api-node.ts')).default(),
  'gateway-node': async () => (await import('./targets/gateway-node.ts')).default(),
  'mqtt-node': async () => (await import('./targets/mqtt-node.ts')).default(),
  sigv4: async () => (await import('./targets/sigv4.ts')).default(),
};
