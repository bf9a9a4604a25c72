import { useEditorContext, type GraphiQLPlugin } from '@graphiql/react';
import { flushSync } from 'react-dom';
import { actAs } from './acting';
import { Avatar } from './Avatar';
import { editorText, examples, fillVariables, progress, startOver, whoSaves, type Example } from './examples';
import { findByAlias, people } from './people';
import { useStore } from './store';

/** The numbered walk, each step opening in a tab of its own. */
function ExamplesPanel() {
  const open = useOpenExample();
  const { done } = useStore(progress);
  useStore(people); // who is missing depends on who is signed in

  return (
    <section className="bc-examples" aria-label="Examples">
      <header>
        <h2>The first five minutes</h2>
        <button className="bc-link" onClick={startOver} title="Forget saved values and use new e-mail addresses">
          Start over
        </button>
      </header>
      <p className="bc-hint">Open each in turn and run it with ▶ or Ctrl-Enter.</p>
      <ol>
        {examples.map(example => (
          <li key={example.number}>
            <button onClick={() => open(example)} data-done={done.includes(example.number)}>
              <span className="bc-number">{done.includes(example.number) ? '✓' : example.number}</span>
              <span className="bc-title">
                {example.title}
                <Missing example={example} />
              </span>
              <Avatar name={example.as ? nameOf(example.as) : null} />
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The last of the examples that must be run before this one can be. */
function Missing({ example }: { example: Example }) {
  const needed = fillVariables(example).missing.map(whoSaves);
  if (example.as && !findByAlias(example.as)) needed.push(examples.find(each => each.signsIn === example.as));
  const last = needed.map(each => each?.number).sort().at(-1);
  return last && <span className="bc-hint">after {last}</span>;
}

function useOpenExample() {
  const { addTab, queryEditor, variableEditor, updateActiveTabValues } = useEditorContext({ nonNull: true });
  return (example: Example) => {
    const query = editorText(example);
    const variables = fillVariables(example).text;
    // GraphiQL cannot open a tab with contents: the empty tab must be in front before they are set.
    flushSync(addTab);
    queryEditor?.setValue(query);
    variableEditor?.setValue(variables);
    updateActiveTabValues({ query, variables });
    actAs((example.as && findByAlias(example.as)) || null);
  };
}

const nameOf = (alias: string) => findByAlias(alias)?.displayName ?? alias.replace(/^./, letter => letter.toUpperCase());

function ExamplesIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" height="1em">
      <path d="M9 6h11M9 12h11M9 18h11M4 5l1.5-1v4M4 11.5c.5-1.5 2.5-1 2 .5L4 14h2M4 17h2l-1 1.2c2 .3 1 2.3-1 1.6" />
    </svg>
  );
}

export const EXAMPLES_PLUGIN: GraphiQLPlugin = { title: 'Examples', icon: ExamplesIcon, content: ExamplesPanel };
