/** Alive and ready, told apart: a process that serves is alive; it is ready when devices and callers find all that they need. */

export interface Health {
  /** One sentence for each thing that keeps the node from serving; empty = ready. */
  causes(): readonly string[];
}

export interface HealthAnswer {
  readonly status: 200 | 503;
  readonly body: Readonly<Record<string, unknown>>;
}

/** By path: whoever restarts a dead process asks `live`, whoever sends it traffic asks `ready`. */
export const healthAnswers: Readonly<Record<string, (health: Health) => HealthAnswer>> = {
  '/_fleetgate/health/live': () => ({ status: 200, body: { alive: true } }),
  '/_fleetgate/health/ready': (health) => {
    const causes = health.causes();
    return { status: causes.length === 0 ? 200 : 503, body: { ready: causes.length === 0, causes } };
  },
};
