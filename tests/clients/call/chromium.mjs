// A headless Chromium, driven over its DevTools pipe: no port, and it ends when this process does, however that ends.

import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { within } from '../lib.mjs';

const START_MS = 30_000;
const PROGRAMS = ['chromium-headless-shell', 'chromium'];

const FLAGS = [
  '--headless',
  '--remote-debugging-pipe',
  // Neither root nor a container has the sandbox, and the pages are our own; a container has little /dev/shm too.
  '--no-sandbox',
  '--disable-dev-shm-usage',
  // A camera and a microphone without devices, and nobody to ask.
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  // A TURN server at 127.0.0.1 is reached, on a machine that has no other network too.
  '--allow-loopback-in-peer-connection',
  // Ask nobody on the Internet for anything.
  '--disable-background-networking',
  '--disable-component-update',
];

export class Chromium {
  #calls = new Map();
  #lastId = 0;
  #process;

  static async launch() {
    const chromium = new Chromium();
    await within(START_MS, 'start of Chromium', chromium.#send('Browser.getVersion'));
    return chromium;
  }

  constructor() {
    const path = program();
    const profile = mkdtempSync(join(tmpdir(), 'backchannel-chromium-'));
    const flags = [...FLAGS, `--user-data-dir=${profile}`];
    // Its own group, so that the end reaches every process of it and the files can go.
    this.#process = spawn(path, flags, { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    process.on('exit', () => {
      try {
        process.kill(-this.#process.pid, 'SIGKILL');
      } catch {
        // It has ended already.
      }
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    });
    this.#process.on('exit', (code, signal) => {
      const error = new Error(`Chromium ended with ${code ?? signal}`);
      for (const { reject } of this.#calls.values()) reject(error);
    });
    // What a dead browser no longer reads; the exit says more.
    this.#process.stdio[3].on('error', () => {});

    let rest = '';
    this.#process.stdio[4].setEncoding('utf8').on('data', (text) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop();
      for (const message of messages) this.#receive(JSON.parse(message));
    });
  }

  /** A page in a context of its own: as another browser, with other storage. */
  async open(url) {
    const { browserContextId } = await this.#send('Target.createBrowserContext');
    // Who may use the microphone may also know the networks: without that, and without a route to the Internet, WebRTC
    // finds no network to use.
    const permissions = ['audioCapture', 'videoCapture'];
    await this.#send('Browser.grantPermissions', { permissions, browserContextId });
    const { targetId } = await this.#send('Target.createTarget', { url, browserContextId });
    const { sessionId } = await this.#send('Target.attachToTarget', { targetId, flatten: true });
    const page = {
      /** Runs a script in the page; answers what it evaluates to, or what its promise resolves to. */
      evaluate: async (expression) => {
        const options = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await this.#send('Runtime.evaluate', options, sessionId);
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
      },
      /** Calls a function in the page; arguments and answer are JSON. */
      run: (fn, ...args) => page.evaluate(`(${fn})(...${JSON.stringify(args)})`),
      close: () => this.#send('Target.disposeBrowserContext', { browserContextId }),
    };
    // Attached while the page is still on its way, scripts would run in the blank one before it.
    await within(START_MS, url, this.#arrival(page, url));
    return page;
  }

  async #arrival(page, url) {
    while ((await page.evaluate('`${document.readyState} ${location}`')) !== `complete ${url}`) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #send(method, params = {}, sessionId = undefined) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  #receive({ id, result, error }) {
    const call = this.#calls.get(id);
    if (!call) return; // an event
    this.#calls.delete(id);
    if (error) call.reject(new Error(error.message));
    else call.resolve(result);
  }
}

/** The path of the browser. */
function program() {
  for (const name of PROGRAMS) {
    for (const directory of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(directory, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not here.
      }
    }
  }
  throw new Error(
    `Chromium is not installed (${PROGRAMS.join(' or ')}): \`scripts/test\` installs it, or on Debian ` +
      '`apt-get install --no-install-recommends chromium-headless-shell`',
  );
}
