import { useEditorContext } from '@graphiql/react';
import { useLayoutEffect, useState } from 'react';
import { actAs, acting, actingPerson, showTab } from './acting';
import { Avatar } from './Avatar';
import { people, signOut } from './people';
import { SignInDialog } from './SignInDialog';
import { useStore } from './store';

/** Who is signed in, and who acts in the front tab. */
export function PeopleBar() {
  const { tabs, activeTabIndex } = useEditorContext({ nonNull: true });
  const tab = tabs[activeTabIndex]?.id ?? '';
  // Before paint, so that an example just opened can choose its person right after.
  useLayoutEffect(() => showTab(tab), [tab]);

  const everyone = useStore(people);
  const chosen = actingPerson(useStore(acting));
  const [adding, setAdding] = useState(false);

  return (
    <header className="bc-bar">
      <img src="/playground/assets/icon.svg" alt="" width="24" height="24" />
      <h1>Backchannel</h1>
      <div className="bc-people" role="radiogroup" aria-label="Run this tab as">
        <span className="bc-hint">Run this tab as</span>
        <button role="radio" aria-checked={!chosen} className="bc-person" onClick={() => actAs(null)}>
          <Avatar name={null} /> Anonymous
        </button>
        {everyone.map(person => (
          <span key={person.id} className="bc-pill">
            <button
              role="radio"
              aria-checked={person.id === chosen?.id}
              className="bc-person"
              title={person.id}
              onClick={() => actAs(person)}
            >
              <Avatar name={person.displayName} /> {person.displayName}
            </button>
            <button
              className="bc-sign-out"
              title={`Sign ${person.displayName} out`}
              aria-label={`Sign ${person.displayName} out`}
              onClick={() => void signOut(person.id)}
            >
              ×
            </button>
          </span>
        ))}
        <button className="bc-button bc-add" onClick={() => setAdding(true)}>
          + Add a person
        </button>
      </div>
      {adding && <SignInDialog onClose={() => setAdding(false)} />}
    </header>
  );
}
