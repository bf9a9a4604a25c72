import { useSyncExternalStore } from 'react';

/** A value that components watch. Kept outside React because the fetcher and the sockets need it too. */
export class Store<T> {
  #value: T;
  #listeners = new Set<() => void>();

  constructor(initial: T) {
    this.#value = initial;
  }

  get = (): T => this.#value;

  set(value: T): void {
    this.#value = value;
    this.#listeners.forEach(listener => listener());
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}

/**
 * A store that survives a reload. sessionStorage, not localStorage: it holds tokens, which should
 * neither outlive this browser tab nor be shared with another one.
 */
export function persistedStore<T>(key: string, initial: T): Store<T> {
  const storageKey = `backchannel:${key}`;
  const saved = sessionStorage.getItem(storageKey);
  const store = new Store<T>(saved ? JSON.parse(saved) : initial);
  store.subscribe(() => sessionStorage.setItem(storageKey, JSON.stringify(store.get())));
  return store;
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}
