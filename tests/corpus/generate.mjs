// Random operations over a schema, and what graphql-js answers to each: what our own executor is held against.
//
//   npm ci && node generate.mjs --count 3000 --seed 1 [--schema ../../schema.graphql] > corpus.jsonl
//
// One operation a line:
//
//   operation      the document; queries and mutations, sometimes several operations
//   operationName  the one to run; null if there is but one and it is not named in the request
//   variables      the variables of that one
//   rule           seed, failEvery, nullEvery: from these the value of each field follows, by rule.mjs
//   response       data, with the keys in their order, and errors, each with message and path
//   failures       the path of every field that fails if no failure cuts off another
//
// Numbers are written as JavaScript does (a Float may be `7`): compare their values. `response.errors` are those of
// graphql-js with resolvers that return at once: fields run in order, and once a failure takes the object around it away,
// the fields after it are not run and their failures not told; failures before it are. An executor that runs siblings
// together may tell more, but never one that is not in `failures`. Wherever `data` has a null by a failure, both tell one.
//
// What was written is counted on the standard error stream. The same seed, count and schema give the same bytes.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Kind, buildASTSchema, execute, isObjectType, parse, validate, visit } from 'graphql';
import { dice, randomOperation } from './operations.mjs';
import { hash, valueAt } from './rule.mjs';

const { values: options } = parseArgs({
  options: {
    count: { type: 'string', default: '3000' },
    seed: { type: 'string', default: '1' },
    schema: { type: 'string', default: new URL('../../schema.graphql', import.meta.url).pathname },
  },
});
const sdl = parse(readFileSync(options.schema, 'utf8'));
const schema = buildASTSchema(sdl);
// The same schema in which any field may be null, so that no failure hides another.
const lenient = buildASTSchema(
  visit(sdl, {
    FieldDefinition: field => ({ ...field, type: visit(field.type, { NonNullType: type => type.type }) }),
  }),
);

const counted = { operations: 0, 'of several': 0, mutations: 0, 'with errors': 0, 'without data': 0, fields: 0 };
const selected = new Set();
for (let line = 0; line < Number(options.count); line += 1) {
  const seed = `${options.seed}-${line}`;
  const random = dice(hash(seed));
  const { operation, operationName, variables } = randomOperation(schema, random);
  const document = parse(operation);
  const problems = validate(schema, document);
  if (problems.length > 0) throw new Error(`${problems[0].message}\n${operation}`);

  const rule = { seed, failEvery: random.of([0, 13, 40, 120]), nullEvery: random.of([0, 10, 10, 30]) };
  const request = { document, operationName, variableValues: variables };
  const response = run(schema, request, rule);
  const failures = run(lenient, request, rule).errors?.map(error => error.path) ?? [];
  tell({ operation, operationName, variables, rule, response, failures }, document);
}
const missed = Object.values(schema.getTypeMap())
  .filter(type => isObjectType(type) && !type.name.startsWith('__'))
  .flatMap(type => Object.keys(type.getFields()).map(field => `${type.name}.${field}`))
  .filter(field => !selected.has(field));
console.error(`seed ${options.seed}: ${JSON.stringify(counted)}; never run: ${missed.join(' ') || 'no field'}`);

function run(over, request, rule) {
  const { data, errors } = execute({
    schema: over,
    ...request,
    fieldResolver: (_source, _arguments, _context, { parentType, fieldName, path }) => {
      if (over === schema) {
        counted.fields += 1;
        selected.add(`${parentType.name}.${fieldName}`);
      }
      const { type } = schema.getType(parentType.name).getFields()[fieldName];
      return valueAt(schema, rule, type, keys(path));
    },
    typeResolver: value => value.type,
  });
  return errors ? { data, errors: errors.map(({ message, path }) => ({ message, path })) } : { data };
}

function keys(path) {
  const found = [];
  for (let step = path; step; step = step.prev) found.unshift(step.key);
  return found;
}

function tell(line, document) {
  const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  const chosen = operations.find(({ name }) => !line.operationName || name?.value === line.operationName);
  counted.operations += 1;
  counted['of several'] += operations.length > 1;
  counted.mutations += chosen.operation === 'mutation';
  counted['with errors'] += 'errors' in line.response;
  counted['without data'] += line.response.data === null;
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
