// The real graphql-sse client, one connection per operation: for those behind proxies that break WebSockets.

import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';
import {
  EVENTS, Inbox, assertHistory, codeOf, eventInbox, hasText, httpUrl, lastSeq, register, suite,
} from './lib.mjs';

const ENDS_MS = 1_000;

const connect = (person, options) =>
  createClient({
    url: httpUrl,
    singleConnection: false,
    headers: person ? { authorization: person.authorization } : {},
    retryAttempts: 0,
    ...options,
  });

function events(client, id, after = 0) {
  const inbox = eventInbox();
  // As with graphql-ws, a retry serializes the request anew and so resumes by itself.
  const variables = { id, get after() { return lastSeq(inbox.items) || after; } };
  return Object.assign(inbox, { cancel: client.subscribe({ query: EVENTS, variables }, inbox.sink) });
}

async function results(client, query) {
  const inbox = new Inbox();
  client.subscribe({ query }, inbox.sink);
  const outcome = await inbox.ended();
  if (outcome !== 'complete') throw outcome;
  return inbox.items;
}

await suite('graphql-sse', async (check) => {
  const ana = await register('Ana');
  const ben = await register('Ben');
  const group = await ana.openGroup(ben);
  const said = [];
  const say = async (text) => {
    await ana.send(group, text);
    said.push(text);
  };
  const client = connect(ben);

  await check('a query yields one result and completes', async () => {
    const viewer = { user: { id: ben.id } };
    assert.deepEqual(await results(client, '{ viewer { user { id } } }'), [{ data: { viewer } }]);
  });

  await check('an anonymous viewer is UNAUTHENTICATED', async () => {
    const [{ errors }] = await results(connect(), '{ viewer { user { id } } }');
    assert.equal(codeOf(errors), 'UNAUTHENTICATED');
  });

  await say('before');
  const inbox = events(client, group);

  await check('a subscription receives replay, then live events', async () => {
    await inbox.until('replay', hasText('before'));
    for (const n of [1, 2, 3]) await say(`live ${n}`);
    await inbox.until('live events', hasText(...said));
    assertHistory(inbox.items, said);
  });

  await check('cancel stops the stream', async () => {
    inbox.cancel();
    const seen = inbox.items.length;
    const other = events(client, group);
    // When the second of two messages has come on the other stream, the first had its chance on the cancelled one.
    for (const n of [1, 2]) {
      await say(`cancelled ${n}`);
      await other.until('the other stream', hasText(`cancelled ${n}`));
    }
    other.cancel();
    assert.equal(inbox.items.length, seen, 'events after cancel');
  });

  await check('resuming by after brings what was missed, once', async () => {
    const after = lastSeq(inbox.items);
    const resumed = events(client, group, after);
    await resumed.until('what was missed', hasText('cancelled 1', 'cancelled 2'));
    await say('live after resuming');
    await resumed.until('live again', hasText('live after resuming'));
    resumed.cancel();
    assertHistory([...inbox.items, ...resumed.items], said);
  });

  await check('a cut connection is retried by the client and resumes: no repeat, no gap', async () => {
    let cut;
    let open;
    const gate = new Promise((resolve) => (open = resolve));
    const fetchFn = (url, init) => {
      const line = new AbortController();
      cut = () => line.abort();
      return fetch(url, { ...init, signal: AbortSignal.any([init.signal, line.signal]) });
    };
    const resumed = events(connect(ben, { retryAttempts: 1, retry: () => gate, fetchFn }), group);
    await resumed.until('replay', hasText(...said));
    cut();
    for (const n of [1, 2]) await say(`while cut ${n}`);
    open();
    await resumed.until('what was missed', hasText(...said));
    await say('live after the cut');
    await resumed.until('live again', hasText(...said));
    resumed.cancel();
    assertHistory(resumed.items, said);
  });

  await check('removal completes the stream within 1 s', async () => {
    const removed = events(client, group);
    await removed.until('replay', hasText(...said));
    const removedAt = await ana.remove(group, ben);
    assert.equal(await removed.ended(ENDS_MS), 'complete');
    assert.ok(lastSeq(removed.items) <= removedAt, 'an event after the removal');
  });

  await check('signOut ends the stream within 1 s', async () => {
    const mine = events(connect(ana), group);
    await mine.until('replay', hasText(...said));
    await ana.signOut();
    await mine.ended(ENDS_MS); // completed or cut: the protocol has no close codes
  });
});
