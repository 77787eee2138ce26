// Shows hostile texts, once made safe by the server's own code, in the Markdown readers that clients use, and looks what
// became of them as a browser would.
//
//   npm ci && node check.mjs [--fuzz 5000] [--seed 1]
//   SAFE_MARKDOWN=program               makes texts safe; `cargo run --example safe_markdown` without it
//
// The texts are those of hostile.json and, with --fuzz, so many that are composed of their pieces by chance. The program
// takes a JSON array of texts and returns one. Each text goes through each reader, and the HTML through a browser's parser:
// there may be no script, no handler of events, no scheme but http, https and mailto, and no element but those that
// Markdown makes. The same texts as they came must do harm in every reader, or the check would show nothing.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import MarkdownIt from 'markdown-it';
import { marked } from 'marked';
import { micromark } from 'micromark';
import { gfm, gfmHtml } from 'micromark-extension-gfm';
import { parseFragment } from 'parse5';
import rehypeRaw from 'rehype-raw';
import rehypeStringify from 'rehype-stringify';
import remarkGfm from 'remark-gfm';
import remarkMath from 'remark-math';
import remarkParse from 'remark-parse';
import remarkRehype from 'remark-rehype';
import { unified } from 'unified';

const { values: options } = parseArgs({
  options: { fuzz: { type: 'string', default: '0' }, seed: { type: 'string', default: '1' } },
});

const remark = (...plugins) => {
  const reader = unified().use(remarkParse);
  for (const plugin of plugins) reader.use(plugin);
  reader.use(remarkRehype, { allowDangerousHtml: true }).use(rehypeRaw).use(rehypeStringify, { allowDangerousHtml: true });
  return text => String(reader.processSync(text));
};
const it = settings => {
  const reader = new MarkdownIt(settings);
  return text => reader.render(text);
};
const READERS = {
  marked: text => marked.parse(text),
  'marked, breaks': text => marked.parse(text, { breaks: true }),
  'markdown-it, HTML': it({ html: true }),
  'markdown-it, HTML, links': it({ html: true, linkify: true, typographer: true }),
  'markdown-it, no HTML': it({ html: false }),
  remark: remark(),
  'remark, GFM': remark(remarkGfm),
  'remark, GFM, formulas': remark(remarkGfm, remarkMath),
  'micromark, GFM': text =>
    micromark(text, { allowDangerousHtml: true, allowDangerousProtocol: true, extensions: [gfm()], htmlExtensions: [gfmHtml()] }),
};
// markdown-it refuses schemes that run script by itself; without HTML nothing else is left to show but foreign ones.
const LEAST_HARM = name => (name.includes('no HTML') ? 10 : 100);

// What Markdown makes, with tables, task lists, footnotes and formulas; <a> and <img> are looked at more closely.
const ELEMENTS = new Set(
  ('a blockquote br code del em h1 h2 h3 h4 h5 h6 hr img input li ol p pre s section span strong sup table tbody td th ' +
    'thead tr ul div').split(' '),
);
const ATTRIBUTES = new Set(
  ('align alt checked class dir disabled height href id src start style title type width aria-describedby aria-label ' +
    'data-footnote-backref data-footnote-ref data-footnotes').split(' '),
);
const SCHEMES = new Set(['http:', 'https:', 'mailto:']);

function harm(html) {
  const found = [];
  const look = node => {
    for (const child of node.childNodes ?? []) look(child);
    if (node.content) look(node.content);
    if (!node.tagName) {
      if (node.nodeName.startsWith('#comment') || node.nodeName === '#documentType') found.push(node.nodeName);
      return;
    }
    if (!ELEMENTS.has(node.tagName)) found.push(`<${node.tagName}>`);
    for (const { name, value } of node.attrs) {
      if (!ATTRIBUTES.has(name)) found.push(`<${node.tagName} ${name}>`);
      // Of a table's cells.
      if (name === 'style' && !/^text-align:\s*\w+;?$/.test(value)) found.push(`style="${value}"`);
      if (node.tagName === 'input' && name === 'type' && value !== 'checkbox') found.push(`<input type=${value}>`);
      if (name === 'href' || name === 'src') {
        // As a browser reads it; https is the page's own scheme.
        const scheme = URL.canParse(value, 'https://exam.example/quiz') ? new URL(value, 'https://exam.example/quiz').protocol : 'none';
        if (scheme !== 'none' && !SCHEMES.has(scheme)) found.push(`${name}="${value}"`);
      }
    }
  };
  look(parseFragment(html));
  return found;
}

// A small generator of numbers, so that a seed repeats a run (mulberry32).
function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function composed(texts, count, seed) {
  const next = chance(seed);
  const one = list => list[Math.floor(next() * list.length)];
  const pieces = [
    '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '<b onclick=alert(1)>', '<!--', '-->', '<', '</p>', '<a href="', '">', 'javascript:alert(1)',
    '[x](', '[[', '](', ')', '[', ']', '![', ']:', '[x]: ', '[^1]: ', '[^1]', '`', '``', '```', '```\n', '~~~\n', '\n', '\n\n', '\n- ', '\n> ', '\n    ',
    '\n      ', '\n# ', '|', '\n|-|-|\n', '\n| a | b |\n|---|---|\n| ', '$', '$$', '\n$$\n', '\\(', '\\)', '\\', '\\\\', '&#96;', '&lt;', '&#58;', 'www.x.example/', 'https://x.example/',
    'ftp://x.example', '<https://x.example/', '>', 'a@b.example', '"', "'", '*', '**', '_', '~~', 'a', 'words and words', ' ', '  ', '\t', '- [x] ', '1. ', '\n:::\n', '---\n', '{', '}',
  ];
  return Array.from({ length: count }, () => {
    let text = next() < 0.3 ? one(texts) : '';
    for (let left = 1 + Math.floor(next() * 14); left > 0; left--) text += next() < 0.05 ? one(texts) : one(pieces);
    return text;
  });
}

function safe(texts) {
  const program = process.env.SAFE_MARKDOWN;
  const [command, args] = program ? [program, []] : ['cargo', ['run', '-q', '--example', 'safe_markdown']];
  const run = spawnSync(command, args, { input: JSON.stringify(texts), maxBuffer: 1 << 30, stdio: ['pipe', 'pipe', 'inherit'] });
  if (run.status !== 0) throw new Error(`${command} did not make the texts safe`);
  return JSON.parse(run.stdout);
}

const known = JSON.parse(readFileSync(new URL('hostile.json', import.meta.url)));
const texts = [...known, ...composed(known, Number(options.fuzz), Number(options.seed))];
const made = safe(texts);
if (made.length !== texts.length) throw new Error('not one text for each');
const again = safe(made);
let failed = 0;
const complain = line => {
  if (++failed <= 20) console.error(line);
};
made.forEach((text, i) => {
  if (again[i] !== text) complain(`not the same when made safe again: ${JSON.stringify(text)}, now ${JSON.stringify(again[i])}`);
});
for (const [name, render] of Object.entries(READERS)) {
  let harmful = 0;
  texts.forEach((text, i) => {
    if (i < known.length && harm(render(text)).length > 0) harmful++;
    const found = harm(render(made[i]));
    if (found.length > 0) complain(`${name}: ${found.join(' ')} of ${JSON.stringify(made[i])}, which was ${JSON.stringify(text)}`);
  });
  if (harmful < LEAST_HARM(name)) complain(`${name}: only ${harmful} of the texts do harm as they came`);
  console.log(`${name}: ${texts.length} texts shown, ${harmful} of the first ${known.length} do harm as they came`);
}
console.log(failed === 0 ? `${texts.length} hostile texts are harmless in ${Object.keys(READERS).length} readers` : `${failed} failures`);
process.exit(failed === 0 ? 0 : 1);
