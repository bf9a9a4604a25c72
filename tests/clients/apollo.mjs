// Apollo Client as applications set it up: HTTP for queries and mutations, graphql-ws for subscriptions.

import assert from 'node:assert/strict';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { EVENTS, SEND, assertHistory, codeOf, eventInbox, hasText, httpUrl, register, suite, wsUrl } from './lib.mjs';

const VIEWER = gql('{ viewer { user { id displayName } } }');

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
