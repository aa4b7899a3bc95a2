import type { Feature } from '../../feature.ts';
import { migrations } from './migrations.ts';
import { createRoleAlias, deleteRoleAlias, describeRoleAlias, listRoleAliases, updateRoleAlias } from './operations.ts';

/** Role aliases. The credentials that devices get by them: `credentials-provider.ts`. */
export const roles = (): Feature => ({
  name: 'roles',
  migrations,
  operations: {
    iot: {
      CreateRoleAlias: createRoleAlias,
      DescribeRoleAlias: describeRoleAlias,
      ListRoleAliases: listRoleAliases,
      UpdateRoleAlias: updateRoleAlias,
      DeleteRoleAlias: deleteRoleAlias,
    },
  },
});
