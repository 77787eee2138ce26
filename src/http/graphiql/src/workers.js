const files = { json: 'json.worker.js', graphql: 'graphql.worker.js' };

globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    return new Worker(`/graphiql/assets/${files[label] ?? 'editor.worker.js'}`, { name: label });
  },
};
