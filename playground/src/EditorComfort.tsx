import { useEditorContext } from '@graphiql/react';
import { useEffect } from 'react';

/** Two habits GraphiQL lacks: the explanations of the examples wrap, and the front tab is in sight. */
export function EditorComfort() {
  const { queryEditor, tabs, activeTabIndex } = useEditorContext({ nonNull: true });
  const tab = tabs[activeTabIndex];

  // In braces: newer browsers return a promise from scrollIntoView, which React would take for a clean-up.
  useEffect(() => {
    queryEditor?.setOption('lineWrapping', true);
  }, [queryEditor]);
  useEffect(() => {
    document.querySelector('.graphiql-tab-active')?.scrollIntoView();
  }, [tab?.id, tab?.title]);

  return null;
}
