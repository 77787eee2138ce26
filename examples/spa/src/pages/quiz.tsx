import { useMutation, useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import {
  type ErrorFieldsFragment,
  QuizPageDocument,
  type QuizPageQuery,
  type StartObstacle,
  StartAttemptDocument,
  type UnrankedReason,
} from '../graph/generated/graphql';
import { type Key, useWords } from '../language';
import { Page } from '../parts/shell';
import { Failed, Query } from '../parts/states';
import { useSession } from '../parts/viewer';
import { paths, to } from '../routes';
import { State } from './catalogue';

const OBSTACLES: Record<StartObstacle, Key> = {
  ATTEMPTS_EXHAUSTED: 'obstacle.exhausted',
  CLOSED: 'obstacle.closed',
  COOLDOWN: 'obstacle.cooldown',
  DELETED: 'obstacle.deleted',
  NOT_OPEN_YET: 'obstacle.notOpen',
  WITHDRAWN: 'obstacle.withdrawn',
};

const UNRANKED: Record<UnrankedReason, Key> = {
  EMAIL_UNCONFIRMED: 'unranked.email',
  RESULT_SEEN: 'unranked.result',
  REVIEW_OPEN: 'unranked.review',
};

export default function QuizPage({ id }: { id: string }) {
  const { viewer } = useSession();
  const query = useQuery(QuizPageDocument, {
    variables: { id, signedIn: Boolean(viewer) },
    skip: viewer === undefined,
    fetchPolicy: 'cache-and-network',
  });
  return <Query query={query}>{data => data.quiz && <About quiz={data.quiz} />}</Query>;
}

function About({ quiz }: { quiz: NonNullable<QuizPageQuery['quiz']> }) {
  const { t, date, number } = useWords();
  const { viewer } = useSession();
  const [, navigate] = useLocation();
  const [start, { loading, error }] = useMutation(StartAttemptDocument);
  const [refusals, setRefusals] = useState<ErrorFieldsFragment[]>([]);
  const open = quiz.viewerAttempts?.nodes[0]?.state === 'IN_PROGRESS' ? quiz.viewerAttempts.nodes[0] : null;
  const begin = async () => {
    if (loading) return;
    setRefusals([]);
    const payload = (await start({ variables: { input: { quizId: quiz.id } } }).catch(() => null))?.data?.startAttempt;
    if (payload?.attempt) navigate(to.attempt(payload.attempt.id));
    else setRefusals(payload?.errors ?? []);
  };
  const { marking } = quiz;
  return (
    <Page title={quiz.title}>
      <p className="small">
        <Link href={paths.catalogue}>{t('quiz.back')}</Link>
      </p>
      <p className="eyebrow" dir="auto">
        {quiz.subject.name}
      </p>
      <h1 dir="auto">{quiz.title}</h1>
      {quiz.description && (
        <p className="lead" dir="auto">
          {quiz.description}
        </p>
      )}
      <p className="row">
        <State quiz={quiz} />
      </p>
      <dl className="facts">
        <div>
          <dt>{t('quiz.fact.questions')}</dt>
          <dd>{number(quiz.questionCount)}</dd>
        </div>
        <div>
          <dt>{t('quiz.fact.time')}</dt>
          <dd>{t('quiz.minutes', { count: Math.round(quiz.durationSeconds / 60) })}</dd>
        </div>
        <div>
          <dt>{t('quiz.fact.marking')}</dt>
          <dd dir="ltr">
            {signed(marking.right)} / {signed(marking.wrong)} / {signed(marking.blank)}
          </dd>
        </div>
        <div>
          <dt>{t('quiz.fact.attempts')}</dt>
          <dd>{quiz.maxAttempts ? number(quiz.maxAttempts) : t('quiz.unlimited')}</dd>
        </div>
        {quiz.closesAt && (
          <div>
            <dt>{t('quiz.fact.closes')}</dt>
            <dd>{date(quiz.closesAt)}</dd>
          </div>
        )}
      </dl>
      {error && <Failed error={error} />}
      {refusals.map(refusal => (
        <p key={refusal.message} className="notice failed" role="alert" dir="auto">
          {refusal.message}
        </p>
      ))}
      {!viewer && (
        <p className="row">
          <Link className="button primary large" href={to.signIn(to.quiz(quiz.id))}>
            {t('quiz.signInToStart')}
          </Link>
        </p>
      )}
      {viewer && quiz.viewerStartObstacle && !open && (
        <p className="notice">
          {t(OBSTACLES[quiz.viewerStartObstacle])}
          {quiz.viewerCanStartAt && ` ${t('quiz.from', { when: date(quiz.viewerCanStartAt) })}`}
        </p>
      )}
      {viewer && (open || quiz.viewerCanStart) && (
        <>
          {!open && <p className="muted">{t('quiz.rules', { count: Math.round(quiz.durationSeconds / 60) })}</p>}
          {!open && quiz.unrankedReason && <p className="muted">{t(UNRANKED[quiz.unrankedReason])}</p>}
          <button type="button" className="button primary large" aria-disabled={loading} onClick={begin}>
            {t(open ? 'quiz.resumeNow' : quiz.history?.nodes.length ? 'quiz.startAgain' : 'quiz.start')}
          </button>
        </>
      )}
      {quiz.history && quiz.history.nodes.length > 0 && (
        <section>
          <h2>{t('quiz.history')}</h2>
          <ul className="rows">
            {quiz.history.nodes.map(attempt => (
              <li key={attempt.id}>
                <Link href={to.attempt(attempt.id)}>
                  <span>{t('quiz.attempt', { n: attempt.number })}</span>
                  <span className="muted small">{date(attempt.submittedAt ?? attempt.startedAt)}</span>
                  {!attempt.ranked && <span className="chip">{t('result.practice')}</span>}
                  <b className="end">
                    {attempt.state === 'IN_PROGRESS'
                      ? t('quiz.resume')
                      : attempt.result
                        ? t('quiz.points', { points: number(attempt.result.points), max: number(attempt.result.maxPoints) })
                        : t('quiz.hidden')}
                  </b>
                </Link>
              </li>
            ))}
          </ul>
        </section>
      )}
    </Page>
  );

  function signed(points: number) {
    return number(points, { signDisplay: 'exceptZero' });
  }
}
