// graphql-transport-ws to the letter, with a bare socket: a client library would hide most of what is checked here.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import WebSocket from 'ws';
import { EVENTS, Inbox, base, gql, register, suite, within, wsUrl } from './lib.mjs';

const PROTOCOL = 'graphql-transport-ws';
const MAX_SUBSCRIPTIONS = 50;
const MAX_FRAME = 64 * 1024;
const INIT_MS = 10_000;

class Socket {
  inbox = new Inbox(JSON.parse);

  constructor({ protocol = PROTOCOL, ...options } = {}) {
    this.ws = new WebSocket(wsUrl, protocol, options);
    this.ws.on('message', (data) => this.inbox.sink.next(data));
    this.opened = new Promise((resolve, reject) => {
      this.ws.on('open', resolve);
      // An upgrade that was answered with a plain HTTP response.
      this.ws.on('unexpected-response', (_request, { statusCode }) => {
        reject(Object.assign(new Error(`upgrade refused with HTTP ${statusCode}`), { statusCode }));
        this.ws.terminate();
      });
      this.ws.on('error', reject);
    });
    this.opened.catch(() => {}); // reported by whoever awaits it
    this.closed = new Promise((resolve) => {
      this.ws.on('close', (code, reason) => {
        this.inbox.sink.error({ code, reason: String(reason) });
        resolve(code);
      });
    });
  }

  /** A string goes out as it is. */
  send(message) {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id, query, variables) {
    this.send({ id, type: 'subscribe', payload: { query, variables } });
  }

  /** Waits for the first message of this type, and of this id if one is given. */
  async receive(type, id) {
    const wanted = (message) => message.type === type && message.id === id;
    await this.inbox.until(`${type} ${id ?? ''}`, (messages) => messages.some(wanted));
    return this.inbox.items.find(wanted);
  }

  of(id) {
    return this.inbox.items.filter((message) => message.id === id);
  }

  /** Messages are handled in order, so this also says that the server has read all sent before. */
  async assertUsable() {
    const id = randomUUID();
    this.subscribe(id, '{ __typename }');
    await this.receive('complete', id);
  }
}

/** A socket whose handshake is done; without a token it is anonymous. */
async function acknowledged(token) {
  const socket = new Socket();
  await within(5_000, 'upgrade', socket.opened);
  socket.send({ type: 'connection_init', ...(token && { payload: { authorization: `Bearer ${token}` } }) });
  await socket.receive('connection_ack');
  return socket;
}

async function opened(options) {
  const socket = new Socket(options);
  await within(5_000, 'upgrade', socket.opened);
  return socket;
}

await suite('close-codes', async (check) => {
  // Takes ten seconds, so it starts first and is looked at last.
  const silent = await opened();
  const silentSince = Date.now();
  const silentFor = silent.closed.then(() => Date.now() - silentSince);

  const closes = (code, name, socket, ...messages) =>
    check(`${code} ${name}`, async () => {
      const s = await socket();
      for (const message of messages) s.send(message);
      assert.equal(await within(5_000, 'close', s.closed), code);
    });

  const ana = await register('Ana');
  const group = await ana.openGroup();
  await ana.send(group, 'first');
  const events = { id: group, after: 0 };
  const signedIn = () => acknowledged(ana.token);
  const init = { type: 'connection_init' };
  const subscribe = (id, query = EVENTS, variables = events) =>
    ({ id, type: 'subscribe', payload: { query, variables } });

  // ---- Close codes

  await closes(4400, 'invalid JSON', acknowledged, '{ "type": ');
  await closes(4400, 'invalid JSON before the handshake', opened, 'hello');
  await closes(4400, 'a message that is not an object', acknowledged, '[]');
  await closes(4400, 'unknown type', acknowledged, { type: 'start', id: '1' });
  await closes(4400, 'a message only servers send', acknowledged, { type: 'next', id: '1', payload: { data: null } });
  await closes(4400, 'subscribe without id', acknowledged, { type: 'subscribe', payload: { query: '{ __typename }' } });
  await closes(4400, 'subscribe without query', acknowledged, { type: 'subscribe', id: '1', payload: {} });
  await closes(4401, 'subscribe before connection_init', opened, subscribe('1', '{ __typename }', {}));
  const badToken = { authorization: 'Bearer not.a.token' };
  await closes(4403, 'bad token at connection_init', opened, { ...init, payload: badToken });
  await closes(4406, 'no subprotocol', () => opened({ protocol: [] }));
  // As a bare header, because ws (like browsers) hides the close code when its offer is not taken up.
  await closes(4406, 'unknown subprotocol', () =>
    opened({ protocol: [], headers: { 'sec-websocket-protocol': 'graphql-ws' } }));
  await closes(4409, 'an id that is in use', signedIn, subscribe('1'), subscribe('1'));
  await closes(4429, 'a second connection_init', acknowledged, init);
  await closes(4429, 'two connection_init at once', opened, init, init);

  await check('an id may be used again after its operation is complete', async () => {
    const socket = await signedIn();
    for (const _ of [1, 2]) {
      socket.send(subscribe('1'));
      await socket.receive('next', '1');
      socket.send({ type: 'complete', id: '1' });
      socket.inbox.items.length = 0;
    }
    await socket.assertUsable();
  });

  // A server may drop a huge frame half-read, and then no close code gets through (1006). Just over the limit it must.
  const oversize = { 'just over 64 kB': [MAX_FRAME, [1009, 4400]], 'of 4 MB': [64 * MAX_FRAME, [1009, 4400, 1006]] };
  for (const [name, [size, codes]] of Object.entries(oversize)) {
    await check(`a frame ${name} closes that socket and nothing else`, async () => {
      const bystander = await signedIn();
      const socket = await signedIn();
      socket.send({ type: 'ping', payload: { filler: 'x'.repeat(size) } });
      const code = await within(5_000, 'close', socket.closed);
      assert.ok(codes.includes(code), `closed with ${code}`);
      await bystander.assertUsable();
      assert.deepEqual(await gql('{ __typename }'), { __typename: 'Query' });
    });
  }

  // ---- Messages

  for (const [name, open] of Object.entries({ after: acknowledged, before: opened })) {
    await check(`a ping gets a pong with the same payload, ${name} the handshake`, async () => {
      const socket = await open();
      const payload = { at: 1, nested: { text: 'ünï 🏊', list: [1, null] } };
      socket.send({ type: 'ping', payload });
      assert.deepEqual(await socket.receive('pong'), { type: 'pong', payload });
    });
  }

  await check('a query yields next and complete, and nothing more', async () => {
    const socket = await acknowledged();
    socket.subscribe('q', '{ __typename }');
    await socket.receive('complete', 'q');
    await socket.assertUsable();
    assert.deepEqual(socket.of('q'), [
      { id: 'q', type: 'next', payload: { data: { __typename: 'Query' } } },
      { id: 'q', type: 'complete' },
    ]);
  });

  const refused = { 'a validation error': 'subscription { noSuchField }', 'a syntax error': 'subscription {' };
  for (const [name, query] of Object.entries(refused)) {
    await check(`${name} yields one error message for its id, and the socket stays usable`, async () => {
      const socket = await signedIn();
      socket.subscribe('bad', query);
      await socket.receive('error', 'bad');
      await socket.assertUsable();
      const [{ payload }, ...rest] = socket.of('bad');
      assert.deepEqual(rest, []);
      assert.equal(typeof payload[0].message, 'string', 'the payload is a list of errors');
    });
  }

  await check('complete from the client stops its stream', async () => {
    const socket = await signedIn();
    socket.send(subscribe('stopped'));
    socket.send(subscribe('other'));
    await socket.receive('next', 'stopped');
    await socket.receive('next', 'other');
    socket.send({ type: 'complete', id: 'stopped' });
    await socket.assertUsable();
    const before = socket.of('stopped').length;
    const others = socket.of('other').length;
    // When the second of two messages has come on the other stream, the first had its chance on the stopped one.
    for (const n of [1, 2]) {
      await ana.send(group, `after complete ${n}`);
      await socket.inbox.until('the other stream', () => socket.of('other').length >= others + n);
    }
    assert.deepEqual(socket.of('stopped').slice(before), []);
  });

  await check(`subscription ${MAX_SUBSCRIPTIONS + 1} gets an error message, the others live on`, async () => {
    const socket = await signedIn();
    const ids = Array.from({ length: MAX_SUBSCRIPTIONS }, (_, n) => `s${n}`);
    for (const id of ids) socket.send(subscribe(id));
    await socket.inbox.until('replay on all', () => ids.every((id) => socket.of(id).length));

    socket.send(subscribe('too many'));
    const { payload } = await socket.receive('error', 'too many');
    assert.equal(typeof payload[0].message, 'string', 'the payload is a list of errors');

    const refused = socket.inbox.items.filter((message) => message.type === 'error').map((message) => message.id);
    assert.deepEqual(refused, ['too many']);
    const before = new Map(ids.map((id) => [id, socket.of(id).length]));
    await ana.send(group, 'for all');
    await socket.inbox.until('live on all', () => ids.every((id) => socket.of(id).length > before.get(id)));

    socket.send({ type: 'complete', id: ids[0] });
    socket.send(subscribe('in its place'));
    await socket.receive('next', 'in its place');
  });

  // ---- Origin

  const port = new URL(base).port;
  const foreign = ['https://evil.example', `${base}.evil.example`, `http://evil.example:${port}`, 'null'];
  for (const origin of foreign) {
    await check(`Origin ${origin.replace(port, 'PORT')} is refused before the upgrade with 403`, async () => {
      await assert.rejects(opened({ origin }), { statusCode: 403 });
    });
  }

  await check('the own host as Origin is accepted', async () => {
    const socket = await opened({ origin: base });
    socket.send(init);
    await socket.receive('connection_ack');
  });

  await check('4408 no connection_init for 10 s', async () => {
    const ms = await within(INIT_MS + 5_000, 'close', silentFor);
    assert.equal(await silent.closed, 4408);
    assert.ok(ms > INIT_MS - 1_000 && ms < INIT_MS + 3_000, `closed after ${ms} ms`);
  });
});
