import { messageOf, Refused, request } from './graphql';
import { persistedStore } from './store';

/** Somebody signed in on this page. Several can be at once, so that one reader can play a whole conversation. */
export type Person = {
  /** The user's id: signing in again as the same user replaces the session. */
  id: string;
  /** What `# as:` in the examples calls them. */
  alias: string;
  displayName: string;
  accessToken: string;
  refreshToken: string;
  expiresAt: string;
};

export type AuthPayload = Pick<Person, 'accessToken' | 'refreshToken' | 'expiresAt'> & {
  viewer: { user: { id: string; displayName: string } };
};

/** There is no session any more: trying again cannot help. */
export class SignedOut extends Error {}

const SESSION = 'accessToken refreshToken expiresAt viewer { user { id displayName } }';
const REGISTER = `mutation Register($input: RegisterInput!) { session: register(input: $input) { ${SESSION} } }`;
const SIGN_IN = `mutation SignIn($input: SignInInput!) { session: signIn(input: $input) { ${SESSION} } }`;
const REFRESH = `mutation Refresh($input: RefreshSessionInput!) { session: refreshSession(input: $input) { ${SESSION} } }`;
const SIGN_OUT = 'mutation SignOut { signOut { ok } }';

export const people = persistedStore<Person[]>('people', []);

export function findPerson(id: string): Person | undefined {
  return people.get().find(person => person.id === id);
}

/** The latest to sign in under that name, since an example may be run twice. */
export function findByAlias(alias: string): Person | undefined {
  return people.get().findLast(person => person.alias === alias);
}

export async function register(input: { displayName: string; email: string; password: string }): Promise<Person> {
  return admit((await request(REGISTER, { input })).session);
}

export async function signIn(input: { email: string; password: string }): Promise<Person> {
  return admit((await request(SIGN_IN, { input })).session);
}

/** Whether an answer selected all that a session here needs. */
export function isSession(value: any): value is AuthPayload {
  const user = value?.viewer?.user;
  return [value?.accessToken, value?.refreshToken, value?.expiresAt, user?.id, user?.displayName].every(Boolean);
}

/** Makes an `AuthPayload` somebody's session on this page. */
export function admit(session: AuthPayload, alias?: string): Person {
  const { viewer, accessToken, refreshToken, expiresAt } = session;
  const { id, displayName } = viewer.user;
  const known = people.get();
  const person: Person = {
    id,
    displayName,
    alias: alias ?? findPerson(id)?.alias ?? displayName.toLowerCase(),
    accessToken,
    refreshToken,
    expiresAt,
  };
  people.set(
    known.some(each => each.id === id) ? known.map(each => (each.id === id ? person : each)) : [...known, person],
  );
  scheduleRefresh(person);
  return person;
}

/** Forgets the person whether or not the server heard: what was asked for is to be signed out here. */
export async function signOut(id: string): Promise<void> {
  try {
    await request(SIGN_OUT, {}, await tokenOf(id));
  } catch (error) {
    console.warn(`Sign-out did not reach the server: ${messageOf(error)}`);
  } finally {
    forget(id);
  }
}

/** An access token good for at least a few seconds more. */
export async function tokenOf(id: string): Promise<string> {
  const person = findPerson(id);
  if (!person) throw new SignedOut('This person has signed out.');
  const left = Date.parse(person.expiresAt) - Date.now();
  return left > 5_000 ? person.accessToken : refresh(person);
}

/** The server has refused the access token before its time, so the next use must fetch another. */
export function distrustToken(id: string): void {
  people.set(people.get().map(person => (person.id === id ? { ...person, expiresAt: new Date(0).toISOString() } : person)));
}

// Refresh tokens are spent by use: whoever asks while a refresh is under way must share it.
const refreshing = new Map<string, Promise<string>>();

function refresh(person: Person): Promise<string> {
  const running = refreshing.get(person.id) ?? renew(person).finally(() => refreshing.delete(person.id));
  refreshing.set(person.id, running);
  return running;
}

async function renew(person: Person): Promise<string> {
  try {
    const { session } = await request(REFRESH, { input: { refreshToken: person.refreshToken } });
    // Signed out meanwhile: taking the answer would sign them in again.
    if (!findPerson(person.id)) throw new SignedOut(`${person.displayName} has signed out.`);
    return admit(session).accessToken;
  } catch (error) {
    if (!(error instanceof Refused && error.code === 'UNAUTHENTICATED')) throw error;
    forget(person.id);
    throw new SignedOut(`${person.displayName}'s session has ended. Sign in again.`);
  }
}

const timers = new Map<string, number>();

/** Refreshes 30 s early, or halfway through a token that lives less than a minute. */
function scheduleRefresh(person: Person): void {
  const left = Math.max(Date.parse(person.expiresAt) - Date.now(), 0);
  // Browsers fire at once when asked to wait more than 24 days.
  const wait = Math.min(Math.max(left - 30_000, left / 2), 86_400_000);
  clearTimeout(timers.get(person.id));
  timers.set(
    person.id,
    // A failure here is not news: the next operation asks again, and its answer is shown.
    window.setTimeout(() => findPerson(person.id) && refresh(person).catch(() => {}), wait),
  );
}

function forget(id: string): void {
  clearTimeout(timers.get(id));
  people.set(people.get().filter(person => person.id !== id));
}

// Those who were signed in before a reload. Last in the file, since it needs all of the above.
people.get().forEach(scheduleRefresh);
