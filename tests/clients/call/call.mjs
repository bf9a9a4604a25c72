// Real calls: two users in two pages of a headless Chromium, media through a TURN server with the node's credentials.
//
//     TURN_SECRET=… node call/call.mjs http://127.0.0.1:4000 [http://127.0.0.1:4001]
//
// The node has that TURN_SECRET and TURN_URLS; with a second address the second user is on that node.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { base, register, suite } from '../lib.mjs';
import { Chromium } from './chromium.mjs';

const CONNECTS_MS = 2_000; // from the answer
const HOUR_S = 3_600;

const secret = process.env.TURN_SECRET;
const bases = [base, process.argv[3] ?? base];

const readBeside = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const graphqlWs = readBeside('../node_modules/graphql-ws/umd/graphql-ws.js');
const phone = readBeside('phone.js');

/** A fresh page with a phone in it, for one call. */
async function phoneFor(chromium, person, at, conversation) {
  // Any small document of the node: its origin may open sockets.
  const page = await chromium.open(`${at}/ping`);
  await page.evaluate(graphqlWs);
  await page.evaluate(phone);
  await page.run((token, id) => void (globalThis.phone = new Phone(token, id)), person.token, conversation);
  return page;
}

const both = (pages, fn, ...args) => Promise.all(pages.map((page) => page.run(fn, ...args)));

/** One call from start to end. */
async function checkCall(check, { what, caller, callee, conversation, kind, hangsUp }) {
  const pages = [caller, callee];
  let callId;
  let answeredAt;
  let lasted;

  await check(`${what}: the offer waits for the answer`, async () => {
    await both(pages, (kind) => phone.prepare(kind), kind);
    callId = await caller.run((id, kind) => phone.call(id, kind), conversation, kind);
    const before = await callee.run(() => phone.answer());
    assert.deepEqual(before, ['RINGING'], 'heard before the answer');
  });

  await check(`${what}: both are connected within ${CONNECTS_MS / 1_000} s of the answer`, async () => {
    const [callers, callees] = await both(pages, () => phone.times());
    answeredAt = callees.answered;
    const took = Math.max(callers.connected, callees.connected) - answeredAt;
    console.log(`    connected ${took} ms after the answer`);
    assert.ok(took < CONNECTS_MS, `${took} ms`);
  });

  await check(`${what}: the path is relayed on both sides`, async () => {
    for (const { candidateType, url } of await both(pages, () => phone.path())) {
      assert.equal(candidateType, 'relay');
      assert.ok(url.startsWith('turn:'), url);
    }
  });

  await check(`${what}: media and texts go both ways`, async () => {
    await both(pages, (kind) => phone.media(kind), kind);
    await caller.run(() => phone.say('from the caller'));
    await callee.run(() => phone.say('from the callee'));
    await caller.run(() => phone.until('a text', () => phone.texts.includes('from the callee')));
    await callee.run(() => phone.until('a text', () => phone.texts.includes('from the caller')));
  });

  await check(`${what}: hanging up ends both sides`, async () => {
    await hangsUp.run(() => phone.hangUp());
    lasted = (Date.now() - answeredAt) / 1_000;
    const ended = () =>
      phone.until('the end', () => {
        const { connection, channel } = phone.state();
        return phone.heard.at(-1).kind === 'ENDED' && connection === 'closed' && channel === 'closed';
      });
    await both(pages, ended);
  });

  await check(`${what}: the conversation keeps it as COMPLETED, with its duration`, async () => {
    const record = (id) => phone.until('CallEnded', () => phone.events.find((event) => event.call?.id === id));
    for (const { call } of await both(pages, record, callId)) {
      assert.equal(call.outcome, 'COMPLETED');
      assert.ok(Math.abs(call.durationSeconds - lasted) < 1.5, `${call.durationSeconds} s, but ${lasted} s went by`);
    }
  });

  await check(`${what}: signals came once and in order`, async () => {
    for (const heard of await both(pages, () => phone.heard)) {
      const seqs = heard.map((signal) => signal.seq);
      assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b));
    }
  });
}

/** As the TURN REST convention makes them: the name carries the end, the password is its HMAC. */
function credentials(urls, expires, key) {
  const username = `${expires}:somebody`;
  return [{ urls, username, credential: createHmac('sha1', key).update(username).digest('base64') }];
}

async function checkCredentials(check, page) {
  const now = Math.floor(Date.now() / 1_000);
  const urls = await page.run(() => phone.servers.flatMap((server) => server.urls));

  await check('credentials made with the secret are accepted', async () => {
    const { candidates } = await page.run((servers) => gather(servers), credentials(urls, now + HOUR_S, secret));
    assert.deepEqual(candidates, ['relay']);
  });
  const refused = {
    'credentials of another secret': credentials(urls, now + HOUR_S, `${secret}, or nearly`),
    'expired credentials': credentials(urls, now - 1, secret),
    'credentials with a later end written in': credentials(urls, now - 1, secret).map((server) => ({
      ...server,
      username: `${now + HOUR_S}:somebody`,
    })),
  };
  for (const [what, servers] of Object.entries(refused)) {
    await check(`${what} are refused`, async () => {
      const { candidates, refusals } = await page.run((servers) => gather(servers), servers);
      assert.deepEqual({ candidates, refusals }, { candidates: [], refusals: [401] });
    });
  }
}

await suite('call', async (check) => {
  assert.ok(secret, 'TURN_SECRET is the secret of the node and of the TURN server');
  const [chromium, ana, ben] = await Promise.all([Chromium.launch(), register('Ana'), register('Ben')]);
  const conversation = await ana.openDirect(ben);
  const phones = () =>
    Promise.all([ana, ben].map((person, i) => phoneFor(chromium, person, bases[i], conversation)));

  let [anas, bens] = await phones();
  const video = { what: 'video', kind: 'VIDEO', caller: anas, callee: bens, hangsUp: anas };
  await checkCall(check, { ...video, conversation });
  await checkCredentials(check, anas);
  await Promise.all([anas, bens].map((page) => page.close()));

  [anas, bens] = await phones();
  const audio = { what: 'audio', kind: 'AUDIO', caller: bens, callee: anas, hangsUp: anas };
  await checkCall(check, { ...audio, conversation });
});
