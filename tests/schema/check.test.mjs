// A planted breaking change fails the check, and nothing else does.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const folder = mkdtempSync(join(tmpdir(), "schema-"));
after(() => rmSync(folder, { recursive: true }));
const committed = readFileSync(new URL("../../schema.graphql", import.meta.url), "utf8");

/** The exit code and what was printed, for a schema before and after. */
function check(before, now) {
  const files = { "before.graphql": before, "now.graphql": now };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const paths = Object.keys(files).map((name) => join(folder, name));
  const { status, stdout, stderr } = spawnSync(process.execPath, ["check.mjs", ...paths], {
    cwd: new URL(".", import.meta.url),
    encoding: "utf8",
  });
  return { status, printed: stdout + stderr };
}

/** The committed schema with one place replaced, which must be there. */
function planted(from, to, schema = committed) {
  assert.match(schema, from);
  const changed = schema.replace(from, to);
  assert.notEqual(changed, schema);
  return changed;
}

const FIELD = /\n\t"""\n\tThe creation time\. [^"]*"""\n\tcreatedAt: DateTime\n/;
const MARKED = /\n\t"""\n\tThe creation time\. [^"]*"""\n\tcreatedAt: DateTime @deprecated[^\n]*\n/;

const breaking = {
  "a field is removed": [FIELD, "\n", /createdAt/],
  "a field may become null": [/\tviewerStanding: Standing\n/, "\tviewerStanding: [Standing]\n", /viewerStanding/],
  "a field that was there may be null": [/\tcooldownSeconds: Int!/, "\tcooldownSeconds: Int", /cooldownSeconds/],
  "a field has another type": [/\tcooldownSeconds: Int!/, "\tcooldownSeconds: String!", /cooldownSeconds/],
  "an argument becomes required": [/\t\tdays: Int\n/, "\t\tdays: Int!\n", /days/],
  "an input asks for more": [/input StartAttemptInput \{/, "input StartAttemptInput {\n\treason: String!", /reason/],
  "a value of an enum is removed": [/\n\t"""\n\tA calendar day\.\n\t"""\n\tDAY\n/, "\n", /DAY/],
  "a type is no node any more": [/type Session implements Node/, "type Session", /Session/],
};
for (const [what, [from, to, names]] of Object.entries(breaking)) {
  test(`it breaks: ${what}`, () => {
    const { status, printed } = check(committed, planted(from, to));
    assert.equal(status, 1, printed);
    assert.match(printed, /^BREAKING: /m);
    assert.match(printed, names);
  });
}

test("nothing has changed", () => assert.deepEqual(check(committed, committed).status, 0));

test("additions break nothing", () => {
  const more = planted(/type Standing \{/, 'type Standing {\n\t"New."\n\tgap: Float');
  const { status, printed } = check(committed, planted(/input AttemptFilter \{/, "input AttemptFilter {\n\tlate: Boolean", more));
  assert.equal(status, 0, printed);
  assert.match(printed, /gap/);
});

test("what was deprecated in the last release may go", () => {
  const marked = planted(/\tcreatedAt: DateTime\n/, '\tcreatedAt: DateTime @deprecated(reason: "Nobody reads it.")\n');
  assert.equal(check(committed, marked).status, 0);
  const { status, printed } = check(marked, planted(MARKED, "\n", marked));
  assert.equal(status, 0, printed);
});
