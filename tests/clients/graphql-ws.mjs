// The real graphql-ws client: streams across reconnects, and every way a stream or a socket must end.

import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import {
  EVENTS, Inbox, SEND, assertHistory, codeOf, eventInbox, hasText, lastSeq, register, signIn, suite, within, wsUrl,
} from './lib.mjs';

const ENDS_MS = 1_000; // losing membership or the session ends streams within a second

/** `token` null: an anonymous socket. Retries only where a test asks for it, so that every close is seen. */
const connect = (token, options) =>
  createClient({
    url: wsUrl,
    webSocketImpl: WebSocket,
    connectionParams: token === null ? undefined : { authorization: `Bearer ${token}` },
    retryAttempts: 0,
    ...options,
  });

function events(client, id) {
  const inbox = eventInbox();
  // The client serializes the payload anew on each reconnect: a getter is all it takes to resume.
  const variables = { id, get after() { return lastSeq(inbox.items); } };
  client.subscribe({ query: EVENTS, variables }, inbox.sink);
  return inbox;
}

/** A query or mutation over the socket: its one result. */
async function once(client, query, variables) {
  const inbox = new Inbox();
  client.subscribe({ query, variables }, inbox.sink);
  const outcome = await inbox.ended();
  if (outcome !== 'complete') throw outcome;
  assert.equal(inbox.items.length, 1, 'results of one operation');
  return inbox.items[0];
}

/** Runs `fn` and answers the next close event of the client, which must come within `ms` of it. */
async function closeOf(client, fn, ms = 5_000) {
  const closed = new Promise((resolve) => client.on('closed', resolve));
  await fn();
  return within(ms, 'close of the socket', closed);
}

await suite('graphql-ws', async (check) => {
  const ana = await register('Ana');
  const ben = await register('Ben');
  const group = await ana.openGroup(ben);
  const said = [];
  const say = async (text) => {
    await ana.send(group, text);
    said.push(text);
  };

  // A reconnect waits at this gate, so that the test decides what is missed meanwhile.
  let gate = Promise.resolve();
  let socket;
  const reconnects = [];
  const client = connect(ben.token, {
    retryAttempts: 5,
    retryWait: () => gate,
    on: {
      connected: (connected, _payload, wasRetry) => {
        socket = connected;
        if (wasRetry) reconnects.push(connected);
      },
    },
  });

  await say('before');
  const inbox = events(client, group);

  await check('after: 0 replays what was sent before', async () => {
    await inbox.until('replay', hasText('before'));
    assertHistory(inbox.items, said);
  });

  await check('messages sent over HTTP and over the socket arrive in order, seq dense', async () => {
    for (const n of [1, 2, 3]) {
      await say(`http ${n}`);
      const { data, errors } = await once(client, SEND, { input: { conversationId: group, text: `socket ${n}` } });
      assert.equal(errors, undefined);
      said.push(data.sendMessage.message.text);
    }
    await inbox.until('six messages', hasText(...said));
    assertHistory(inbox.items, said);
  });

  await check('twenty sends at once arrive once each, in the order of seq', async () => {
    const burst = await Promise.all(Array.from({ length: 20 }, (_, n) => ana.send(group, `burst ${n}`)));
    said.push(...burst.sort((a, b) => a.seq - b.seq).map((message) => message.text));
    await inbox.until('the burst', hasText(...said));
    assertHistory(inbox.items, said);
  });

  const breaks = { 'client.terminate()': () => client.terminate(), 'a cut connection': () => socket.terminate() };
  for (const [name, cut] of Object.entries(breaks)) {
    await check(`after ${name} the client reconnects and resumes: no repeat, no gap`, async () => {
      let open;
      gate = new Promise((resolve) => (open = resolve));
      const before = reconnects.length;
      await closeOf(client, cut);
      for (const n of [1, 2, 3]) await say(`missed during ${name} ${n}`);
      open();
      await inbox.until('what was missed', hasText(...said));
      await say(`live after ${name}`);
      await inbox.until('live again', hasText(...said));
      assert.equal(reconnects.length, before + 1, 'reconnects');
      assertHistory(inbox.items, said);
    });
  }

  await check('removal completes the stream, and nothing after it is delivered', async () => {
    const removedAt = await ana.remove(group, ben);
    await ana.send(group, 'not for Ben');
    assert.equal(await inbox.ended(ENDS_MS), 'complete');
    // Ben may hear of his own removal, or not.
    for (const { seq, __typename, user } of inbox.items.filter((event) => event.seq >= removedAt)) {
      assert.deepEqual([seq, __typename, user?.id], [removedAt, 'MemberLeft', ben.id]);
    }
    assertHistory(inbox.items, said);
  });

  await check('signOut closes the sockets of that session with 4403 within 1 s, and no others', async () => {
    const phone = await signIn(ana);
    const phoneClient = connect(phone.token);
    const laptopClient = connect(ana.token);
    const phoneInbox = events(phoneClient, group);
    const laptopInbox = events(laptopClient, group);
    await Promise.all([phoneInbox, laptopInbox].map((each) => each.until('replay', hasText('not for Ben'))));

    // The first close is what counts: after 1000 the client would reconnect and be closed again.
    const { code } = await closeOf(phoneClient, () => phone.signOut(), ENDS_MS);
    assert.equal(code, 4403);
    assert.equal((await phoneInbox.ended()).code, 4403, 'the outcome of the stream');

    await ana.send(group, 'still here');
    await laptopInbox.until('the other session', hasText('still here'));

    const again = await closeOf(connect(phone.token, { lazy: false, onNonLazyError() {} }), () => {});
    assert.equal(again.code, 4403, 'a socket with the token of the ended session');
  });

  await check('a ping with a new token renews the socket, and its stream goes on', async () => {
    const pongs = new Inbox();
    let socket;
    let sockets = 0;
    const client = connect(ana.token, {
      on: {
        connected: (connected) => {
          socket = connected;
          sockets++;
        },
        pong: (received, payload) => received && pongs.sink.next(payload),
      },
    });
    const ping = (token) =>
      socket.send(JSON.stringify({ type: 'ping', payload: { authorization: `Bearer ${token}` } }));
    const inbox = events(client, group);
    await inbox.until('replay', hasText('still here'));

    const { accessToken, expiresAt } = await ana.renew();
    ping(accessToken);
    await pongs.until('the answer', (items) => items.length === 1);
    assert.deepEqual(pongs.items, [{ expiresAt }]);
    await ana.send(group, 'renewed');
    await inbox.until('live', hasText('renewed'));
    assert.equal(sockets, 1, 'sockets opened');

    const { code } = await closeOf(client, () => ping(ben.token));
    assert.equal(code, 4403, 'a token of somebody else');
  });

  await check('an anonymous socket can run { __typename }', async () => {
    assert.deepEqual(await once(connect(null), '{ __typename }'), { data: { __typename: 'Query' } });
  });

  await check('an anonymous viewer is UNAUTHENTICATED, and the socket lives on', async () => {
    let sockets = 0;
    const client = connect(null, { lazyCloseTimeout: 5_000, on: { connected: () => sockets++ } });
    // As a result with errors or as an `error` message: both are proper.
    const { errors } = await once(client, '{ viewer { user { id } } }').catch((errors) => ({ errors }));
    assert.equal(codeOf(errors), 'UNAUTHENTICATED');
    assert.equal((await once(client, '{ __typename }')).data.__typename, 'Query');
    assert.equal(sockets, 1, 'sockets opened');
  });

  await check('a bad token closes with 4403', async () => {
    await assert.rejects(once(connect('not.a.token'), '{ __typename }'), { code: 4403 });
  });
});
