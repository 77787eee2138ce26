import { useQuery } from '@apollo/client/react';
import { Link } from 'wouter';
import { DashboardPageDocument, type DashboardPageQuery } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Trend } from '../parts/trend';
import { Icon, Page } from '../parts/shell';
import { Empty, Private, Query } from '../parts/states';
import { paths, to } from '../routes';

type Board = NonNullable<DashboardPageQuery['dashboard']>;
const DAYS = 60;

export default function Dashboard() {
  return (
    <Private>
      <Load />
    </Private>
  );
}

function Load() {
  const query = useQuery(DashboardPageDocument, { variables: { days: DAYS }, fetchPolicy: 'cache-and-network' });
  return <Query query={query}>{data => data.dashboard && <Shown dashboard={data.dashboard} />}</Query>;
}

function Shown({ dashboard }: { dashboard: Board }) {
  const { t, number, date } = useWords();
  const { total } = dashboard;
  const percent = (share: number | null) => (share === null ? '–' : number(share, { style: 'percent', maximumFractionDigits: 0 }));
  return (
    <Page title={t('dashboard.title')} wide>
      <h1>{t('dashboard.title')}</h1>
      {total.attempts === 0 ? (
        <Empty title={t('dashboard.nothing')}>
          <Link className="button primary" href={paths.catalogue}>
            {t('dashboard.first')}
          </Link>
        </Empty>
      ) : (
        <>
          <dl className="facts big">
            <div className="streak">
              <dt>
                <Icon name="flame" /> {t('dashboard.streak')}
              </dt>
              <dd>{t('dashboard.days', { count: dashboard.streakDays })}</dd>
            </div>
            <div>
              <dt>{t('dashboard.accuracy')}</dt>
              <dd>{percent(total.accuracy)}</dd>
            </div>
            <div>
              <dt>{t('dashboard.attempts')}</dt>
              <dd>{number(total.attempts)}</dd>
            </div>
            <div>
              <dt>{t('dashboard.answers')}</dt>
              <dd>{number(total.rightCount + total.wrongCount)}</dd>
            </div>
          </dl>
          {total.withheldAttempts > 0 && <p className="notice">{t('dashboard.withheld', { count: total.withheldAttempts })}</p>}
          <section className="card">
            <h2>{t('dashboard.trend', { count: DAYS })}</h2>
            <Trend
              label={t('dashboard.trend', { count: DAYS })}
              points={dashboard.days.flatMap(({ day, progress }) => {
                const share = progress.accuracy;
                return share === null ? [] : [{ day, share }];
              })}
            />
          </section>
          <div className="columns">
            <section className="card">
              <h2>{t('dashboard.subjects')}</h2>
              <Bars rows={dashboard.subjects.map(({ subject, progress }) => ({ id: subject.id, name: subject.name, share: progress.accuracy }))} />
            </section>
            <section className="card">
              <h2>{t('dashboard.chapters')}</h2>
              <p className="small muted">{t('dashboard.weakest')}</p>
              <Bars
                rows={dashboard.chapters
                  .map(({ chapter, progress }) => ({ id: chapter.id, name: chapter.name, share: progress.accuracy }))
                  .filter(row => row.share !== null)
                  .sort((one, other) => (one.share ?? 0) - (other.share ?? 0))
                  .slice(0, 8)}
              />
            </section>
          </div>
          <section>
            <h2>{t('dashboard.recent')}</h2>
            <ul className="rows">
              {dashboard.recentAttempts.map(attempt => (
                <li key={attempt.id}>
                  <Link href={to.attempt(attempt.id)}>
                    <bdi>{attempt.quiz.title}</bdi>
                    {attempt.submittedAt && <span className="muted small">{date(attempt.submittedAt)}</span>}
                    <b className="end">
                      {attempt.result
                        ? t('quiz.points', { points: number(attempt.result.points), max: number(attempt.result.maxPoints) })
                        : t('quiz.hidden')}
                    </b>
                  </Link>
                </li>
              ))}
            </ul>
          </section>
        </>
      )}
    </Page>
  );

  function Bars({ rows }: { rows: { id: string; name: string; share: number | null }[] }) {
    return (
      <ul className="bars">
        {rows.map(row => (
          <li key={row.id}>
            <span className="row between">
              <bdi>{row.name}</bdi>
              <b>{percent(row.share)}</b>
            </span>
            <span className="bar" aria-hidden="true">
              <span style={{ inlineSize: `${Math.round((row.share ?? 0) * 100)}%` }} />
            </span>
          </li>
        ))}
      </ul>
    );
  }
}
