import type { CSSProperties } from 'react';

/** An initial on a colour that follows from the name, so that Ann looks the same everywhere on the page. */
export function Avatar({ name }: { name: string | null }) {
  if (name === null) return <span className="bc-avatar bc-nobody" aria-hidden />;
  const hue = [...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 360;
  return (
    <span className="bc-avatar" style={{ '--hue': hue } as CSSProperties} aria-hidden>
      {name.slice(0, 1).toUpperCase()}
    </span>
  );
}
