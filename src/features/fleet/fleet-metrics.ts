/** AWS's counters of fleet provisioning, since the start of the node; without the dimensions that name a template or claim. Source: spec provisioning.md 11. */
export const createFleetMetrics = () => ({
  CreateKeysAndCertificateFailed: 0,
  CreateCertificateFromCsrFailed: 0,
  RegisterThingFailed: 0,
  ApproximateNumberOfThingsRegistered: 0,
});
export type FleetMetrics = ReturnType<typeof createFleetMetrics>;
