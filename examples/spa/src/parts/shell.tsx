import { type ReactNode, useEffect, useRef } from 'react';
import { Link, useLocation } from 'wouter';
import { type Key, useWords } from '../language';
import { paths } from '../routes';
import { useTheme } from './theme';
import { useSession } from './viewer';

const PLACES: [Key, string][] = [
  ['nav.quizzes', paths.catalogue],
  ['nav.dashboard', paths.dashboard],
  ['nav.boards', paths.boards],
  ['nav.account', paths.account],
];

export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true">
      <circle cx="16" cy="16" r="14" className="peel" />
      <circle cx="16" cy="16" r="10.5" className="pith" />
      <path className="flesh" d="M16 15 12.4 7.2a9 9 0 0 1 7.2 0zM17 15.6l6-6.1a9 9 0 0 1 2 7zM17 17.2l8 1.4a9 9 0 0 1-4.600 5.300zM15 17.200 11.600 23.900A9 9 0 0 1 7 18.600zM15 15.600 7 16.500a9 9 0 0 1 2-7zM16 17.600l3 7a9 9 0 0 1-6 0z" />
    </svg>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const { t, language, choose } = useWords();
  const [theme, setTheme] = useTheme();
  const { viewer } = useSession();
  const [path] = useLocation();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  // Where a page begins: readers of screens and keyboards go on from there.
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [path]);
  const isExam = path.startsWith('/attempts/');
  return (
    <>
      <a className="skip" href="#main" onClick={() => main.current?.focus()}>
        {t('nav.skip')}
      </a>
      <header className={isExam ? 'top during' : 'top'}>
        <Link href={viewer ? paths.catalogue : paths.landing} className="brand">
          <Logo />
          <span>{t('brand')}</span>
        </Link>
        {viewer && (
          <nav aria-label={t('nav.label')} className="places">
            {PLACES.map(([key, href]) => (
              <Link key={href} href={href} aria-current={path.startsWith(href) ? 'page' : undefined}>
                <Icon name={href} />
                <span>{t(key)}</span>
              </Link>
            ))}
          </nav>
        )}
        <div className="settings">
          <button
            type="button"
            className="quiet"
            lang={language === 'en' ? 'ur' : 'en'}
            onClick={() => choose(language === 'en' ? 'ur' : 'en')}
          >
            {language === 'en' ? 'اردو' : 'English'}
          </button>
          <button
            type="button"
            className="quiet square"
            aria-label={t(theme === 'dark' ? 'theme.light' : theme === 'light' ? 'theme.auto' : 'theme.dark')}
            title={t(theme === 'dark' ? 'theme.light' : theme === 'light' ? 'theme.auto' : 'theme.dark')}
            onClick={() => setTheme(theme === 'auto' ? 'dark' : theme === 'dark' ? 'light' : 'auto')}
          >
            <Icon name={`theme-${theme}`} />
          </button>
          {!viewer && (
            <Link href={paths.signIn} className="button small">
              {t('nav.signIn')}
            </Link>
          )}
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

const ICONS: Record<string, string> = {
  [paths.catalogue]: 'M5 4h11a3 3 0 0 1 3 3v13H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h11M9 8h6',
  [paths.dashboard]: 'M4 19V5M4 19h16M8 15l4-4 3 2 5-6',
  [paths.boards]: 'M8 4h8v5a4 4 0 0 1-8 0zM8 6H4c0 3 1 5 4 5M16 6h4c0 3-1 5-4 5M12 13v4M8 20h8M12 17v3',
  [paths.account]: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20c1-4 4-6 8-6s7 2 8 6',
  'theme-auto': 'M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18',
  'theme-dark': 'M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z',
  'theme-light': 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500 19 19M5 19l1.500-1.500M17.500 6.500 19 5',
  flag: 'M6 21V4M6 4h11l-2 4 2 4H6',
  flame: 'M12 3c1 4 6 6 6 11a6 6 0 0 1-12 0c0-2 1-3 2-4 0 2 1 3 2 3 2-2 0-6 2-10z',
};

export function Icon({ name }: { name: string }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

/** A page: its title is the document's, too. */
export function Page({ title, children, wide }: { title: string; children: ReactNode; wide?: boolean }) {
  const { t } = useWords();
  useEffect(() => {
    document.title = `${title} · ${t('brand')}`;
  }, [title, t]);
  return <div className={wide ? 'page wide' : 'page'}>{children}</div>;
}
