import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';

export async function loadExamples() {
  try {
    const response = await fetch('/graphiql/assets/examples.json');
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await response.json();
  } catch (error) {
    console.warn('The examples could not be loaded.', error);
    return [];
  }
}

const operationType = query => /^\s*(query|mutation|subscription)\b/m.exec(query)?.[1] ?? 'query';

function Icon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinejoin="round">
      <path d="M12 6.2C10 4.7 7.4 4 4 4v14.2c3.4 0 6 .7 8 2.3 2-1.6 4.6-2.3 8-2.3V4c-3.4 0-6 .7-8 2.200Z" />
      <path d="M12 6.2v14.3" />
      <path d="m15 9.2 2.5 1.8-2.5 1.8" strokeLinecap="round" />
    </svg>
  );
}

export function examplesPlugin(examples) {
  function Content() {
    const { addTab } = useGraphiQLActions();
    const queryEditor = useGraphiQL(state => state.queryEditor);
    const variableEditor = useGraphiQL(state => state.variableEditor);

    const open = ({ query, variables }) => {
      addTab();
      variableEditor?.setValue(variables ?? '');
      queryEditor?.setValue(query);
      queryEditor?.focus();
    };

    return (
      <section className="examples" aria-label="Examples">
        <h2 className="examples-heading">Examples</h2>
        <p className="examples-hint">
          {examples.length ? 'Each one opens in a new tab.' : 'No examples could be loaded.'}
        </p>
        <ul className="examples-list">
          {examples.map(example => (
            <li key={example.title}>
              <button
                type="button"
                className="examples-item"
                disabled={!queryEditor}
                onClick={() => open(example)}
              >
                <span className="examples-title">{example.title}</span>
                <span className="examples-type">{operationType(example.query)}</span>
                {example.description && (
                  <span className="examples-description">{example.description}</span>
                )}
              </button>
            </li>
          ))}
        </ul>
      </section>
    );
  }

  return { title: 'Examples', icon: Icon, content: Content };
}
