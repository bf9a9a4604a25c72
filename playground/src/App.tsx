import { DOC_EXPLORER_PLUGIN } from '@graphiql/plugin-doc-explorer';
import { PluginContextProvider } from '@graphiql/react';
import { GraphiQL } from 'graphiql';
import { EditorComfort } from './EditorComfort';
import { editorStorage } from './editorStorage';
import { EXAMPLES_PLUGIN } from './ExamplesPanel';
import { fetcher } from './fetcher';
import { LivePanel } from './LivePanel';
import { PeopleBar } from './PeopleBar';

const WELCOME = `# Welcome to Backchannel.
#
# New here? Open the examples on the left, from 01 downwards: Ann and Bob talk, in about five minutes.
#
# Or add a person at the top and write an operation. Ctrl-Enter runs it as the person chosen for this tab.

`;

// Outside the component: GraphiQL resets its side panel when this list changes identity.
const PLUGINS = [EXAMPLES_PLUGIN];

export function App() {
  return (
    // GraphiQL decides at its first render whether the side panel is hidden, but only then learns of
    // `visiblePlugin`; this tells it beforehand.
    <PluginContextProvider plugins={PLUGINS} visiblePlugin={EXAMPLES_PLUGIN}>
      <Playground />
    </PluginContextProvider>
  );
}

function Playground() {
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={editorStorage}
      plugins={PLUGINS}
      referencePlugin={DOC_EXPLORER_PLUGIN}
      visiblePlugin={EXAMPLES_PLUGIN}
      defaultQuery={WELCOME}
      defaultEditorToolsVisibility="variables"
      // Who acts is chosen in the bar; a pasted header would not reach the sockets.
      isHeadersEditorEnabled={false}
      shouldPersistHeaders={false}
    >
      <GraphiQL.Logo>{null}</GraphiQL.Logo>
      <PeopleBar />
      <LivePanel />
      <EditorComfort />
    </GraphiQL>
  );
}
