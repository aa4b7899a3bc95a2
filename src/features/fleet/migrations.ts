import type { Migration } from '../../store/migrate.ts';
import { ownershipTokenMigration, ownershipTokenOfClaimMigration } from './ownership-token.ts';
import { provisioningClaimMigration } from './provisioning-claim.ts';

export const migrations: readonly Migration[] = [
  ownershipTokenMigration,
  provisioningClaimMigration,
  ownershipTokenOfClaimMigration,
];
