// Does schema.graphql break a client of the last release?
//
//   node check.mjs [the last release's schema] [the schema to be released]
//
// Prints every change. Fails if one of them breaks clients, unless it removes what the last release had marked as
// deprecated: docs/schema.md says how a field leaves.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CriticalityLevel, DiffRule, diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const [before = here("released.graphql"), after = here("../../schema.graphql")] = process.argv.slice(2);
const schema = (file) => buildSchema(readFileSync(file, "utf8"));

const changes = await diff(schema(before), schema(after), [DiffRule.suppressRemovalOfDeprecatedField]);
const levels = [CriticalityLevel.Breaking, CriticalityLevel.Dangerous, CriticalityLevel.NonBreaking];
const of = (level) => changes.filter((change) => change.criticality.level === level);
for (const level of levels) {
  for (const change of of(level)) console.log(`${level}: ${change.message}`);
}
const breaking = of(CriticalityLevel.Breaking).length;
console.log(`${changes.length} changes since the last release, ${breaking} of them breaking`);
if (breaking > 0) {
  console.error("Mark what is to go as @deprecated first; it may be removed one release later. See docs/schema.md.");
  process.exit(1);
}
