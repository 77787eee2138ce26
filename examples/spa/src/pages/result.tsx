import { useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { Link } from 'wouter';
import { LETTERS } from '../attempt/controls';
import { ResultPageDocument, type ResultPageQuery } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Markdown } from '../parts/markdown';
import { Picture } from '../parts/picture';
import { Page } from '../parts/shell';
import { Query } from '../parts/states';
import { paths, to } from '../routes';

type Attempt = NonNullable<ResultPageQuery['attempt']>;
type Reviewed = NonNullable<Attempt['review']>['questions'][number];

export default function Result({ id }: { id: string }) {
  const query = useQuery(ResultPageDocument, { variables: { id }, fetchPolicy: 'cache-and-network' });
  return <Query query={query}>{data => data.attempt && <Shown attempt={data.attempt} />}</Query>;
}

function Shown({ attempt }: { attempt: Attempt }) {
  const { t, date, number } = useWords();
  const { result, review, quiz } = attempt;
  const standing = quiz.board?.viewerStanding;
  const share = result && result.maxPoints > 0 ? Math.max(0, result.points / result.maxPoints) : null;
  return (
    <Page title={t('result.title', { quiz: quiz.title })}>
      <p className="small">
        <Link href={to.quiz(quiz.id)}>{t('result.back')}</Link>
      </p>
      <h1 dir="auto">{quiz.title}</h1>
      <p className="muted">
        {t('quiz.attempt', { n: attempt.number })}
        {attempt.submittedAt && ` · ${date(attempt.submittedAt)}`}
      </p>
      {attempt.submittedBy === 'CLOCK' && <p className="notice warn">{t('result.clock')}</p>}
      {attempt.late && <p className="notice">{t('result.late')}</p>}
      {result ? (
        <section className="card score">
          <Ring share={share ?? 0} />
          <div>
            <p className="points" dir="ltr">
              <b data-testid="points">{number(result.points)}</b> / {number(result.maxPoints)}
            </p>
            {result.rightCount !== null && (
              <p className="row">
                <span className="chip good">{t('result.right', { count: result.rightCount })}</span>
                <span className="chip bad">{t('result.wrong', { count: result.wrongCount ?? 0 })}</span>
                <span className="chip">{t('result.blank', { count: result.blankCount ?? 0 })}</span>
              </p>
            )}
            <p className="small">{attempt.ranked ? t('result.ranked') : t('result.unranked')}</p>
            {standing?.rank != null && (
              <p>
                {t('result.rank', { rank: standing.rank })}
                {standing.percentile != null && ` ${t('boards.percentile', { n: Math.round(standing.percentile) })}`}
              </p>
            )}
            <p className="row">
              <Link href={paths.boards} className="button small">
                {t('nav.boards')}
              </Link>
              <Link href={paths.dashboard} className="button small">
                {t('nav.dashboard')}
              </Link>
            </p>
          </div>
        </section>
      ) : (
        <section className="notice">
          <p className="lead">{t('result.hidden')}</p>
          <p>
            {quiz.reviewOpens === 'AFTER_CLOSE' && quiz.closesAt
              ? t('result.afterClose', { when: date(quiz.closesAt) })
              : t('result.afterLast')}
          </p>
        </section>
      )}
      {review ? <Review questions={review.questions} /> : result && <p className="notice">{t('result.reviewLater')}</p>}
    </Page>
  );
}

function Ring({ share }: { share: number }) {
  const { number } = useWords();
  const round = 2 * Math.PI * 42;
  return (
    <svg className="ring" viewBox="0 0 100 100" role="img" aria-label={number(share, { style: 'percent', maximumFractionDigits: 0 })}>
      <circle cx="50" cy="50" r="42" className="track" />
      <circle cx="50" cy="50" r="42" className="part" strokeDasharray={`${share * round} ${round}`} transform="rotate(-90 50 50)" />
      <text x="50" y="57" textAnchor="middle">
        {number(share, { style: 'percent', maximumFractionDigits: 0 })}
      </text>
    </svg>
  );
}

function Review({ questions }: { questions: Reviewed[] }) {
  const { t } = useWords();
  const [only, setOnly] = useState(false);
  const shown = only ? questions.filter(question => question.outcome !== 'RIGHT') : questions;
  return (
    <section>
      <div className="row between">
        <h2>{t('review.title')}</h2>
        <label className="switch">
          <input type="checkbox" checked={only} onChange={event => setOnly(event.target.checked)} />
          {t('review.onlyWrong')}
        </label>
      </div>
      {shown.length === 0 && <p className="notice good">{t('review.none')}</p>}
      <ol className="review">
        {shown.map(reviewed => (
          <li key={reviewed.question.id} className="card">
            <One reviewed={reviewed} />
          </li>
        ))}
      </ol>
    </section>
  );
}

const OUTCOMES = {
  RIGHT: ['good', 'outcome.right'],
  WRONG: ['bad', 'outcome.wrong'],
  BLANK: ['', 'outcome.blank'],
} as const;

function One({ reviewed }: { reviewed: Reviewed }) {
  const { t, number } = useWords();
  const { question, outcome } = reviewed;
  const [tone, word] = OUTCOMES[outcome];
  const right = reviewed.rightChoices.map(choice => choice.id);
  const chosen = reviewed.chosenChoices.map(choice => choice.id);
  return (
    <>
      <p className="row between">
        <span className="muted">
          {t('exam.question', { n: question.number })}
          {question.chapter && (
            <>
              {' · '}
              <bdi>{question.chapter.name}</bdi>
            </>
          )}
        </span>
        <span className={`chip ${tone}`}>
          {t(word)} · <span dir="ltr">{number(reviewed.points, { signDisplay: 'exceptZero' })}</span>
        </span>
      </p>
      <div className="text">
        <Markdown text={question.text} />
      </div>
      <Picture question={question} />
      <ul className="choices">
        {question.choices.map((choice, i) => {
          const isRight = right.includes(choice.id);
          const isChosen = chosen.includes(choice.id);
          return (
            <li key={choice.id} className={['choice', isRight && 'right', isChosen && !isRight && 'wrong'].filter(Boolean).join(' ')}>
              <b aria-hidden="true">{LETTERS[i]}</b>
              <Markdown inline text={choice.text} />
              {(isRight || isChosen) && (
                <span className="end small">{t(isRight && isChosen ? 'review.yoursRight' : isRight ? 'review.right' : 'review.yours')}</span>
              )}
            </li>
          );
        })}
        {question.kind === 'NUMBER' && <Numbers reviewed={reviewed} />}
      </ul>
      {reviewed.explanation && (
        <div className="explanation">
          <h3>{t('review.explanation')}</h3>
          <Markdown text={reviewed.explanation} />
        </div>
      )}
    </>
  );
}

/** The number that was given beside the right one, every digit as it is stored. */
function Numbers({ reviewed }: { reviewed: Reviewed }) {
  const { t } = useWords();
  const { outcome, chosenNumber, rightNumber, tolerance } = reviewed;
  const isRight = outcome === 'RIGHT';
  const shown = tolerance !== null && Number(tolerance) !== 0 ? `${rightNumber} ± ${tolerance}` : rightNumber;
  return (
    <>
      {chosenNumber !== null && (
        <li className={isRight ? 'choice right' : 'choice wrong'}>
          <span dir="ltr">{chosenNumber}</span>
          <span className="end small">{t(isRight ? 'review.yoursRight' : 'review.yours')}</span>
        </li>
      )}
      <li className="choice right">
        <span dir="ltr">{shown}</span>
        <span className="end small">{t('review.right')}</span>
      </li>
    </>
  );
}
