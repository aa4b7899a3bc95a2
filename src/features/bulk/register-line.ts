/** One line of a bulk file: the parameters of one device, as JSON. Source: spec provisioning.md 10; API reference, RegisterThing. */

import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import { lineBytesMax } from './read-lines.ts';

/** Characters. Source: the model's RegisterThing. */
const nameMax = 2048;
const valueMax = 4096;

const utf8 = new TextDecoder('utf-8', { fatal: true });

const badLine = (message: string): ProvisioningFault => new ProvisioningFault('InvalidParameters', message);

/** What a fault says here never repeats anything of the line. */
const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw badLine('The line is no JSON');
  }
};

/**
 * The parameters of a line; undefined for a blank one. `bytes` is undefined for a line that is too long. Faults: ProvisioningFault (InvalidParameters).
 */
export const readParameters = (bytes: Uint8Array | undefined): Readonly<Record<string, string>> | undefined => {
  if (!bytes) throw badLine(`The line is longer than ${lineBytesMax / 1024} KB`);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw badLine('The line is not UTF-8');
  }
  if (text.trim() === '') return undefined;
  const value = parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badLine('The line must be a JSON object of parameters');
  }
  const parameters: Record<string, string> = Object.create(null);
  for (const [name, parameter] of Object.entries(value)) {
    if (typeof parameter !== 'string') throw badLine('The values of the parameters must be strings');
    if (name.length > nameMax) throw badLine(`Names of parameters have at most ${nameMax} characters`);
    if (parameter.length > valueMax) throw badLine(`Values of parameters have at most ${valueMax} characters`);
    parameters[name] = parameter;
  }
  return parameters;
};
