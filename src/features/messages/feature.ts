import type { Feature } from '../../feature.ts';
import { deleteConnection, getConnection, listSubscriptions } from './connections.ts';
import { publish } from './publish.ts';
import { getRetainedMessage, listRetainedMessages } from './retained-messages.ts';
import { sendDirectMessage } from './send-direct-message.ts';

/** The data plane by calls: messages in, retained messages out, and clients by their ids. The broker keeps everything. */
export const messages = (): Feature => ({
  name: 'messages',
  migrations: [],
  operations: {
    'iot-data': {
      Publish: publish,
      GetRetainedMessage: getRetainedMessage,
      ListRetainedMessages: listRetainedMessages,
      DeleteConnection: deleteConnection,
      GetConnection: getConnection,
      ListSubscriptions: listSubscriptions,
      SendDirectMessage: sendDirectMessage,
    },
  },
});
