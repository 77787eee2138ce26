// The file that the next operation uploads: it goes where the variables have `"file": null`.
let chosen = null;
export const choose = file => {
  chosen = file ?? null;
};

function places(value, path) {
  if (!value || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'file' && inner === null ? [`${path}.${key}`] : places(inner, `${path}.${key}`),
  );
}

/** A form by the GraphQL multipart request specification; null if there is nothing to upload. */
export function form(params) {
  const paths = places(params.variables, 'variables');
  if (!chosen || !paths.length) return null;
  const body = new FormData();
  body.append('operations', JSON.stringify(params));
  body.append('map', JSON.stringify({ 0: paths }));
  body.append('0', chosen, chosen.name);
  return body;
}
