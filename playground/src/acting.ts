import { findPerson, type Person } from './people';
import { persistedStore } from './store';

/** Who acts in which editor tab. Each tab keeps its person, so that one can be Ann's and the next Bob's. */
type Acting = { tab: string; byTab: Record<string, string | null> };

export const acting = persistedStore<Acting>('acting', { tab: '', byTab: {} });

/** Called whenever another editor tab comes to the front; a new tab starts as whoever acted last. */
export function showTab(tab: string): void {
  const { tab: last, byTab } = acting.get();
  const person = tab in byTab ? byTab[tab] : byTab[last];
  acting.set({ tab, byTab: { ...byTab, [tab]: person ?? null } });
}

/** Chooses who acts in the front tab; null is nobody in particular: operations run signed out. */
export function actAs(person: Person | null): void {
  const { tab, byTab } = acting.get();
  acting.set({ tab, byTab: { ...byTab, [tab]: person?.id ?? null } });
}

export function actingPerson({ tab, byTab } = acting.get()): Person | null {
  return findPerson(byTab[tab] ?? '') ?? null;
}
