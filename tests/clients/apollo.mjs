// Apollo Client as applications set it up: HTTP for queries and mutations, graphql-ws for subscriptions.

import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { EVENTS, SEND, assertHistory, codeOf, eventInbox, hasText, httpUrl, register, suite, wsUrl } from './lib.mjs';

const VIEWER = gql('{ viewer { user { id displayName } } }');

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

function connect(person) {
  const params = person && { authorization: person.authorization };
  const http = new HttpLink({ uri: httpUrl, headers: params });
  const ws = new GraphQLWsLink(createClient({ url: wsUrl, webSocketImpl: WebSocket, connectionParams: params }));
  return new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, ws, http),
  });
}

await suite('apollo', async (check) => {
  const ana = await register('Ana');
  const group = await ana.openGroup();
  const client = connect(ana);

  await check('query', async () => {
    const { data } = await client.query({ query: VIEWER });
    assert.deepEqual([data.viewer.user.id, data.viewer.user.displayName], [ana.id, 'Ana']);
  });

  await check('an error arrives with its code', async () => {
    await assert.rejects(connect().query({ query: VIEWER }), (error) => codeOf(error) === 'UNAUTHENTICATED');
  });

  // By POST, and by GET as caches in between would have it: the first asking is refused and sends the text along.
  for (const useGETForHashedQueries of [false, true]) {
    await check(`automatic persisted queries by ${useGETForHashedQueries ? 'GET' : 'POST'}`, async () => {
      const asked = [];
      const http = new HttpLink({
        uri: httpUrl,
        headers: { authorization: ana.authorization },
        fetch: (url, options) => {
          const body = options.body ?? '';
          asked.push(options.method + (body.includes('"query"') || url.includes('query=') ? ' with text' : ''));
          return fetch(url, options);
        },
      });
      const link = new PersistedQueryLink({ sha256, useGETForHashedQueries }).concat(http);
      const query = gql(`query Q${randomUUID().replaceAll('-', '')} { viewer { user { id } } }`);
      for (const cache of [new InMemoryCache(), new InMemoryCache()]) {
        const { data } = await new ApolloClient({ cache, link }).query({ query });
        assert.equal(data.viewer.user.id, ana.id);
      }
      const hashed = useGETForHashedQueries ? 'GET' : 'POST';
      assert.deepEqual(asked, [hashed, 'POST with text', hashed]);
    });
  }

  await check('a mutation by its hash', async () => {
    const http = new HttpLink({ uri: httpUrl, headers: { authorization: ana.authorization } });
    const link = new PersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(http);
    const hashing = new ApolloClient({ cache: new InMemoryCache(), link });
    const sent = async (text) => {
      const input = { conversationId: await ana.openGroup(), text };
      const { data } = await hashing.mutate({ mutation: gql(SEND), variables: { input } });
      return data.sendMessage.message;
    };
    for (const text of ['first', 'again']) assert.deepEqual(await sent(text), { __typename: 'Message', seq: 1, text });
  });

  await check('mutation and subscription', async () => {
    const inbox = eventInbox();
    const stream = client.subscribe({ query: gql(EVENTS), variables: { id: group, after: 0 } }).subscribe(inbox.sink);
    for (const text of ['one', 'two']) {
      const input = { conversationId: group, text };
      const { data } = await client.mutate({ mutation: gql(SEND), variables: { input } });
      assert.equal(data.sendMessage.message.text, text);
    }
    await inbox.until('both messages', hasText('one', 'two'));
    stream.unsubscribe();
    assertHistory(inbox.items, ['one', 'two']);
  });
});
