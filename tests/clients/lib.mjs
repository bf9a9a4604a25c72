// Shared by every script: the report, the people, and a place to wait for events.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';

const SUITE_MS = 60_000;
const REQUEST_MS = 10_000;
const EVENT_MS = 5_000;

export const base = process.argv[2]?.replace(/\/+$/, '');
if (!/^https?:\/\/[^/]+$/.test(base ?? '')) {
  console.error(`usage: node ${basename(process.argv[1])} http://127.0.0.1:PORT`);
  process.exit(2);
}
export const httpUrl = `${base}/graphql`;
export const wsUrl = httpUrl.replace(/^http/, 'ws');

// ---- The report -------------------------------------------------------------

/**
 * Runs one script. `body` gets `check(name, fn)`, which reports and never throws, so that one failure does not hide
 * the next; what `body` itself throws is a failed setup. Ends the process, because open sockets would keep it alive.
 */
export async function suite(name, body) {
  let passed = 0;
  let failed = 0;
  const ok = (what) => (passed++, console.log(`ok  ${name}: ${what}`));
  const fail = (what, error) => (failed++, console.log(`FAIL ${name}: ${what}: ${explain(error)}`));
  const close = () => {
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed ? 1 : 0);
  };
  const check = async (what, fn) => {
    try {
      await fn();
      ok(what);
    } catch (error) {
      fail(what, error);
    }
  };

  // A client library that throws outside our promises must not pass for success.
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error) => (fail(event, error), close()));
  }
  setTimeout(() => (fail('time', `not done in ${SUITE_MS / 1000} s`), close()), SUITE_MS);

  try {
    await body(check);
  } catch (error) {
    fail('setup', error);
  }
  close();
}

/** One line for whatever a client reports: an Error, a list of GraphQL errors, a close event. */
export function explain(error) {
  const text = Array.isArray(error)
    ? error.map((e) => `${e.extensions?.code ?? 'no code'}: ${e.message}`).join('; ')
    : typeof error?.code === 'number'
      ? `socket closed with ${error.code} ${error.reason}`
      : String(error?.message || error);
  return text.replace(/\s+/g, ' ').slice(0, 400);
}

/** The `extensions.code` of the first error, in whichever of the two shapes a client hands it over. */
export const codeOf = (errors) => (errors?.graphQLErrors ?? errors?.errors ?? errors)?.[0]?.extensions?.code;

// ---- Waiting ----------------------------------------------------------------

export function within(ms, what, promise) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

/** Keeps what a stream delivers and wakes those who wait for it: an event or a time-out, never a sleep. */
export class Inbox {
  items = [];
  /** null while the stream is open, then 'complete' or the error that ended it. */
  outcome = null;
  #read;
  #waiting = new Set();

  constructor(read = (value) => value) {
    this.#read = read;
  }

  /** Handed to a client's subscribe(); graphql-ws, graphql-sse and RxJS agree on its shape. */
  sink = {
    next: (value) => {
      try {
        this.items.push(this.#read(value));
      } catch (error) {
        this.outcome ??= error;
      }
      this.#wake();
    },
    error: (error) => ((this.outcome ??= error), this.#wake()),
    complete: () => ((this.outcome ??= 'complete'), this.#wake()),
  };

  async until(what, ready, ms = EVENT_MS) {
    let watch;
    const done = new Promise((resolve, reject) => {
      watch = () => {
        if (ready(this.items)) resolve();
        else if (this.outcome) reject(new Error(`${what}: the stream ended first (${explain(this.outcome)})`));
      };
      this.#waiting.add(watch);
      watch();
    });
    try {
      await within(ms, what, done);
    } catch (error) {
      throw new Error(`${error.message}; received ${JSON.stringify(this.items.slice(-5))}`);
    } finally {
      this.#waiting.delete(watch);
    }
  }

  async ended(ms = EVENT_MS) {
    await this.until('end of the stream', () => this.outcome !== null, ms);
    return this.outcome;
  }

  #wake() {
    for (const watch of [...this.#waiting]) watch();
  }
}

// ---- People and conversations, over HTTP ------------------------------------

const PASSWORD = 'correct horse battery 9';

/** Data or an Error that carries the GraphQL errors. */
export async function gql(query, variables, token) {
  const response = await fetch(httpUrl, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(REQUEST_MS),
  });
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Error(`HTTP ${response.status}, not JSON: ${text.slice(0, 100)}`);
  }
  if (body.errors) throw Object.assign(new Error(explain(body.errors)), { errors: body.errors });
  return body.data;
}

const SESSION = 'accessToken refreshToken viewer { user { id } }';

/** One session of one person. A second device of the same person is `signIn(person)`. */
class Person {
  constructor(email, { accessToken, refreshToken, viewer }) {
    this.email = email;
    this.token = accessToken;
    this.refreshToken = refreshToken;
    this.id = viewer.user.id;
  }

  get authorization() {
    return `Bearer ${this.token}`;
  }

  gql(query, variables) {
    return gql(query, variables, this.token);
  }

  openGroup(...others) {
    return this.#open({ kind: 'GROUP', title: 'Clients', memberIds: others.map((other) => other.id) });
  }

  openDirect(other) {
    return this.#open({ kind: 'DIRECT', memberIds: [other.id] });
  }

  async #open(input) {
    const { createConversation } = await this.gql(
      'mutation Open($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id } } }',
      { input },
    );
    return createConversation.conversation.id;
  }

  async send(conversationId, text) {
    const { sendMessage } = await this.gql(SEND, { input: { conversationId, text } });
    return sendMessage.message;
  }

  /** Answers the position of the removal itself. */
  async remove(conversationId, other) {
    const { removeMember } = await this.gql(
      'mutation Remove($input: RemoveMemberInput!) { removeMember(input: $input) { conversation { lastSeq } } }',
      { input: { conversationId, userId: other.id } },
    );
    return removeMember.conversation.lastSeq;
  }

  /** Answers the next access token and its expiry. */
  async renew() {
    const { refreshSession } = await this.gql(
      `mutation Renew($input: RefreshSessionInput!) {
        refreshSession(input: $input) { accessToken refreshToken expiresAt }
      }`,
      { input: { refreshToken: this.refreshToken } },
    );
    this.token = refreshSession.accessToken;
    this.refreshToken = refreshSession.refreshToken;
    return refreshSession;
  }

  signOut() {
    return this.gql('mutation { signOut { ok } }');
  }
}

export async function register(name) {
  const email = `${name.toLowerCase()}-${randomUUID()}@example.com`;
  const data = await gql(
    `mutation Register($input: RegisterInput!) { register(input: $input) { ${SESSION} } }`,
    { input: { email, password: PASSWORD, displayName: name } },
  );
  return new Person(email, data.register);
}

export async function signIn({ email }) {
  const data = await gql(
    `mutation SignIn($input: SignInInput!) { signIn(input: $input) { ${SESSION} } }`,
    { input: { email, password: PASSWORD } },
  );
  return new Person(email, data.signIn);
}

// ---- The events of a conversation -------------------------------------------

export const SEND = 'mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { message { seq text } } }';

export const EVENTS = `subscription Events($id: ID!, $after: Int) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename
    seq
    ... on MessageSent { message { text } }
    ... on MemberLeft { user { id } }
  }
}`;

/** Takes the results of EVENTS from any client and keeps the events. */
export const eventInbox = () =>
  new Inbox(({ data, errors, error }) => {
    if (errors ?? error) throw errors ?? error;
    return data.conversationEvents;
  });

export const lastSeq = (events) => events.at(-1)?.seq ?? 0;

export const hasText = (...texts) => (events) => texts.every((text) => textsOf(events).includes(text));

/** Each text once, in this order; and every position from the first on: no gap, no repeat. Group creation may or may
 *  have events of its own, so the texts are compared apart from the positions. */
export function assertHistory(events, texts, after = 0) {
  const actual = textsOf(events);
  const at = actual.findIndex((text, i) => text !== texts[i]);
  const from = (list) => JSON.stringify(list.slice(at < 0 ? actual.length : at).slice(0, 5));
  assert.deepEqual(actual, texts, `received ${from(actual)} where ${from(texts)} belongs`);
  const seqs = events.map((event) => event.seq);
  assert.deepEqual(seqs, seqs.map((_, i) => after + 1 + i), `after ${after}, seq is not dense: ${seqs}`);
}

const textsOf = (events) => events.flatMap((event) => event.message?.text ?? []);
