/**
 * The input of every operation on every wire, handled or not: read by schema and judged by the constraints, or a Fault. The input is a request: its path is an
 * operation's of the REST services, or names one (`/acm/ListCertificates`, `/iam/ListRoles`). Source: spec identity 1; Smithy's protocols.
 */
import { readJsonInput } from '../../../src/api/json-1-1.ts';
import { writeStructure } from '../../../src/api/json-shapes.ts';
import { type Operation, operations } from '../../../src/api/operations.ts';
import { readForm, readFormInput } from '../../../src/api/query.ts';
import { readInput } from '../../../src/api/rest-json.ts';
import { findOperation } from '../../../src/api/routes.ts';
import { validate } from '../../../src/api/validate.ts';
import { Fault } from '../../../src/aws/fault.ts';
import { sampleForm, sampleStructure } from '../api-samples.ts';
import { httpWords, parseRequest, type RequestText, requestText } from '../http-text.ts';
import { hold, type Target } from '../target.ts';

const sample = ({ service, name, http, input }: Operation): Buffer => {
  if (service === 'acm')
    return requestText('POST', `/acm/${name}`, { body: JSON.stringify(input ? sampleStructure(input) : {}) });
  if (!http) return requestText('POST', `/${service}/${name}`, { body: input ? sampleForm(input, '').join('&') : '' });
  const members = input?.members ?? [];
  const query = members.flatMap(({ binding, shape }) =>
    binding.at === 'query'
      ? [`${binding.name}=${shape.kind === 'string' ? 'a' : shape.kind === 'boolean' ? 'true' : '1'}`]
      : [],
  );
  const headers = members.flatMap(({ binding }) => (binding.at === 'header' ? [[binding.name, 'YQ==']] : []));
  const path = http.path.replaceAll(/\{\w+\+?\}/g, 'a');
  const body = JSON.stringify(input ? sampleStructure(input) : {});
  return requestText(http.method, `${path}?${query.join('&')}`, { headers: Object.fromEntries(headers), body });
};

const rpc = new Map(operations.filter(({ http }) => !http).map((found) => [`/${found.service}/${found.name}`, found]));

/** The operation and its input. Faults: SerializationException, UnknownOperationException. */
const read = ({ method, target, headers, body }: RequestText): [Operation, Record<string, unknown>] | undefined => {
  const [path = '', query = ''] = target.split('?');
  const bytes = Buffer.from(body, 'latin1');
  const named = rpc.get(path);
  if (named?.service === 'acm') return [named, readJsonInput(named, bytes)];
  if (named) return [named, readFormInput(named.input, readForm(body))];
  const found = findOperation(method, path);
  return found && [found.operation, readInput(found, { query, headers: new Map(headers), body: bytes })];
};

export default (): Target => ({
  corpus: operations.map(sample),
  dictionary: httpWords,
  bytesMax: 16_384,
  run(input) {
    try {
      const found = read(parseRequest(input));
      if (found === undefined) return 'no operation';
      const [operation, value] = found;
      // what was read by the schema can be written by it
      if (operation.input && operation.http) writeStructure(operation.input, value);
      validate(operation, value);
      return 'valid';
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      hold(error.name !== 'InternalFailureException', 'a refusal is the caller’s');
      hold(error.message.length < 64_000, 'a refusal is told in a bounded message');
      return error.name;
    }
  },
});
