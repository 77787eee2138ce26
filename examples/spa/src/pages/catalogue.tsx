import { useQuery } from '@apollo/client/react';
import { useEffect, useId, useState } from 'react';
import { Link, useSearch, useLocation } from 'wouter';
import {
  CatalogueDocument,
  type QuizCardFragment,
  type QuizFilter,
  type QuizForViewerFragment,
  SubjectsDocument,
} from '../graph/generated/graphql';
import { useWords } from '../language';
import { Page } from '../parts/shell';
import { Empty, Failed, Loading } from '../parts/states';
import { useSession } from '../parts/viewer';
import { paths, to } from '../routes';

export type QuizSeen = QuizCardFragment & Partial<QuizForViewerFragment>;

const LENGTHS = { short: { maxMinutes: 20 }, middle: { minMinutes: 21, maxMinutes: 60 }, long: { minMinutes: 61 } };
type Length = keyof typeof LENGTHS;
const PAGE = 24;

export default function Catalogue() {
  const { t } = useWords();
  const { viewer } = useSession();
  const [, navigate] = useLocation();
  const search = new URLSearchParams(useSearch());
  const text = search.get('q') ?? '';
  const subjectId = search.get('subject') ?? '';
  const length = (search.get('length') ?? '') as Length | '';
  const [typed, type] = useState(text);
  const choose = (name: string, value: string) => {
    const next = new URLSearchParams(location.search);
    if (value) next.set(name, value);
    else next.delete(name);
    navigate(next.size ? `${paths.catalogue}?${next}` : paths.catalogue, { replace: true });
  };
  // What is typed is searched for once it rests.
  useEffect(() => {
    if (typed.trim() === text) return;
    const timer = setTimeout(() => choose('q', typed.trim()), 300);
    return () => clearTimeout(timer);
  }, [typed]);
  const filter: QuizFilter = {
    ...(text ? { text } : {}),
    ...(subjectId ? { subjectId } : {}),
    ...(length && LENGTHS[length]),
  };
  const { data, previousData, error, refetch, fetchMore } = useQuery(CatalogueDocument, {
    variables: { first: PAGE, filter, signedIn: Boolean(viewer) },
    skip: viewer === undefined,
    fetchPolicy: 'cache-and-network',
  });
  const subjects = useQuery(SubjectsDocument).data?.subjects.nodes ?? [];
  const shown = data ?? previousData;
  const quizzes = shown?.quizzes;
  const ids = { search: useId(), subject: useId(), length: useId() };
  const more = () => fetchMore({ variables: { after: quizzes?.pageInfo.endCursor ?? null } });
  return (
    <Page title={t('catalogue.title')} wide>
      <h1>{t('catalogue.title')}</h1>
      <div className="filters" role="search">
        <div className="field grow">
          <label htmlFor={ids.search}>{t('catalogue.search')}</label>
          <input id={ids.search} type="search" dir="auto" maxLength={100} value={typed} onChange={event => type(event.target.value)} />
        </div>
        <div className="field">
          <label htmlFor={ids.subject}>{t('catalogue.subject')}</label>
          <select id={ids.subject} value={subjectId} onChange={event => choose('subject', event.target.value)}>
            <option value="">{t('catalogue.allSubjects')}</option>
            {subjects.map(subject => (
              <option key={subject.id} value={subject.id}>
                {subject.name}
              </option>
            ))}
          </select>
        </div>
        <div className="field">
          <label htmlFor={ids.length}>{t('catalogue.length')}</label>
          <select id={ids.length} value={length} onChange={event => choose('length', event.target.value)}>
            <option value="">{t('catalogue.anyLength')}</option>
            <option value="short">{t('catalogue.short')}</option>
            <option value="middle">{t('catalogue.middle')}</option>
            <option value="long">{t('catalogue.long')}</option>
          </select>
        </div>
      </div>
      {error && <Failed error={error} retry={refetch} />}
      {!quizzes && !error && <Loading lines={6} />}
      {quizzes && quizzes.edges.length === 0 && (
        <Empty title={t(Object.keys(filter).length ? 'catalogue.nothingFound' : 'catalogue.nothing')}>
          {Object.keys(filter).length > 0 && (
            <button
              type="button"
              className="button"
              onClick={() => {
                type('');
                navigate(paths.catalogue, { replace: true });
              }}
            >
              {t('catalogue.clear')}
            </button>
          )}
        </Empty>
      )}
      <ul className="cards">
        {quizzes?.edges.map(({ node }) => (
          <li key={node.id}>
            <Card quiz={node} />
          </li>
        ))}
      </ul>
      {quizzes?.pageInfo.hasNextPage && (
        <p className="center">
          <button type="button" className="button" onClick={more}>
            {t('catalogue.more')}
          </button>
        </p>
      )}
    </Page>
  );
}

function Card({ quiz }: { quiz: QuizSeen }) {
  const { t } = useWords();
  return (
    <article className="card quiz">
      <p className="eyebrow" dir="auto">
        {quiz.subject.name}
      </p>
      <h2 dir="auto">
        <Link href={to.quiz(quiz.id)}>{quiz.title}</Link>
      </h2>
      {quiz.description && (
        <p className="muted clip" dir="auto">
          {quiz.description}
        </p>
      )}
      <p className="row small foot">
        <span className="chip">{t('quiz.questions', { count: quiz.questionCount })}</span>
        <span className="chip">{t('quiz.minutes', { count: Math.round(quiz.durationSeconds / 60) })}</span>
        <State quiz={quiz} />
      </p>
    </article>
  );
}

/** How the viewer stands with the quiz. */
export function State({ quiz }: { quiz: QuizSeen }) {
  const { t, date, number } = useWords();
  const last = quiz.viewerAttempts?.nodes[0];
  const best = quiz.viewerBestAttempt?.result;
  const opens = quiz.opensAt && Date.parse(quiz.opensAt) > Date.now() ? quiz.opensAt : null;
  if (last?.state === 'IN_PROGRESS') return <span className="chip accent">{t('quiz.resume')}</span>;
  if (best) {
    return <span className="chip good">{t('quiz.done', { points: number(best.points), max: number(best.maxPoints) })}</span>;
  }
  if (last) return <span className="chip good">{t('quiz.doneHidden')}</span>;
  if (opens) {
    const options = { weekday: 'long', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' } as const;
    return <span className="chip">{t('quiz.opens', { when: date(opens, options) })}</span>;
  }
  if (quiz.viewerStartObstacle === 'CLOSED') return <span className="chip">{t('quiz.closed')}</span>;
  return null;
}
