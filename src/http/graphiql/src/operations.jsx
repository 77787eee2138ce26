import { useRef, useState, useSyncExternalStore } from 'react';
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { choose } from './files.js';
import { filled, placed, seen, subscribe } from './ids.js';

export async function loadOperations() {
  try {
    const response = await fetch('/graphiql/assets/operations.json');
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await response.json();
  } catch (error) {
    console.warn('The saved operations could not be loaded.', error);
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

/** The ids that replies have named; a click puts one into the variables. */
function Ids({ variableEditor }) {
  const kinds = useSyncExternalStore(subscribe, seen);
  const [said, setSaid] = useState('');
  const take = async id => {
    const text = placed(variableEditor?.getValue() ?? '', id);
    if (text !== null) {
      variableEditor.setValue(text);
      return setSaid(`${id} is in the variables.`);
    }
    await navigator.clipboard?.writeText(id).catch(() => {});
    return setSaid(`No variable takes it, so ${id} was copied.`);
  };
  return (
    <details className="operations-ids">
      <summary>Ids from replies</summary>
      {!kinds.length && <p className="operations-hint">What an operation returns is listed here.</p>}
      {kinds.map(({ kind, entries }) => (
        <details key={kind}>
          <summary>{kind.replaceAll('_', ' ')}</summary>
          <ul>
            {entries.map(({ id, label }) => (
              <li key={id}>
                <button type="button" className="operations-id" title={id} onClick={() => take(id)}>
                  {label || id}
                </button>
              </li>
            ))}
          </ul>
        </details>
      ))}
      <p className="operations-hint" role="status">
        {said}
      </p>
    </details>
  );
}

function FileField() {
  const input = useRef(null);
  return (
    <div className="operations-file">
      <label>
        File to upload
        <input ref={input} type="file" name="file" onChange={event => choose(event.target.files[0])} />
      </label>
      <button
        type="button"
        onClick={() => {
          input.current.value = '';
          choose(null);
        }}
      >
        Remove
      </button>
      <p className="operations-hint">
        It is sent where the variables have <code>"file": null</code>.
      </p>
    </div>
  );
}

export function operationsPlugin(tasks) {
  function Content() {
    const { addTab } = useGraphiQLActions();
    const queryEditor = useGraphiQL(state => state.queryEditor);
    const variableEditor = useGraphiQL(state => state.variableEditor);
    const [words, setWords] = useState('');

    const open = ({ query, variables }) => {
      addTab();
      variableEditor?.setValue(filled(variables ?? ''));
      queryEditor?.setValue(query);
      queryEditor?.focus();
    };
    const matches = operation =>
      `${operation.title} ${operation.description}`.toLowerCase().includes(words.trim().toLowerCase());

    return (
      <section className="operations" aria-label="Operations">
        <h2 className="operations-heading">Operations</h2>
        <p className="operations-hint">
          {tasks.length
            ? 'Each one opens in a new tab, with the ids that were seen last.'
            : 'No operations could be loaded.'}
        </p>
        <input
          type="search"
          className="operations-search"
          placeholder="Find an operation"
          aria-label="Find an operation"
          value={words}
          onChange={event => setWords(event.target.value)}
        />
        <FileField />
        <Ids variableEditor={variableEditor} />
        {tasks.map(({ task, operations }) => {
          const found = operations.filter(matches);
          return (
            found.length > 0 && (
              <div key={task}>
                <h3 className="operations-task">{task}</h3>
                <ul className="operations-list">
                  {found.map(operation => (
                    <li key={operation.title}>
                      <button
                        type="button"
                        className="operations-item"
                        disabled={!queryEditor}
                        onClick={() => open(operation)}
                      >
                        <span className="operations-title">{operation.title}</span>
                        <span className="operations-type">{operationType(operation.query)}</span>
                        {operation.description && (
                          <span className="operations-description">{operation.description}</span>
                        )}
                      </button>
                    </li>
                  ))}
                </ul>
              </div>
            )
          );
        })}
      </section>
    );
  }

  return { title: 'Operations', icon: Icon, content: Content };
}
