import type { Feature } from '../../feature.ts';
import {
  deleteV2LoggingLevel,
  getLoggingOptions,
  getV2LoggingOptions,
  listV2LoggingLevels,
  setLoggingOptions,
  setV2LoggingLevel,
  setV2LoggingOptions,
} from './logging-operations.ts';
import { migrations } from './migrations.ts';

/** Settings of an account: what it wants logged. Whoever logs is told by `live-logging.ts`. */
export const settings = (): Feature => ({
  name: 'settings',
  migrations,
  operations: {
    iot: {
      SetV2LoggingOptions: setV2LoggingOptions,
      GetV2LoggingOptions: getV2LoggingOptions,
      SetV2LoggingLevel: setV2LoggingLevel,
      ListV2LoggingLevels: listV2LoggingLevels,
      DeleteV2LoggingLevel: deleteV2LoggingLevel,
      SetLoggingOptions: setLoggingOptions,
      GetLoggingOptions: getLoggingOptions,
    },
  },
});
