/** Counters by AWS's metric names (spec gateway.md 9), since the start of the broker. */
export const createMetrics = () => ({
  'Connect.Success': 0,
  'Connect.AuthError': 0,
  'Connect.ClientError': 0,
  'Connect.ServerError': 0,
  'Connection.AuthNError': 0,
  'Ping.Success': 0,
  'PublishIn.Success': 0,
  'PublishIn.AuthError': 0,
  'PublishIn.ClientError': 0,
  'PublishIn.ServerError': 0,
  'PublishOut.Success': 0,
  'PublishOut.AuthError': 0,
  'PublishOut.ClientError': 0,
  'PublishOut.Throttle': 0,
  RuleNotFound: 0,
  'Subscribe.Success': 0,
  'Subscribe.AuthError': 0,
  'Subscribe.ClientError': 0,
  'Unsubscribe.Success': 0,
  'Unsubscribe.ClientError': 0,
});
export type Metrics = ReturnType<typeof createMetrics>;
