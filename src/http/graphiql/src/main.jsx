import './workers.js';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { GraphiQL } from 'graphiql';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './style.css';
import { loadOperations, operationsPlugin } from './operations.jsx';
import { execute, fetcher } from './fetcher.js';
import { SIGN_IN_URL } from './session.js';

function SignOut() {
  const [state, setState] = useState('idle');

  async function signOut() {
    setState('busy');
    try {
      const { data, errors } = await execute({
        query: 'mutation { signOut { errors { code } } }',
      });
      const refused = errors ?? data?.signOut?.errors ?? [];
      if (refused.length) throw new Error(refused[0].message ?? refused[0].code);
      location.replace(SIGN_IN_URL);
    } catch (error) {
      console.warn('Sign-out failed.', error);
      setState('failed');
    }
  }

  return (
    <>
      <span className="session-error" role="status">
        {state === 'failed' && 'Could not sign out, try again.'}
      </span>
      <button
        type="button"
        className="session-sign-out"
        disabled={state === 'busy'}
        onClick={signOut}
      >
        Sign out
      </button>
    </>
  );
}

/**
 * GraphiQL fills its editors from these two keys, not from the active tab, and
 * a first visit or a tab nobody edited has not written them: its variables
 * would come up empty and then overwrite the tab's own.
 */
function seedEditors(operations) {
  let tab = operations[0];
  let firstVisit = true;
  try {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState'));
    tab = tabs[activeTabIndex] ?? tabs[0];
    firstVisit = false;
  } catch {
    // No usable saved tabs: GraphiQL opens the default ones.
  }
  for (const key of ['query', 'variables']) {
    if (tab?.[key]) localStorage.setItem(`graphiql:${key}`, tab[key]);
    else localStorage.removeItem(`graphiql:${key}`);
  }
  return firstVisit;
}

const tasks = await loadOperations();
// The first tabs: what a student sees.
const first = tasks[0]?.operations ?? [];
const firstVisit = seedEditors(first);
const operationsPanel = operationsPlugin(tasks);
const plugins = [HISTORY_PLUGIN, explorerPlugin(), operationsPanel];
const defaultTabs = first.length
  ? first.map(({ query, variables }) => ({ query, variables: variables || null }))
  : undefined;

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    defaultTabs={defaultTabs}
    defaultEditorToolsVisibility="variables"
    visiblePlugin={firstVisit ? operationsPanel : undefined}
  >
    <GraphiQL.Logo>
      <span className="session-name">Marmalade · staff</span>
      <SignOut />
    </GraphiQL.Logo>
  </GraphiQL>,
);
