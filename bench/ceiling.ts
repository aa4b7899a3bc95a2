/**
 * The least that an honest API server on Node would do for the same requests: node:http, one HMAC over the body, JSON, X509Certificate, and SQLite
 * with `synchronous=FULL`, one commit per turn of the event loop. No schemas, no signature version 4, no faults.
 */
import { createHmac, X509Certificate } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync(process.argv[2] ?? '');
database.exec('pragma journal_mode = wal');
database.exec('pragma synchronous = full');
database.exec('create table certificates (id text primary key, pem text, status text) without rowid');
database.exec('create table things (name text primary key, document text) without rowid');
const insertCertificate = database.prepare('insert into certificates values (?, ?, ?) on conflict do nothing');
const insertThing = database.prepare('insert into things values (?, ?) on conflict do nothing');
const findCertificate = database.prepare('select * from certificates where id = ?');

/** Answers that wait for the commit at the end of the turn. */
let answers: (() => void)[] = [];
const write = (work: () => unknown, answer: () => void): void => {
  if (answers.length === 0) {
    database.exec('begin immediate');
    setImmediate(() => {
      database.exec('commit');
      const due = answers;
      answers = [];
      for (const one of due) one();
    });
  }
  work();
  answers.push(answer);
};

const send = (response: ServerResponse, status: number, value: unknown): void => {
  const body = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
};

const serve = (method: string, path: string, body: string, response: ServerResponse): void => {
  createHmac('sha256', 'secret').update(`${method}\n${path}\n${body}`).digest();
  if (path === '/certificate/register-no-ca') {
    const { certificatePem, status } = JSON.parse(body);
    const id = new X509Certificate(certificatePem).fingerprint256.replaceAll(':', '').toLowerCase();
    write(
      () => insertCertificate.run(id, certificatePem, status),
      () => send(response, 200, { certificateArn: `arn:aws:iot:us-east-1:000000000000:cert/${id}`, certificateId: id }),
    );
  } else if (path.startsWith('/things/')) {
    const thingName = path.slice('/things/'.length);
    write(
      () => insertThing.run(thingName, JSON.stringify(JSON.parse(body))),
      () => send(response, 200, { thingName, thingArn: `arn:aws:iot:us-east-1:000000000000:thing/${thingName}` }),
    );
  } else {
    const row = findCertificate.get(path.slice('/certificates/'.length));
    send(response, row ? 200 : 404, { certificateDescription: { ...row } });
  }
};

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => serve(request.method ?? '', request.url ?? '', body, response));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address && typeof address === 'object') process.stdout.write(`port ${address.port}\n`);
});
