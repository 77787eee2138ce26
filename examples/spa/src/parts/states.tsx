// What a page shows instead of its content: that it loads, that there is nothing, that it failed, that it is refused.
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { type Failure, failureOf } from '../graph/failure';
import { type Key, useWords } from '../language';
import { paths, to } from '../routes';
import { useSession } from './viewer';

export function Loading({ lines = 4 }: { lines?: number }) {
  const { t } = useWords();
  return (
    <div className="loading" role="status">
      <span className="hidden">{t('state.loading')}</span>
      {Array.from({ length: lines }, (_, i) => (
        <div key={i} className="bone" aria-hidden="true" />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="notice empty">
      <p className="lead">{title}</p>
      {children}
    </div>
  );
}

/** The message of a failure. */
export const TITLES: Record<Failure['code'], Key> = {
  UNAUTHENTICATED: 'failure.unauthenticated',
  FORBIDDEN: 'failure.forbidden',
  NOT_FOUND: 'failure.notFound',
  RATE_LIMITED: 'failure.rateLimited',
  INTERNAL: 'failure.internal',
  OFFLINE: 'failure.offline',
};

export function Failed({ error, retry }: { error: unknown; retry?: (() => unknown) | undefined }) {
  const { t } = useWords();
  const failure = failureOf(error);
  return (
    <div className="notice failed" role="alert">
      <p className="lead">{t(TITLES[failure.code], { count: Math.ceil(failure.retryAfter ?? 1) })}</p>
      {failure.requestId && <p className="small">{t('failure.requestId', { id: failure.requestId })}</p>}
      {failure.code === 'NOT_FOUND' ? (
        <Link className="button" href={paths.catalogue}>
          {t('failure.toQuizzes')}
        </Link>
      ) : (
        retry && (
          <button type="button" className="button" onClick={() => void retry()}>
            {t('failure.retry')}
          </button>
        )
      )}
    </div>
  );
}

/** The query's data as a page, or what stands for it. */
export function Query<Data>({
  query,
  children,
}: {
  query: { data?: Data | undefined; error?: unknown; refetch?: () => unknown };
  children: (data: Data) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failed error={query.error} retry={query.refetch} />;
  return <Loading />;
}

/** A page for those who have signed in. */
export function Private({ children }: { children: ReactNode }) {
  const { viewer } = useSession();
  const { t } = useWords();
  if (viewer === undefined) return <Loading />;
  if (viewer) return children;
  const here = location.pathname + location.search;
  return (
    <div className="notice">
      <h1>{t('refused.title')}</h1>
      <p>{t('refused.text')}</p>
      <p className="row">
        <Link className="button primary" href={to.signIn(here)}>
          {t('nav.signIn')}
        </Link>
        <Link className="button" href={paths.register}>
          {t('nav.register')}
        </Link>
      </p>
    </div>
  );
}
