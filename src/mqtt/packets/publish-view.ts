/** A PUBLISH from a client as its reader sees it, before any rule. Source: MQTT 5.0 3.3, MQTT 3.1.1 3.3. */
import type { Qos } from '../message.ts';
import { malformed, protocolError } from './codes.ts';
import { carrier, type Properties, readProperties } from './properties.ts';
import type { PacketReader } from './reader.ts';
import { Cursor } from './text.ts';

/** A PUBLISH as offsets into the reader's buffer. One object serves all packets: rules run synchronously. */
export interface PublishView {
  qos: Qos;
  retain: boolean;
  topicStart: number;
  topicEnd: number;
  packetId: number;
  properties: Properties;
  payloadStart: number;
}

export const noProperties: Properties = Object.freeze({});
const view: PublishView = {
  qos: 0,
  retain: false,
  topicStart: 0,
  topicEnd: 0,
  packetId: 0,
  properties: noProperties,
  payloadStart: 0,
};

/** Reads the PUBLISH that the reader stands on into the shared view. The reader has refused QoS 2 where the dialect does not know it. */
export const readPublish = (reader: PacketReader): PublishView => {
  const { buffer, bodyStart, end, first } = reader;
  view.qos = first & 0x02 ? 1 : first & 0x04 ? 2 : 0;
  view.retain = (first & 0x01) !== 0;
  if (end - bodyStart < 2) throw malformed('packet ends inside a field');
  view.topicStart = bodyStart + 2;
  let at = view.topicStart + ((buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!);
  view.topicEnd = at;
  view.packetId = 0;
  if (at + (view.qos === 0 ? 0 : 2) > end) throw malformed('packet ends inside a field');
  if (view.qos !== 0) {
    view.packetId = (buffer[at]! << 8) | buffer[at + 1]!;
    at += 2;
    if (view.packetId === 0) throw protocolError('packet identifier 0'); // [MQTT-2.2.1-3]
  }
  view.properties = noProperties;
  if (reader.version === 5) {
    if (at < end && buffer[at] === 0) {
      at++;
    } else {
      const cursor = new Cursor(buffer, at, end);
      view.properties = readProperties(cursor, carrier.publish);
      at = cursor.at;
    }
  }
  view.payloadStart = at;
  return view;
};
