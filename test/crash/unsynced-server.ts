/** `fleetgate start` with one difference: its store is not synced to the disk. Only the test whose losses show that it can fail runs it. */
import { startBox } from '../../src/cli/box.ts';
import { readConfig, version } from '../../src/config.ts';
import { startNode } from '../../src/node.ts';

const node = await startNode(readConfig(process.argv.slice(3), process.env), { durable: false });
const { apiUrl, mqttHost, mqttPort, httpsPorts, rootFile: caFile, account } = node;
process.stdout.write(
  startBox({ version, apiUrl, mqttHost, mqttPort, httpsPorts, caFile, ...account, program: ['fleetgate'] }),
);
process.on('SIGTERM', () => void node.close());
