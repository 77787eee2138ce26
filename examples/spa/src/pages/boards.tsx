import { useQuery, useSubscription } from '@apollo/client/react';
import { useEffect, useId, useState } from 'react';
import { Link } from 'wouter';
import {
  AroundViewerDocument,
  BoardChangedDocument,
  type BoardInput,
  type BoardWindow,
  CurrentBoardDocument,
  type OwnStandingFragment,
  StandingChangedDocument,
  type StandingFieldsFragment,
  SubjectsDocument,
} from '../graph/generated/graphql';
import { type Key, useWords } from '../language';
import { Page } from '../parts/shell';
import { Empty, Failed, Loading } from '../parts/states';
import { useSession } from '../parts/viewer';
import { paths, to } from '../routes';

const WINDOWS: [BoardWindow, Key][] = [
  ['DAY', 'boards.day'],
  ['WEEK', 'boards.week'],
  ['MONTH', 'boards.month'],
  ['ALL_TIME', 'boards.allTime'],
];

export default function Boards() {
  const { t } = useWords();
  const { viewer } = useSession();
  const [window, setWindow] = useState<BoardWindow>('WEEK');
  const [subjectId, setSubject] = useState('');
  const subjects = useQuery(SubjectsDocument).data?.subjects.nodes ?? [];
  const id = useId();
  return (
    <Page title={t('boards.title')} wide>
      <h1>{t('boards.title')}</h1>
      <div className="filters">
        <div className="tabs" role="group" aria-label={t('boards.window')}>
          {WINDOWS.map(([value, key]) => (
            <button key={value} type="button" aria-pressed={window === value} onClick={() => setWindow(value)}>
              {t(key)}
            </button>
          ))}
        </div>
        <div className="field">
          <label htmlFor={id}>{t('catalogue.subject')}</label>
          <select id={id} value={subjectId} onChange={event => setSubject(event.target.value)}>
            <option value="">{t('catalogue.allSubjects')}</option>
            {subjects.map(subject => (
              <option key={subject.id} value={subject.id}>
                {subject.name}
              </option>
            ))}
          </select>
        </div>
      </div>
      {viewer === undefined ? <Loading lines={6} /> : <Board key={`${window} ${subjectId}`} window={window} subjectId={subjectId} signedIn={viewer !== null} />}
    </Page>
  );
}

/** The standings of the list of the best; as many as `CurrentBoard` asks for. */
const LISTED = 10;

function Board({ window, subjectId, signedIn }: { window: BoardWindow; subjectId: string; signedIn: boolean }) {
  const { t, number } = useWords();
  const board: BoardInput = subjectId ? { subject: { id: subjectId, window } } : { everything: window };
  const first = useQuery(CurrentBoardDocument, {
    variables: { window, subjectId: subjectId || null, signedIn },
    fetchPolicy: 'cache-and-network',
  });
  // The streams begin with the present state and go on with each change.
  const top = useSubscription(BoardChangedDocument, { variables: { board } });
  const own = useSubscription(StandingChangedDocument, { variables: { board }, skip: !signedIn });
  const changed = top.data?.boardChanged;
  const mine = own.data?.standingChanged;
  const standings = changed && !changed.stale ? changed.standings.slice(0, LISTED) : first.data?.board?.standings.nodes;
  const standing = mine && !mine.stale ? mine.standing : first.data?.board?.viewerStanding;
  const total = changed?.totalCount ?? first.data?.board?.standings.totalCount ?? 0;
  const boardId = changed?.board.id ?? first.data?.board?.id;
  if (!standings) return first.error ? <Failed error={first.error} retry={first.refetch} /> : <Loading lines={8} />;
  if (standings.length === 0) {
    return (
      <Empty title={t('boards.nothing')}>
        <Link className="button primary" href={paths.catalogue}>
          {t('boards.beFirst')}
        </Link>
      </Empty>
    );
  }
  const isLive = Boolean(changed) && !top.error;
  return (
    <>
      <p className="row small">
        <span className={isLive ? 'live on' : 'live'} role="status">
          {t(isLive ? 'boards.live' : 'boards.connecting')}
        </span>
        <span className="muted">{t('boards.students', { count: total })}</span>
      </p>
      {!signedIn && (
        <p className="notice">
          <Link href={to.signIn(paths.boards)}>{t('boards.signIn')}</Link>
        </p>
      )}
      {signedIn && <Mine standing={standing ?? null} />}
      {mine && mine.overtakenBy.length > 0 && (
        <p className="notice warn" role="status">
          {t('boards.overtaken', { names: mine.overtakenBy.map(user => user.handle).join(', ') })}
        </p>
      )}
      <div className="columns">
        <section className="card">
          <h2>{t('boards.top')}</h2>
          <Standings standings={standings} mine={standing?.user.id} testId="top" />
        </section>
        {signedIn && standing?.rank != null && boardId && (
          <section className="card">
            <h2>{t('boards.around')}</h2>
            <Around id={boardId} asOf={`${mine?.asOf} ${changed?.asOf}`} mine={standing.user.id} />
          </section>
        )}
      </div>
    </>
  );

  function Mine({ standing }: { standing: OwnStandingFragment | null }) {
    if (!standing) return <p className="notice">{t('boards.notYet')}</p>;
    if (standing.rank === null) return <p className="notice">{t('boards.hidden')}</p>;
    return (
      <dl className="facts big mine">
        <div>
          <dt>{t('boards.rank')}</dt>
          <dd data-testid="rank">
            {number(standing.rank)} <Movement value={standing.movement} />
          </dd>
        </div>
        <div>
          <dt>{t('boards.points')}</dt>
          <dd data-testid="own-points">{number(standing.points)}</dd>
        </div>
        {standing.percentile !== null && (
          <div>
            <dt>{t('boards.ahead')}</dt>
            <dd>{number(standing.percentile / 100, { style: 'percent', maximumFractionDigits: 0 })}</dd>
          </div>
        )}
        <div>
          <dt>{t('boards.toNext')}</dt>
          <dd>{standing.pointsToNextRank === null ? t('boards.atTop') : number(standing.pointsToNextRank)}</dd>
        </div>
      </dl>
    );
  }
}

function Around({ id, asOf, mine }: { id: string; asOf: string; mine: string }) {
  const query = useQuery(AroundViewerDocument, { variables: { id }, fetchPolicy: 'cache-and-network' });
  // A stream tells that something has changed; a burst of changes is read once.
  useEffect(() => {
    const timer = setTimeout(() => void query.refetch().catch(() => {}), 300);
    return () => clearTimeout(timer);
  }, [asOf]);
  const around = query.data?.board?.aroundViewer;
  if (around) return <Standings standings={around.standings} mine={mine} testId="around" />;
  return query.error ? <Failed error={query.error} retry={query.refetch} /> : <Loading />;
}

function Standings({ standings, mine, testId }: { standings: StandingFieldsFragment[]; mine: string | undefined; testId: string }) {
  const { t, number } = useWords();
  return (
    <table className="standings" data-testid={testId}>
      <thead>
        <tr>
          <th scope="col">{t('boards.rank')}</th>
          <th scope="col">{t('boards.student')}</th>
          <th scope="col" className="number">
            {t('boards.points')}
          </th>
        </tr>
      </thead>
      <tbody>
        {standings.map(standing => (
          <tr key={standing.user.id} className={standing.user.id === mine ? 'mine' : undefined}>
            <td>
              <span className={standing.rank && standing.rank <= 3 ? `medal m${standing.rank}` : 'medal'}>
                {standing.rank === null ? '–' : number(standing.rank)}
              </span>
            </td>
            <th scope="row">
              {standing.user.avatar && <img className="avatar" src={standing.user.avatar} alt="" referrerPolicy="no-referrer" />}
              <bdi>{standing.user.handle}</bdi>
              {standing.user.id === mine && <span className="chip">{t('boards.you')}</span>} <Movement value={standing.movement} />
            </th>
            <td className="number">{number(standing.points)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Movement({ value }: { value: number | null }) {
  const { t, number } = useWords();
  if (!value) return null;
  return (
    <span className={value > 0 ? 'movement up' : 'movement down'}>
      <span aria-hidden="true">{value > 0 ? '▲' : '▼'}</span>
      <span className="hidden">{t(value > 0 ? 'boards.up' : 'boards.down')} </span>
      {number(Math.abs(value))}
    </span>
  );
}
