// One user's side of a call: signals over graphql-ws, media over WebRTC and through the relay alone. A script of the
// page, evaluated after graphql-ws itself.

const PATIENCE_MS = 10_000;

const SIGNALS = 'subscription { callSignaled { seq kind payload call { id } } }';
const EVENTS = `subscription Events($id: ID!) {
  conversationEvents(conversationId: $id, after: 0) {
    __typename
    ... on CallEnded { call { id outcome durationSeconds } }
  }
}`;
const START = 'mutation Start($input: StartCallInput!) { startCall(input: $input) { call { id } } }';
const ANSWER = 'mutation Answer($input: AnswerCallInput!) { answerCall(input: $input) { call { id } } }';
const HANG_UP = 'mutation HangUp($input: HangUpInput!) { hangUp(input: $input) { call { id } } }';
const SIGNAL = 'mutation Signal($input: SendCallSignalInput!) { sendCallSignal(input: $input) { ok } }';
const ICE_SERVERS = 'query IceServers($id: ID!) { iceServers(callId: $id) { urls username credential } }';

class Phone {
  /** The durable events of the conversation. */
  events = [];
  /** The signals of this call. */
  heard = [];
  /** What the node gave as relays of the call. */
  servers;
  /** What came through the data channel. */
  texts = [];
  #client;
  #failure;
  #media;
  /** When the call was answered here, and when media could flow, in ms. */
  #answered;
  #connected;
  // Set while there is a call.
  #callId;
  #channel;
  #peer;
  /** The connection, once signals of the other side can be taken. */
  #ready = Promise.withResolvers();
  /** Signals are taken, and sent, one after the other. */
  #taking = Promise.resolve();
  #sending = Promise.resolve();

  constructor(token, conversationId) {
    this.#client = graphqlWs.createClient({
      url: `${location.origin.replace(/^http/, 'ws')}/graphql`,
      connectionParams: { authorization: `Bearer ${token}` },
      retryAttempts: 0,
    });
    this.#follow(SIGNALS, {}, ({ callSignaled }) => this.#hear(callSignaled));
    this.#follow(EVENTS, { id: conversationId }, ({ conversationEvents }) => this.events.push(conversationEvents));
  }

  /** Opens microphone and camera: what an app does while it rings. */
  async prepare(kind) {
    const video = kind === 'VIDEO' && { width: 320, height: 240, frameRate: 15 };
    this.#media = await navigator.mediaDevices.getUserMedia({ audio: true, video });
  }

  /** Calls, and does not wait for the answer before it makes its offer. Answers the call's id. */
  async call(conversationId, kind) {
    const starting = this.#ask(START, { input: { conversationId, kind } }).then(({ startCall }) => {
      this.#callId = startCall.call.id;
    });
    // Until then nobody can tell whether a signal is of this call.
    this.#taking = this.#taking.then(() => starting);
    await starting;
    const peer = await this.#open();
    await peer.setLocalDescription(await peer.createOffer());
    await this.#signal('OFFER', peer.localDescription);
    this.#ready.resolve(peer);
    return this.#callId;
  }

  /** Gets ready while it rings, then answers. Answers what had been heard until then. */
  async answer() {
    await this.until('ringing', () => this.heard.length > 0);
    this.#ready.resolve(await this.#open());
    const before = this.heard.map((signal) => signal.kind);
    await this.#ask(ANSWER, { input: { callId: this.#callId } });
    this.#answered = Date.now();
    return before;
  }

  hangUp() {
    return this.#ask(HANG_UP, { input: { callId: this.#callId } });
  }

  async say(text) {
    await this.until('open channel', () => this.#channel?.readyState === 'open');
    this.#channel.send(text);
  }

  /** When it was answered (null for who called) and when it was connected. */
  async times() {
    await this.until('connection', () => this.#connected);
    return { answered: this.#answered ?? null, connected: this.#connected };
  }

  state() {
    return { connection: this.#peer.connectionState, channel: this.#channel.readyState };
  }

  /** This end of the path in use. What the other end is called here depends on what came first, it or its candidate. */
  async path() {
    const stats = await this.#peer.getStats();
    const transport = [...stats.values()].find((entry) => entry.type === 'transport');
    const pair = stats.get(transport.selectedCandidatePairId);
    const { candidateType, url } = stats.get(pair.localCandidateId);
    return { candidateType, url };
  }

  /** Waits until sound and, with video, pictures of the other side have come. */
  async media(kind) {
    await this.until('media of the other side', async () => {
      const inbound = [...(await this.#peer.getStats()).values()].filter((entry) => entry.type === 'inbound-rtp');
      const sound = inbound.find((entry) => entry.kind === 'audio')?.packetsReceived ?? 0;
      const pictures = inbound.find((entry) => entry.kind === 'video')?.framesDecoded ?? 0;
      return sound >= 10 && (kind === 'AUDIO' || pictures >= 3);
    });
  }

  /** Looks until there is something: statistics tell nobody when they change. */
  async until(what, look) {
    const deadline = Date.now() + PATIENCE_MS;
    while (true) {
      if (this.#failure) throw this.#failure;
      const seen = await look();
      if (seen) return seen;
      if (Date.now() > deadline) {
        throw new Error(`${what}: not within ${PATIENCE_MS} ms; heard ${this.heard.map((signal) => signal.kind)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #open() {
    const { iceServers } = await this.#ask(ICE_SERVERS, { id: this.#callId });
    this.servers = iceServers;
    const peer = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay', bundlePolicy: 'max-bundle' });
    this.#peer = peer;
    peer.onicecandidate = async ({ candidate }) => {
      try {
        if (candidate) await this.#signal('CANDIDATE', candidate);
      } catch (error) {
        // Still being found when the call has ended.
        if (error.code !== 'CONFLICT') this.#fail(error);
      }
    };
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === 'connected') this.#connected ??= Date.now();
    };
    this.#channel = peer.createDataChannel('texts', { negotiated: true, id: 0 });
    this.#channel.onmessage = ({ data }) => this.texts.push(data);
    for (const track of this.#media.getTracks()) peer.addTrack(track, this.#media);
    return peer;
  }

  #hear(signal) {
    this.#taking = this.#taking.then(() => this.#take(signal)).catch((error) => this.#fail(error));
  }

  async #take(signal) {
    const { call, kind, payload } = signal;
    if (kind === 'RINGING') this.#callId ??= call.id;
    // The end of an earlier call may be told once more.
    if (call.id !== this.#callId) return;
    this.heard.push(signal);
    if (kind === 'OFFER') {
      const peer = await this.#ready.promise;
      await peer.setRemoteDescription(JSON.parse(payload));
      await peer.setLocalDescription(await peer.createAnswer());
      await this.#signal('ANSWER', peer.localDescription);
    } else if (kind === 'ANSWER') {
      await (await this.#ready.promise).setRemoteDescription(JSON.parse(payload));
    } else if (kind === 'CANDIDATE') {
      await (await this.#ready.promise).addIceCandidate(JSON.parse(payload));
    } else if (kind === 'ENDED') {
      this.#peer?.close();
      for (const track of this.#media?.getTracks() ?? []) track.stop();
    }
  }

  #signal(kind, content) {
    const input = { callId: this.#callId, kind, payload: JSON.stringify(content) };
    this.#sending = this.#sending.then(() => this.#ask(SIGNAL, { input }));
    return this.#sending;
  }

  async #ask(query, variables) {
    for await (const { data, errors } of this.#client.iterate({ query, variables })) {
      if (errors) throw Object.assign(new Error(errors[0].message), { code: errors[0].extensions?.code });
      return data;
    }
  }

  #follow(query, variables, take) {
    const next = ({ data, errors }) => (errors ? this.#fail(errors[0]) : take(data));
    const error = (reason) => this.#fail(reason);
    this.#client.subscribe({ query, variables }, { next, error, complete: () => this.#fail('a stream ended') });
  }

  #fail(reason) {
    this.#failure ??= new Error(reason.message ?? reason.reason ?? JSON.stringify(reason));
  }
}

/** What a client is given by these servers: its relay candidates, and the codes of its refusals. */
async function gather(iceServers) {
  const peer = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
  const candidates = [];
  const refusals = [];
  peer.onicecandidateerror = ({ errorCode }) => refusals.push(errorCode);
  const done = new Promise((resolve) => {
    peer.onicecandidate = ({ candidate }) => (candidate ? candidates.push(candidate.type) : resolve());
  });
  peer.createDataChannel('none');
  await peer.setLocalDescription();
  await done;
  peer.close();
  return { candidates: [...new Set(candidates)], refusals: [...new Set(refusals)] };
}
