// Random operations that are valid by construction: what a document selects under one response name on one type is
// always the same field with the same arguments, and one response name has one shape everywhere.
import {
  Kind,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isRequiredArgument,
  isRequiredInputField,
  isUnionType,
  parseType,
  print,
  visit,
} from 'graphql';

// What the scalars of the schema accept; others get a word.
const SCALARS = {
  DateTime: '2026-11-27T04:00:00Z',
  NaiveDate: '2026-11-27',
  Date: '2026-11-27',
  EmailAddress: 'ada@example.com',
  Handle: 'ada_1',
  IdempotencyKey: '01234567-89ab-cdef',
  Password: 'correct horse',
  Reason: 'a wrong key',
};

// Numbers below 2 ** 32 from a seed (mulberry32).
export function dice(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    below: limit => next() % limit,
    chance: share => next() < share * 2 ** 32,
    of: list => list[next() % list.length],
  };
}

const name = value => ({ kind: Kind.NAME, value });
const variable = value => ({ kind: Kind.VARIABLE, name: name(value) });
const boolean = value => ({ kind: Kind.BOOLEAN, value });
const named = value => ({ kind: Kind.NAMED_TYPE, name: name(value) });

/** @returns {{ operation: string, operationName: string | null, variables: object }} */
export function randomOperation(schema, random) {
  return new Document(schema, random).write();
}

class Document {
  constructor(schema, random) {
    this.schema = schema;
    this.random = random;
    this.composites = Object.values(schema.getTypeMap()).filter(
      type => isCompositeType(type) && !type.name.startsWith('__'),
    );
    this.shapes = new Map(); // response name -> shape
    this.fields = new Map(); // object type and response name -> field and arguments, as text
    this.known = new Map(); // type -> fields selected on it before, without directives and selections
    this.variables = new Map(); // name -> definition and value
    this.fragments = []; // complete ones only, so there is no circle
    this.labels = 0;
    this.budget = 8 + random.below(90);
  }

  write() {
    const { random } = this;
    const several = random.chance(0.3);
    const roots = [];
    for (let index = 0; index < (several ? 2 + random.below(2) : 1); index += 1) {
      const mutation = this.schema.getMutationType() && random.chance(0.2);
      const type = mutation ? this.schema.getMutationType() : this.schema.getQueryType();
      this.budget = Math.max(this.budget, 8);
      roots.push({
        kind: Kind.OPERATION_DEFINITION,
        operation: mutation ? 'mutation' : 'query',
        name: several || random.chance(0.5) ? name(`Operation${index}`) : undefined,
        selectionSet: this.selections(type, 2 + random.below(6)),
      });
    }
    const chosen = random.of(roots);
    const definitions = [...roots.map(root => this.withVariables(root)), ...this.fragments];
    if (random.chance(0.3)) definitions.reverse();
    const values = {};
    for (const used of this.reached(chosen).variables) {
      const { value } = this.variables.get(used);
      if (value !== undefined) values[used] = value;
    }
    return {
      operation: print({ kind: Kind.DOCUMENT, definitions }),
      operationName: several || (chosen.name && random.chance(0.5)) ? chosen.name.value : null,
      variables: values,
    };
  }

  selections(type, depth) {
    const { random } = this;
    const selections = [];
    const count = 1 + random.below(this.budget > 0 ? 5 : 2);
    for (let index = 0; index < count || selections.length === 0; index += 1) {
      const roll = random.below(100);
      if (roll < 10) selections.push(this.typename());
      else if (roll < 22 && depth > 0) selections.push(this.inline(type, depth));
      else if (roll < 34 && depth > 0) selections.push(this.spread(type, depth));
      else selections.push(this.field(type, depth));
      if (random.chance(0.12)) selections.push(this.again(random.of(selections), depth, type));
    }
    return { kind: Kind.SELECTION_SET, selections };
  }

  typename() {
    const alias = this.random.chance(0.2) ? 'typeOf' : undefined;
    return this.directed({ kind: Kind.FIELD, alias: alias && name(alias), name: name('__typename') });
  }

  // The same once more, perhaps under other directives and with other selections: both are merged.
  again(selection, depth, type) {
    if (selection.kind !== Kind.FIELD || !selection.selectionSet) return this.directed({ ...selection, directives: [] });
    const field = type.getFields()[selection.name.value];
    const inner = this.selections(getNamedType(field.type), depth - 1);
    return this.directed({ ...selection, directives: [], selectionSet: inner });
  }

  inline(type, depth) {
    const condition = this.random.chance(0.2) ? undefined : this.random.of(this.overlapping(type));
    return this.directed({
      kind: Kind.INLINE_FRAGMENT,
      typeCondition: condition && named(condition.name),
      selectionSet: this.selections(condition ?? type, depth - 1),
    });
  }

  spread(type, depth) {
    const fitting = this.fragments.filter(fragment => this.overlap(type, this.schema.getType(fragment.typeCondition.name.value)));
    if (fitting.length > 0 && this.random.chance(0.5)) {
      return this.directed({ kind: Kind.FRAGMENT_SPREAD, name: this.random.of(fitting).name });
    }
    const condition = this.random.of(this.overlapping(type));
    this.labels += 1;
    const label = `${condition.name}Part${this.labels}`;
    const fragment = {
      kind: Kind.FRAGMENT_DEFINITION,
      name: name(label),
      typeCondition: named(condition.name),
      selectionSet: this.selections(condition, Math.min(depth - 1, 3)),
    };
    this.fragments.push(fragment);
    return this.directed({ kind: Kind.FRAGMENT_SPREAD, name: fragment.name });
  }

  field(type, depth) {
    if (isUnionType(type)) return this.typename();
    const { random } = this;
    const known = this.known.get(type.name) ?? [];
    let node = known.length > 0 && random.chance(0.25) ? random.of(known) : undefined;
    if (node && depth === 0 && isCompositeType(getNamedType(type.getFields()[node.name.value].type))) node = undefined;
    node ??= this.newField(type, depth);
    if (!node) return this.typename();
    const inner = getNamedType(type.getFields()[node.name.value].type);
    return this.directed(
      isCompositeType(inner) ? { ...node, selectionSet: this.selections(inner, depth - 1) } : node,
    );
  }

  newField(type, depth) {
    const { random } = this;
    this.budget -= 1;
    const usable = Object.values(type.getFields()).filter(field => {
      const composite = isCompositeType(getNamedType(field.type));
      return !composite || (depth > 0 && this.budget > 0);
    });
    if (usable.length === 0) return undefined;
    const field = random.of(usable);
    const args = field.args
      .filter(argument => isRequiredArgument(argument) || random.chance(0.4))
      .map(argument => ({ kind: Kind.ARGUMENT, name: name(argument.name), value: this.value(argument.type, argument, 2) }));
    const bare = { kind: Kind.FIELD, name: name(field.name), arguments: args };
    const text = print(bare);
    const shape = shapeOf(field.type);
    const wanted = [undefined, ...['a', 'b', 'c', 'text', 'id2'], ...Array.from({ length: 40 }, (_, index) => `${field.name}${index + 2}`)];
    if (random.chance(0.2)) wanted.shift();
    for (const alias of wanted) {
      const response = alias ?? field.name;
      if ((this.shapes.get(response) ?? shape) !== shape) continue;
      const keys = this.objects(type).map(object => `${object.name}.${response}`);
      if (keys.some(key => (this.fields.get(key) ?? text) !== text)) continue;
      this.shapes.set(response, shape);
      for (const key of keys) this.fields.set(key, text);
      const node = alias ? { ...bare, alias: name(alias) } : bare;
      this.known.set(type.name, [...(this.known.get(type.name) ?? []), node]);
      return node;
    }
    return undefined;
  }

  directed(node) {
    const { random } = this;
    const directives = [];
    for (const label of ['include', 'skip']) {
      if (!random.chance(0.12)) continue;
      const value = random.chance(0.3) ? boolean(random.chance(0.5)) : this.newFlag();
      const argument = { kind: Kind.ARGUMENT, name: name('if'), value };
      directives.push({ kind: Kind.DIRECTIVE, name: name(label), arguments: [argument] });
    }
    if (random.chance(0.5)) directives.reverse();
    return { ...node, directives };
  }

  newFlag() {
    const { random } = this;
    const flags = [...this.variables].filter(([, { flag }]) => flag).map(([label]) => label);
    if (flags.length > 0 && random.chance(0.6)) return variable(random.of(flags));
    const fallback = random.chance(0.3) ? boolean(random.chance(0.5)) : undefined;
    const type = fallback && random.chance(0.5) ? 'Boolean' : 'Boolean!';
    const value = fallback && random.chance(0.5) ? undefined : random.chance(0.5);
    return this.define(type, fallback, value, true);
  }

  define(type, defaultValue, value, flag = false) {
    const label = `v${this.variables.size}`;
    const definition = { kind: Kind.VARIABLE_DEFINITION, variable: variable(label), type: parseType(type), defaultValue };
    this.variables.set(label, { definition, value, flag });
    return variable(label);
  }

  // A value of an input type: a literal, or now and then a variable.
  value(type, place, depth) {
    const { random } = this;
    if (random.chance(0.3)) {
      const json = this.json(type, depth);
      const left = !isNonNullType(type) && random.chance(0.2);
      return this.define(String(type), undefined, left ? undefined : json);
    }
    return literal(this.json(type, depth), type);
  }

  json(type, depth) {
    const { random } = this;
    if (isNonNullType(type)) return this.json(type.ofType, depth) ?? this.json(type, depth);
    if (random.chance(0.05)) return null;
    if (isListType(type)) return Array.from({ length: random.below(3) }, () => this.json(type.ofType, depth));
    if (isEnumType(type)) return random.of(type.getValues()).name;
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields());
      const wanted = type.isOneOf
        ? [random.of(fields)]
        : fields.filter(field => isRequiredInputField(field) || (depth > 0 && random.chance(0.4)));
      const given = wanted.map(field => [field.name, this.json(field.type, depth - 1)]);
      if (type.isOneOf && given[0][1] === null) return this.json(type, depth);
      return Object.fromEntries(given);
    }
    switch (type.name) {
      case 'Int':
        return 1 + random.below(50);
      case 'Float':
        return random.below(100) / 4;
      case 'Boolean':
        return random.chance(0.5);
      default:
        return SCALARS[type.name] ?? random.of(['one', 'two "quoted"', 'три', 'line\nline']);
    }
  }

  objects(type) {
    return isAbstractType(type) ? this.schema.getPossibleTypes(type) : [type];
  }

  overlap(one, other) {
    const objects = new Set(this.objects(one));
    return this.objects(other).some(object => objects.has(object));
  }

  overlapping(type) {
    return this.composites.filter(other => this.overlap(type, other));
  }

  // The fragments and variables that a definition uses, itself or through others.
  reached(definition) {
    const fragments = new Set();
    const variables = new Set();
    const walk = node =>
      visit(node, {
        Variable: found => void variables.add(found.name.value),
        FragmentSpread: found => {
          if (fragments.has(found.name.value)) return;
          fragments.add(found.name.value);
          walk(this.fragments.find(fragment => fragment.name.value === found.name.value));
        },
      });
    walk(definition.selectionSet);
    return { fragments, variables };
  }

  withVariables(definition) {
    const { variables } = this.reached(definition);
    const definitions = [...variables].map(label => this.variables.get(label).definition);
    return { ...definition, variableDefinitions: definitions };
  }
}

function shapeOf(type) {
  if (isNonNullType(type)) return `${shapeOf(type.ofType)}!`;
  if (isListType(type)) return `[${shapeOf(type.ofType)}]`;
  return isCompositeType(type) ? '{}' : type.name;
}

function literal(value, type) {
  if (value === null) return { kind: Kind.NULL };
  if (isNonNullType(type)) return literal(value, type.ofType);
  if (isListType(type)) return { kind: Kind.LIST, values: value.map(item => literal(item, type.ofType)) };
  if (isEnumType(type)) return { kind: Kind.ENUM, value };
  if (isInputObjectType(type)) {
    const fields = Object.entries(value).map(([key, item]) => ({
      kind: Kind.OBJECT_FIELD,
      name: name(key),
      value: literal(item, type.getFields()[key].type),
    }));
    return { kind: Kind.OBJECT, fields };
  }
  if (typeof value === 'boolean') return boolean(value);
  if (type.name === 'Int') return { kind: Kind.INT, value: String(value) };
  if (type.name === 'Float') return { kind: Kind.FLOAT, value: String(value) };
  return { kind: Kind.STRING, value };
}
