/** Commands that have a second word, each with journeys of its own: `fleetgate certificates import`, `fleetgate device simulate`. */
import { ConfigProblem, didYouMean } from '../config.ts';
import type { Run } from './io.ts';

/** `command`: the first word; `example`: what to say after `fleetgate` when the second one is missing. Faults: ConfigProblem. */
export const journeysOf =
  (command: string, example: string, journeys: Readonly<Record<string, Run>>): Run =>
  async ([name = '', ...rest], io) => {
    const journey = Object.hasOwn(journeys, name) ? journeys[name] : undefined;
    if (journey) return journey(rest, io);
    if (name === '') throw new ConfigProblem(`Say what to do: fleetgate ${command} ${example}.`);
    const hint = didYouMean(name, Object.keys(journeys)) || ' --help tells all.';
    throw new ConfigProblem(`${command} cannot ${JSON.stringify(name)}.${hint}`);
  };
