import type { Storage } from '@graphiql/toolkit';

/** The theme is a taste and may be kept; everything else GraphiQL stores can hold a password or a token. */
const storageFor = (key: string) => (key === 'graphiql:theme' ? localStorage : sessionStorage);

export const editorStorage: Storage = {
  get length() {
    return sessionStorage.length;
  },
  getItem: key => storageFor(key).getItem(key),
  setItem: (key, value) => storageFor(key).setItem(key, value),
  removeItem: key => storageFor(key).removeItem(key),
  clear: () => sessionStorage.clear(),
};
