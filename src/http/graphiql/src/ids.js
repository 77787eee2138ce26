// The ids, and versions of what is edited, that replies have named: variables are filled from them, so that nobody
// copies an id by hand. Kept for this page only.
const MOST_OF_A_KIND = 30;
const kinds = new Map();
const versions = new Map();
let draftVersion;
const listeners = new Set();
let shown = [];

const kindOf = text => /^([a-z]+(?:_[a-z]+)*)_[\w-]+$/.exec(text)?.[1];
const words = ['title', 'name', 'handle', 'fileName', 'text', 'action', 'number'];

function note(object) {
  const kind = kindOf(object.id);
  if (!kind) return;
  const label = words.map(word => object[word]).find(value => typeof value === 'string' || typeof value === 'number');
  const known = kinds.get(kind) ?? [];
  const before = known.find(entry => entry.id === object.id);
  const entry = { id: object.id, label: label === undefined ? (before?.label ?? '') : String(label).slice(0, 60) };
  kinds.set(kind, [entry, ...known.filter(({ id }) => id !== object.id)].slice(0, MOST_OF_A_KIND));
  if (typeof object.version === 'number') {
    versions.set(object.id, object.version);
    if (kind === 'revision') draftVersion = object.version;
  }
}

function walk(value) {
  if (Array.isArray(value)) {
    // The first of a list is the likeliest: it is noted last.
    for (const item of [...value].reverse()) walk(item);
  } else if (value && typeof value === 'object') {
    for (const inner of Object.values(value)) walk(inner);
    if (typeof value.id === 'string') note(value);
  }
}

/** Notes what a reply has named. */
export function noteReply(result) {
  if (!result?.data) return;
  walk(result.data);
  shown = [...kinds].map(([kind, entries]) => ({ kind, entries }));
  for (const listener of listeners) listener();
}

export const subscribe = listener => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
export const seen = () => shown;

function mapped(value, change) {
  if (Array.isArray(value)) return value.map(item => mapped(item, change));
  if (!value || typeof value !== 'object') return change(value);
  const object = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapped(inner, change)]));
  // The version of what is changed; that of a draft, for its questions and for its publication.
  const own = Object.values(object).map(inner => versions.get(inner)).find(Number.isInteger);
  const ofQuestion = Object.values(object).some(inner => kindOf(String(inner)) === 'draftquestion');
  if ('version' in object) object.version = (ofQuestion ? draftVersion : own) ?? object.version;
  if ('draftVersion' in object) object.draftVersion = draftVersion ?? object.draftVersion;
  return object;
}

function rewritten(variables, change) {
  try {
    return JSON.stringify(mapped(JSON.parse(variables), change), null, 2);
  } catch {
    return variables;
  }
}

/** Variables with each placeholder, such as `"quiz_"`, replaced by the id of its kind that was named last. */
export const filled = variables =>
  rewritten(variables, value => {
    const kind = typeof value === 'string' && /^([a-z_]+)_$/.exec(value)?.[1];
    return (kind && kinds.get(kind)?.[0]?.id) || value;
  });

/** Variables with this id in the first place that holds an id of its kind; null if none does. */
export function placed(variables, id) {
  const kind = kindOf(id);
  let done = false;
  const text = rewritten(variables, value => {
    if (done || typeof value !== 'string' || (value !== `${kind}_` && kindOf(value) !== kind)) return value;
    done = true;
    return id;
  });
  return done ? text : null;
}
