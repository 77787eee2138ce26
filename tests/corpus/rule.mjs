// The rule that gives every field of a response its value, the same for graphql-js here and for a test in Rust. A value
// depends on the seed of the line and on the path in the response, on nothing else: arguments change nothing, and fields
// that are merged have one path and so one value.
//
//   hash(salt)  = FNV-1a with 64 bits over the UTF-8 of `${seed}/${path.join('/')}${salt}`, both halves xored to 32 bits
//                 (a path has response keys and list indices: `quizzes/nodes/0/t2`)
//
//   1. `hash('#fail') % failEvery === 0`: the field fails with the message "failed". `failEvery` 0: nothing fails.
//   2. the type at this place is nullable and `hash('#null') % nullEvery === 0`: null. `nullEvery` 0: nothing is null.
//   3. a list has `hash('#len') % 3` items; each is found by this rule, from 1 on, at its own path (an item fails and is
//      null by itself, as `nodes(ids:)` has it).
//   4. an object is an object; of an interface or union, possible type `hash('#type') % n` in alphabetical order.
//   5. `hash('')`: Int `% 1000`, Float `% 1000 / 2`, Boolean `% 2 === 1`, an enum its value `% n` in the order of the
//      SDL, any other scalar (ID, String, our own) the string `s${hash}`.
//
// `__typename` is never null and never fails. Rule 1 holds for the root's fields too.
import { getNamedType, isAbstractType, isEnumType, isListType, isNonNullType, isObjectType } from 'graphql';

export function hash(text) {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of Buffer.from(text, 'utf8')) {
    low = (low ^ byte) >>> 0;
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return (high ^ low) >>> 0;
}

export const failed = () => new Error('failed');

// `rule`: seed, failEvery, nullEvery. An error is returned, not thrown, so that an item of a list can be one.
export function valueAt(schema, rule, type, path) {
  const place = `${rule.seed}/${path.join('/')}`;
  const falls = (salt, every) => every > 0 && hash(place + salt) % every === 0;

  if (falls('#fail', rule.failEvery)) return failed();
  if (!isNonNullType(type) && falls('#null', rule.nullEvery)) return null;

  const bare = isNonNullType(type) ? type.ofType : type;
  if (isListType(bare)) {
    const length = hash(`${place}#len`) % 3;
    return Array.from({ length }, (_, index) => valueAt(schema, rule, bare.ofType, [...path, index]));
  }
  if (isObjectType(bare)) return { type: bare.name };
  if (isAbstractType(bare)) {
    const names = schema.getPossibleTypes(bare).map(possible => possible.name).sort();
    return { type: names[hash(`${place}#type`) % names.length] };
  }

  const value = hash(place);
  if (isEnumType(bare)) {
    const members = bare.getValues();
    return members[value % members.length].value;
  }
  switch (getNamedType(bare).name) {
    case 'Int':
      return value % 1000;
    case 'Float':
      return (value % 1000) / 2;
    case 'Boolean':
      return value % 2 === 1;
    default:
      return `s${value}`;
  }
}
