import { type ReactNode, createContext, use, useEffect, useMemo, useState } from 'react';
import en from './en.json';

export type Key = keyof typeof en;
type Catalogue = Record<Key, string>;
export type Language = 'en' | 'ur';
export type Values = Record<string, string | number>;

type Words = {
  language: Language;
  choose: (language: Language) => void;
  /** The message of the key; `{name}` takes a value, and with `count` the key's form for that number is looked up. */
  t: (key: Key, values?: Values) => string;
  number: (value: number, options?: Intl.NumberFormatOptions) => string;
  date: (value: string, options?: Intl.DateTimeFormatOptions) => string;
};

const KEPT = 'language';
const Context = createContext<Words | null>(null);
const catalogues: Partial<Record<Language, Catalogue>> = { en };

/** Digits stay Latin in Urdu, as in Pakistani textbooks and on its keyboards' first layer. */
const LOCALES: Record<Language, string> = { en: 'en-GB', ur: 'ur-PK-u-nu-latn' };

function preferred(): Language {
  try {
    const kept = localStorage.getItem(KEPT);
    if (kept === 'en' || kept === 'ur') return kept;
  } catch {
    // Storage may be forbidden.
  }
  return navigator.languages.find(language => /^(en|ur)\b/.test(language))?.startsWith('ur') ? 'ur' : 'en';
}

export function Languages({ children }: { children: ReactNode }) {
  // The page as it is built is in English; the first render must be the same.
  const [language, set] = useState<Language>('en');
  const choose = async (wanted: Language) => {
    catalogues[wanted] ??= (await import('./ur.json')).default;
    document.documentElement.lang = wanted;
    document.documentElement.dir = wanted === 'ur' ? 'rtl' : 'ltr';
    set(wanted);
  };
  useEffect(() => {
    void choose(preferred());
  }, []);
  const words = useMemo(
    () =>
      wordsOf(language, wanted => {
        try {
          localStorage.setItem(KEPT, wanted);
        } catch {
          // It holds for this page.
        }
        void choose(wanted);
      }),
    [language],
  );
  return <Context value={words}>{children}</Context>;
}

function wordsOf(language: Language, choose: Words['choose']): Words {
  const locale = LOCALES[language];
  const catalogue = catalogues[language] ?? en;
  const plural = new Intl.PluralRules(locale);
  const number = (value: number, options?: Intl.NumberFormatOptions) =>
    new Intl.NumberFormat(locale, { maximumFractionDigits: 2, ...options }).format(value);
  return {
    language,
    choose,
    number,
    date: (value, options = { dateStyle: 'medium', timeStyle: 'short' }) =>
      new Intl.DateTimeFormat(locale, options).format(new Date(value)),
    t: (key, values) => {
      const form = values?.count !== undefined && `${key}.${plural.select(Number(values.count))}`;
      const message = (form && catalogue[form as Key]) || catalogue[key] || en[key];
      return message.replace(/\{(\w+)\}/g, (_, name: string) => {
        const value = values?.[name];
        return typeof value === 'number' ? number(value) : (value ?? '');
      });
    },
  };
}

export function useWords(): Words {
  const words = use(Context);
  if (!words) throw new Error('There are no words here');
  return words;
}
