import type { Feature } from '../../feature.ts';
import { migrations } from './migrations.ts';
import { listTagsForResource, type Settings, type Taggable, tagResource, untagResource } from './operations.ts';
import { removeTags } from './tag.ts';

/** Tags on the resources of other slices, which say what exists; a slice that deletes a resource has it released. */
export const tags = (taggable: Taggable, settings: Settings = {}): Feature => ({
  name: 'tags',
  migrations,
  operations: {
    iot: {
      TagResource: tagResource(taggable, settings),
      UntagResource: untagResource(taggable),
      ListTagsForResource: listTagsForResource(taggable),
    },
  },
  release: removeTags,
});
