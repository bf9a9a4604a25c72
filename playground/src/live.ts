import type { GraphQLError } from 'graphql';
import { createClient, type Client } from 'graphql-ws';
import { ENDPOINT, messageOf, type GraphQLRequest, type GraphQLResult } from './graphql';
import { distrustToken, SignedOut, tokenOf, type Person } from './people';
import { Store } from './store';

export type ReceivedEvent = { key: number; at: Date; result: GraphQLResult };

export type Stream = {
  key: number;
  name: string;
  person: Person | null;
  state: 'connecting' | 'listening' | 'reconnecting' | 'ended';
  /** Why it ended, or nothing. */
  note: string;
  count: number;
  /** Newest first; only the last KEPT of them. */
  events: ReceivedEvent[];
};

const KEPT = 200;
const FORBIDDEN = 4403;

/**
 * The subscriptions running on this page. They live here and not in GraphiQL because GraphiQL stops
 * a subscription when another tab comes to the front, and watching Bob while Ann writes is the point.
 */
export const streams = new Store<Stream[]>([]);
const clients = new Map<number, Client>();
let lastKey = 0;

export function startStream(
  person: Person | null,
  request: GraphQLRequest,
  onEvent: (result: GraphQLResult) => void,
): void {
  const key = ++lastKey;
  const name = request.operationName ?? 'Subscription';
  streams.set([...streams.get(), { key, name, person, state: 'connecting', note: '', count: 0, events: [] }]);

  const client = connect(key, person);
  clients.set(key, client);
  // A copy of our own: graphql-ws sends this object again when it reconnects, and resumeAfter moves it on.
  const payload = { ...request, variables: { ...request.variables } };
  client.subscribe<Record<string, any>, Record<string, unknown>>(payload, {
    next(result) {
      resumeAfter(payload.variables, result);
      receive(key, result);
      onEvent(result);
    },
    error: error => end(key, describe(error)),
    complete: () => end(key, 'Completed by the server.'),
  });
}

/** Stops listening; what was received stays to be read. */
export function stopStream(key: number): void {
  end(key, 'Stopped.');
}

export function removeStream(key: number): void {
  end(key, 'Stopped.');
  streams.set(streams.get().filter(stream => stream.key !== key));
}

/** One socket per stream, opened as whoever started it, so that each can fail and be stopped alone. */
function connect(key: number, person: Person | null): Client {
  return createClient({
    url: new URL(ENDPOINT, location.href.replace(/^http/, 'ws')).href,
    // Asked again at every reconnect, so a token that expired meanwhile is replaced.
    connectionParams: async () => (person ? { authorization: `Bearer ${await tokenOf(person.id)}` } : undefined),
    // Whatever else it was, the network or the server may come back.
    shouldRetry: error => !(error instanceof SignedOut),
    retryAttempts: Infinity,
    retryWait: attempt => new Promise(resolve => setTimeout(resolve, Math.min(500 * 2 ** attempt, 10_000))),
    on: {
      connected: () => change(key, { state: 'listening' }),
      closed(event) {
        if (person && (event as CloseEvent).code === FORBIDDEN) distrustToken(person.id);
        change(key, { state: 'reconnecting' });
      },
    },
  });
}

/**
 * Whoever asked for events `after` some position must not get them twice because the network broke:
 * the variable follows what has been seen, which is what every client of Backchannel should do.
 */
function resumeAfter(variables: Record<string, unknown>, { data }: GraphQLResult): void {
  const seen = Object.values(data ?? {})[0]?.seq;
  if ('after' in variables && seen !== undefined) variables.after = seen;
}

function receive(key: number, result: GraphQLResult): void {
  const stream = streams.get().find(each => each.key === key);
  if (!stream) return;
  const count = stream.count + 1;
  const event = { key: count, at: new Date(), result };
  change(key, { count, events: [event, ...stream.events].slice(0, KEPT) });
}

function end(key: number, note: string): void {
  change(key, { state: 'ended', note });
  void clients.get(key)?.dispose();
  clients.delete(key);
}

/** An ended stream stays ended: the socket's last events come after the reason. */
function change(key: number, changes: Partial<Stream>): void {
  streams.set(
    streams.get().map(stream => (stream.key === key && stream.state !== 'ended' ? { ...stream, ...changes } : stream)),
  );
}

function describe(error: unknown): string {
  if (Array.isArray(error)) return error.map((each: GraphQLError) => each.message).join(' ');
  if (error instanceof CloseEvent) return error.reason || `The connection was closed with code ${error.code}.`;
  return messageOf(error);
}
