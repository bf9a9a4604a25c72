import { Avatar } from './Avatar';
import { removeStream, stopStream, streams, type ReceivedEvent, type Stream } from './live';
import { useStore } from './store';

/** All running subscriptions side by side, whichever tab is in front. */
export function LivePanel() {
  const all = useStore(streams);
  if (all.length === 0) return null;
  return (
    <section className="bc-live" aria-label="Live subscriptions">
      {all.map(stream => (
        <StreamCard key={stream.key} stream={stream} />
      ))}
    </section>
  );
}

function StreamCard({ stream: { key, name, person, state, note, count, events } }: { stream: Stream }) {
  const who = person?.displayName ?? 'Anonymous';
  return (
    <article className="bc-stream" aria-label={`${name} as ${who}`}>
      <header>
        <Avatar name={person?.displayName ?? null} />
        <strong>{who}</strong>
        <span className="bc-stream-name">{name}</span>
        <span className="bc-state" data-state={state}>
          {state}
        </span>
        <span className="bc-hint">{count === 1 ? '1 event' : `${count} events`}</span>
        {state === 'ended' ? (
          <button className="bc-button" onClick={() => removeStream(key)}>
            Close
          </button>
        ) : (
          <button className="bc-button" onClick={() => stopStream(key)}>
            Stop
          </button>
        )}
      </header>
      {note && <p className="bc-note">{note}</p>}
      <ol>
        {/* Newest first: what has just arrived is always in sight, without scrolling. */}
        {events.map(event => (
          <EventRow key={event.key} event={event} />
        ))}
      </ol>
      {count === 0 && state === 'listening' && <p className="bc-hint">Nothing yet. Let somebody write.</p>}
    </article>
  );
}

function EventRow({ event: { at, result } }: { event: ReceivedEvent }) {
  const event = Object.values(result.data ?? {})[0] ?? {};
  const problem = result.errors?.map(error => error.message).join(' ');
  return (
    <li className="bc-event">
      <details>
        <summary>
          <time>{at.toLocaleTimeString([], { hour12: false })}</time>
          {event.seq !== undefined && <span className="bc-seq">#{event.seq}</span>}
          <strong>{event.__typename}</strong>
          <span className={problem ? 'bc-problem' : 'bc-gist'}>{problem ?? gistOf(event).join(' · ')}</span>
        </summary>
        <pre>{JSON.stringify(problem ? result : event, null, 2)}</pre>
      </details>
    </li>
  );
}

/** The texts within an event, wherever they are: enough to follow a conversation without opening anything. */
function gistOf(value: Record<string, unknown>): string[] {
  return Object.entries(value).flatMap(([name, field]) => {
    if (field && typeof field === 'object') return gistOf(field as Record<string, unknown>);
    return typeof field === 'string' && (name === 'text' || name === 'displayName') ? [field] : [];
  });
}
