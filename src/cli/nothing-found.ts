/**
 * What `fleetgate explain` says when the journal has no answer: where was asked, and where else there is one. A device that connects to another
 * region's host name leaves its record there; each region of the same account is asked by a question of its own, under the rights that the asker has
 * there, so that no answer of one region tells of another. A region that refuses is passed over.
 */
import { CommandProblem, type Io } from './io.ts';
import { fieldsOf, listOf, readAnswer, textOf } from './journal-answer.ts';
import { ask, type Server } from './server.ts';
import { printable, shellWord } from './terminal.ts';

/** Regions that are asked, the first of those that the server names. AWS has some thirty. */
export const regionsAskedMax = 40;

const advice =
  'A refusal is kept under the account and region whose host name the device connected to: ask there with --account and --region.\n' +
  'If it did not get as far as the server, `fleetgate doctor` looks for what is in the way.\n' +
  'Calls of the API are kept when they were not allowed, or are about domains, ACM, IAM, STS and role aliases; the answer to any other says itself what was wrong.\n';

export interface Question {
  readonly subject: string;
  readonly server: Server;
  readonly pathAndQuery: string;
  /** The flags that say which server and account, each with a blank before it. */
  readonly flags: string;
}

/** `body` is an answer without records. */
export const nothingFound = async (question: Question, body: string, io: Pick<Io, 'now'>): Promise<string> => {
  const { subject, server, pathAndQuery, flags } = question;
  const answer = fieldsOf(JSON.parse(body));
  const { accountId, region } = fieldsOf(answer['account']);
  const place = printable(`account ${textOf(accountId)}, region ${textOf(region)}`);
  const sentence =
    subject === 'last'
      ? `Nothing was refused in ${place}.`
      : `The journal has no record of that certificate id or client id in ${place}.`;
  const others = listOf(answer['otherRegions'])
    .map(textOf)
    .filter((other) => /^[a-z0-9-]{1,32}$/.test(other));
  const answers = await Promise.all(
    others.slice(0, regionsAskedMax).map(async (other) => {
      const isFound = await hasAnswer({ ...server, region: other }, pathAndQuery, io);
      return isFound ? `  fleetgate explain ${shellWord(subject)}${flags} --region ${other}\n` : '';
    }),
  );
  const commands = answers.join('');
  return commands === '' ? `${sentence}\n${advice}` : `${sentence} Another region has one:\n\n${commands}`;
};

/** Whether there are records in another region; false also where the asker may not ask. */
const hasAnswer = async (server: Server, pathAndQuery: string, io: Pick<Io, 'now'>): Promise<boolean> => {
  try {
    return readAnswer(await ask(server, pathAndQuery, io)).length > 0;
  } catch (error) {
    if (error instanceof CommandProblem) return false;
    throw error;
  }
};
