/** What a node has opened, to be closed in the other direction. */
export interface Opened {
  add(step: () => unknown): void;
  /** Closes what was opened, last first; one failure does not keep the others open. Rejects with all failures. */
  close(): Promise<void>;
}

export const opening = (): Opened => {
  const steps: (() => unknown)[] = [];
  return {
    add: (step) => void steps.push(step),
    async close() {
      const failures: unknown[] = [];
      for (const step of steps.splice(0).reverse()) {
        try {
          await step();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, 'Closing the node');
    },
  };
};
