import { type Token, type TokenizerAndRendererExtension, Marked } from 'marked';
import { Fragment, type ReactNode, useEffect, useRef } from 'react';

// Markdown is parsed to tokens, and tokens become elements: there is no HTML on the way, so none can come through.

const formula = (name: string, level: 'block' | 'inline', starts: RegExp, whole: RegExp): TokenizerAndRendererExtension => ({
  name,
  level,
  start: source => {
    const at = source.search(starts);
    return at < 0 ? undefined : at;
  },
  tokenizer: source => {
    const match = whole.exec(source);
    return match ? { type: 'formula', raw: match[0], text: match[1] ?? match[2] ?? '', display: level === 'block' || /^(\$\$|\\\[)/.test(match[0]) } : undefined;
  },
});

const marked = new Marked({
  gfm: true,
  extensions: [
    formula('displayed', 'block', /\$\$|\\\[/, /^(?:\$\$([\s\S]{1,4000}?)\$\$|\\\[([\s\S]{1,4000}?)\\\])[ \t]*(?:\n|$)/),
    formula('display', 'inline', /\$\$|\\\[/, /^(?:\$\$([^\n]{1,4000}?)\$\$|\\\[([^\n]{1,4000}?)\\\])/),
    // Pandoc's rule, so that "from $5 to $10" is no formula.
    formula('inline', 'inline', /\$|\\\(/, /^(?:\$(?!\s)((?:\\.|[^$\\\n]){1,2000}?)(?<!\s)\$(?!\d)|\\\(([^\n]{1,2000}?)\\\))/),
  ],
});

export function Markdown({ text, inline }: { text: string; inline?: boolean }) {
  const tokens = inline ? marked.Lexer.lexInline(text, options()) : marked.Lexer.lex(text, options());
  const content = render(tokens);
  return inline ? (
    <span dir="auto" className="markdown">
      {content}
    </span>
  ) : (
    <div dir="auto" className="markdown">
      {content}
    </div>
  );
}

function options() {
  return marked.defaults;
}

function render(tokens: Token[] | undefined): ReactNode {
  return tokens?.map((token, i) => <Fragment key={i}>{one(token)}</Fragment>);
}

function one(token: Token): ReactNode {
  const inner = () => ('tokens' in token && token.tokens ? render(token.tokens) : decoded('text' in token ? String(token.text) : token.raw));
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'paragraph':
      return <p>{inner()}</p>;
    case 'heading':
      // The page has its own headings.
      return <p><b>{inner()}</b></p>;
    case 'strong':
      return <strong>{inner()}</strong>;
    case 'em':
      return <em>{inner()}</em>;
    case 'del':
      return <del>{inner()}</del>;
    case 'br':
      return <br />;
    case 'hr':
      return <hr />;
    case 'codespan':
      return <code>{token.text}</code>;
    case 'code':
      return (
        <pre dir="ltr">
          <code>{token.text}</code>
        </pre>
      );
    case 'blockquote':
      return <blockquote>{inner()}</blockquote>;
    case 'list': {
      const items = (token.items as Token[]).map((item, i) => <li key={i}>{'tokens' in item && render(item.tokens)}</li>);
      return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
    }
    case 'table':
      return (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                {(token.header as { tokens: Token[] }[]).map((cell, i) => (
                  <th key={i}>{render(cell.tokens)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {(token.rows as { tokens: Token[] }[][]).map((row, i) => (
                <tr key={i}>
                  {row.map((cell, k) => (
                    <td key={k}>{render(cell.tokens)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      );
    case 'link': {
      const href = address(String(token.href));
      if (!href) return inner();
      const isOurs = href.startsWith('/');
      return (
        <a href={href} {...(isOurs ? {} : { target: '_blank', rel: 'noopener noreferrer nofollow' })}>
          {inner()}
        </a>
      );
    }
    case 'image': {
      const src = address(String(token.href));
      return src?.startsWith('/') ? <img src={src} alt={String(token.text)} loading="lazy" /> : String(token.text);
    }
    case 'formula':
      return <Formula source={String(token.text)} display={Boolean(token.display)} />;
    case 'html':
      // As it was written.
      return token.raw;
    default:
      return inner();
  }
}

/** Links to https, http, mailto and within the site; anything else is no link. */
function address(href: string): string | null {
  try {
    const url = new URL(href, 'https://here.invalid/');
    if (url.host === 'here.invalid') return url.pathname + url.search + url.hash;
    return ['https:', 'http:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: '\u00a0' };

/** Character references stand in tokens as they were written. */
function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|nbsp));/gi, (written, decimal, hex, name) => {
    if (name) return NAMED[String(name).toLowerCase()] ?? written;
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : written;
  });
}

/** A formula, as MathML by a renderer that is fetched with the first one. */
function Formula({ source, display }: { source: string; display: boolean }) {
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let isGone = false;
    void import('temml').then(({ default: temml }) => {
      if (isGone || !place.current) return;
      try {
        temml.render(source, place.current, { displayMode: display, throwOnError: true, trust: false, maxExpand: 500, maxSize: [20, 20] });
      } catch {
        place.current.textContent = source;
      }
    });
    return () => {
      isGone = true;
    };
  }, [source, display]);
  return (
    <span ref={place} className={display ? 'formula display' : 'formula'} dir="ltr">
      {source}
    </span>
  );
}
