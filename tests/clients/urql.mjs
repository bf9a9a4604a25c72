// urql as applications set it up. By default it sends short queries by GET, so this is the GET door's client too.

import assert from 'node:assert/strict';
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { EVENTS, SEND, assertHistory, codeOf, eventInbox, hasText, httpUrl, register, suite, wsUrl } from './lib.mjs';

const VIEWER = '{ viewer { user { id displayName } } }';

function connect(person) {
  const params = person && { authorization: person.authorization };
  const ws = createClient({ url: wsUrl, webSocketImpl: WebSocket, connectionParams: params });
  const forwardSubscription = ({ query, variables }) => ({
    subscribe: (sink) => ({ unsubscribe: ws.subscribe({ query, variables }, sink) }),
  });
  return new Client({
    url: httpUrl,
    fetchOptions: { headers: params },
    exchanges: [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription })],
  });
}

await suite('urql', async (check) => {
  const ana = await register('Ana');
  const group = await ana.openGroup();
  const client = connect(ana);

  for (const [method, preferGetMethod] of Object.entries({ GET: 'force', POST: false })) {
    await check(`query by ${method}`, async () => {
      const options = { preferGetMethod, requestPolicy: 'network-only' };
      const { data, error } = await client.query(VIEWER, {}, options).toPromise();
      if (error) throw error;
      assert.deepEqual([data.viewer.user.id, data.viewer.user.displayName], [ana.id, 'Ana']);
    });
  }

  await check('an error arrives with its code', async () => {
    const { error } = await connect().query(VIEWER, {}).toPromise();
    assert.equal(codeOf(error), 'UNAUTHENTICATED');
  });

  await check('mutation and subscription', async () => {
    const inbox = eventInbox();
    const stream = client.subscription(EVENTS, { id: group, after: 0 }).subscribe(inbox.sink.next);
    for (const text of ['one', 'two']) {
      const { data, error } = await client.mutation(SEND, { input: { conversationId: group, text } }).toPromise();
      if (error) throw error;
      assert.equal(data.sendMessage.message.text, text);
    }
    await inbox.until('both messages', hasText('one', 'two'));
    stream.unsubscribe();
    assertHistory(inbox.items, ['one', 'two']);
  });
});
