import type { Feature } from '../../feature.ts';
import { logTimestamp } from '../../journal/log.ts';
import { deleteConnection, getConnection, listSubscriptions } from './connections.ts';
import { logged } from './logged.ts';
import { publish } from './publish.ts';
import { getRetainedMessage, listRetainedMessages } from './retained-messages.ts';
import { createSendDirectMessage } from './send-direct-message.ts';

/** The data plane by calls: messages in, retained messages out, and clients by their ids. The broker keeps everything. */
export const messages = (): Feature => ({
  name: 'messages',
  migrations: [],
  operations: {
    'iot-data': {
      Publish: logged(publish, ({ topic, retain }) => ({
        eventType: 'Publish-In',
        topicName: topic,
        more: retain ? { retain: 'True' } : {},
      })),
      GetRetainedMessage: logged(getRetainedMessage, ({ topic }, { qos, lastModifiedTime = 0 }) => ({
        eventType: 'GetRetainedMessage',
        topicName: topic,
        more: { qos, lastModifiedDate: logTimestamp(lastModifiedTime) },
      })),
      ListRetainedMessages: logged(listRetainedMessages, () => ({ eventType: 'ListRetainedMessage' })),
      DeleteConnection: logged(deleteConnection, ({ clientId }) => ({ eventType: 'DeleteConnection', clientId })),
      GetConnection: logged(getConnection, ({ clientId }) => ({ eventType: 'GetConnection', clientId })),
      ListSubscriptions: logged(listSubscriptions, ({ clientId }) => ({ eventType: 'ListSubscriptions', clientId })),
      SendDirectMessage: logged(createSendDirectMessage(), ({ clientId, topic }) => ({
        eventType: 'SendDirectMessage',
        clientId,
        topicName: topic,
      })),
    },
  },
});
