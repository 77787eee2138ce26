import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { QuestionFieldsFragment } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Markdown } from '../parts/markdown';
import { Picture } from '../parts/picture';
import { Icon, Page } from '../parts/shell';
import { TITLES } from '../parts/states';
import { AnswerControl, LETTERS, toggled } from './controls';
import { type OpenAttempt, type Seen, type Sitting, answeredCount } from './sitting';
import { NOTHING, isBlank, isSendable } from './wire';

type Props = { attempt: OpenAttempt; sitting: Sitting; seen: Seen };

export function Exam({ attempt, sitting, seen }: Props) {
  const { t } = useWords();
  const { questions } = attempt;
  const question = questions[seen.at];
  const [asks, ask] = useState(false);
  const current = useRef<HTMLDivElement>(null);
  const go = (at: number) => {
    if (at < 0 || at >= questions.length) return;
    sitting.go(at);
    if (sitting.seen().all) document.getElementById(`question-${at}`)?.scrollIntoView({ block: 'start' });
  };

  // Keys: a digit or a letter chooses, arrows move, M marks. One place hears all of them, whatever has the focus. Keys may
  // come faster than the page is drawn, so what they act on is read from the sitting. Whoever sees the questions is heard:
  // an effect of the layout runs before they are painted.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      const { at, entries } = sitting.seen();
      const question = questions[at];
      if (asks || event.ctrlKey || event.metaKey || event.altKey || !question) return;
      const target = event.target as HTMLElement;
      const types = target instanceof HTMLInputElement && !['radio', 'checkbox'].includes(target.type);
      if (types || target instanceof HTMLSelectElement) return;
      const ahead = document.documentElement.dir === 'rtl' ? 'ArrowLeft' : 'ArrowRight';
      const back = document.documentElement.dir === 'rtl' ? 'ArrowRight' : 'ArrowLeft';
      const letter = event.key.length === 1 ? LETTERS.indexOf(event.key.toUpperCase()) : -1;
      const place = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : letter;
      const choice = question.choices[place];
      if (event.key === ahead) go(at + 1);
      else if (event.key === back) go(at - 1);
      else if (event.key.toLowerCase() === 'm') sitting.flag(question.id);
      else if (place >= 0 && choice && question.kind !== 'NUMBER') {
        sitting.answer(question.id, toggled(question, entries.get(question.id)?.given ?? NOTHING, choice.id));
      } else return;
      event.preventDefault();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [asks, sitting, questions]);

  // What was not saved would be lost with the tab, though not with a reload.
  useEffect(() => {
    if (seen.pending === 0) return;
    const warn = (event: BeforeUnloadEvent) => {
      if (!navigator.onLine) event.preventDefault();
    };
    addEventListener('beforeunload', warn);
    return () => removeEventListener('beforeunload', warn);
  }, [seen.pending]);

  const shown = seen.all ? questions : question ? [question] : [];
  return (
    <Page title={attempt.quiz.title} wide>
      <div className="exam-bar">
        <h1 dir="auto">{attempt.quiz.title}</h1>
        <Saved seen={seen} />
        <Countdown sitting={sitting} total={attempt.quiz.durationSeconds} />
      </div>
      <Banner sitting={sitting} seen={seen} />
      <div className="exam">
        <div>
          {shown.map(shownQuestion => {
            const at = questions.indexOf(shownQuestion);
            return (
              <div
                key={shownQuestion.id}
                id={`question-${at}`}
                ref={at === seen.at ? current : null}
                onFocus={() => at !== seen.at && sitting.go(at)}
                className={seen.all && at === seen.at ? 'card question current' : 'card question'}
              >
                <QuestionCard question={shownQuestion} total={questions.length} sitting={sitting} seen={seen} />
              </div>
            );
          })}
          {!seen.all && (
            <p className="row between">
              <button type="button" className="button" disabled={seen.at === 0} onClick={() => go(seen.at - 1)}>
                {t('exam.previous')}
              </button>
              {seen.at < questions.length - 1 ? (
                <button type="button" className="button primary" onClick={() => go(seen.at + 1)}>
                  {t('exam.next')}
                </button>
              ) : (
                <button type="button" className="button primary" onClick={() => ask(true)}>
                  {t('exam.finish')}
                </button>
              )}
            </p>
          )}
        </div>
        <aside aria-label={t('exam.palette')}>
          <Palette questions={questions} seen={seen} go={go} />
          <label className="switch">
            <input type="checkbox" checked={seen.all} onChange={event => sitting.showAll(event.target.checked)} />
            {t('exam.all')}
          </label>
          <button type="button" className="button primary block" disabled={seen.submitting} onClick={() => ask(true)}>
            {t('exam.submit')}
          </button>
          <p className="hint keys">{t('exam.keys')}</p>
        </aside>
      </div>
      {asks && (
        <Confirm
          seen={seen}
          total={questions.length}
          close={() => ask(false)}
          submit={() => {
            ask(false);
            sitting.submit();
          }}
        />
      )}
    </Page>
  );
}

function QuestionCard({
  question,
  total,
  sitting,
  seen,
}: {
  question: QuestionFieldsFragment;
  total: number;
  sitting: Sitting;
  seen: Seen;
}) {
  const { t } = useWords();
  const entry = seen.entries.get(question.id);
  const flagged = seen.flagged.has(question.id);
  const problem = `${question.id}-problem`;
  return (
    <>
      <p className="row between">
        <span className="muted">{t('exam.questionOf', { n: question.number, total })}</span>
        <button type="button" className={flagged ? 'flag on' : 'flag'} aria-pressed={flagged} onClick={() => sitting.flag(question.id)}>
          <Icon name="flag" />
          {t('exam.flag')}
        </button>
      </p>
      <div className="text">
        <Markdown text={question.text} />
      </div>
      <Picture question={question} />
      <AnswerControl
        question={question}
        given={entry?.given ?? NOTHING}
        locked={seen.submitting || seen.finished}
        problem={entry?.isRefused ? problem : undefined}
        give={given => sitting.answer(question.id, given)}
      />
      <p className="small answer-state" aria-live="polite">
        {entry?.isRefused && (
          <span className="unsaved" id={problem}>
            {t(isSendable(entry.given) ? 'exam.refused' : 'exam.noNumber')}
          </span>
        )}
        {entry && !entry.isSaved && !entry.isRefused && (
          <span className="unsaved">{t(seen.online ? 'exam.saving' : 'exam.notSaved')}</span>
        )}
        {entry?.isSaved && !isBlank(entry.given) && <span className="muted">{t('exam.saved')}</span>}
      </p>
    </>
  );
}

function Palette({ questions, seen, go }: { questions: QuestionFieldsFragment[]; seen: Seen; go: (at: number) => void }) {
  const { t } = useWords();
  return (
    <>
      <p className="small">{t('exam.answered', { n: answeredCount(seen), total: questions.length })}</p>
      <ol className="palette">
        {questions.map((question, i) => {
          const entry = seen.entries.get(question.id);
          const answered = entry !== undefined && !entry.isRefused && !isBlank(entry.given);
          const unsaved = entry !== undefined && !entry.isSaved;
          const flagged = seen.flagged.has(question.id);
          const words = [
            t('exam.question', { n: question.number }),
            t(answered ? 'exam.state.answered' : 'exam.state.blank'),
            unsaved && t(entry.isRefused ? 'exam.state.refused' : 'exam.state.unsaved'),
            flagged && t('exam.state.flagged'),
          ];
          return (
            <li key={question.id}>
              <button
                type="button"
                className={['cell', answered && 'answered', unsaved && 'unsaved', flagged && 'flagged'].filter(Boolean).join(' ')}
                aria-current={i === seen.at ? 'step' : undefined}
                aria-label={words.filter(Boolean).join(', ')}
                onClick={() => go(i)}
              >
                {question.number}
              </button>
            </li>
          );
        })}
      </ol>
    </>
  );
}

function Saved({ seen }: { seen: Seen }) {
  const { t } = useWords();
  const isDone = seen.pending === 0 && seen.refused === 0;
  return (
    <span className={isDone ? 'saved' : 'saved not'} data-pending={seen.pending}>
      {isDone
        ? t('exam.allSaved')
        : seen.pending > 0
          ? t('exam.pending', { count: seen.pending })
          : t('exam.refusedCount', { count: seen.refused })}
    </span>
  );
}

/** What must not be overlooked: no connection, a submit that waits for it, a refusal. */
function Banner({ sitting, seen }: { sitting: Sitting; seen: Seen }) {
  const { t } = useWords();
  if (seen.submitting && !seen.finished) {
    const over = sitting.remaining() <= 0;
    return (
      <div className={seen.online ? 'banner' : 'banner lost'} role="alert">
        <p className="lead">{t(over ? 'exam.over' : seen.online ? 'exam.submitting' : 'exam.submitWaits')}</p>
        {!seen.online && <p>{t('exam.submitWaitsMore', { count: seen.pending })}</p>}
        {!seen.online && <Retry sitting={sitting} />}
      </div>
    );
  }
  if (!seen.online) {
    return (
      <div className="banner lost" role="alert">
        <p className="lead">{t('exam.offline')}</p>
        <p>{t('exam.offlineMore', { count: seen.pending })}</p>
        <Retry sitting={sitting} />
      </div>
    );
  }
  if (seen.failure) {
    return (
      <div className="banner lost" role="alert">
        <p className="lead">{t(TITLES[seen.failure.code], { count: 1 })}</p>
        <p>{t('exam.offlineMore', { count: seen.pending })}</p>
        <Retry sitting={sitting} />
      </div>
    );
  }
  return null;
}

function Retry({ sitting }: { sitting: Sitting }) {
  const { t } = useWords();
  return (
    <button type="button" className="button" onClick={sitting.retry}>
      {t('exam.tryNow')}
    </button>
  );
}

const WARNINGS = [5, 1];

/** The time that is left, by the server's clock. Warns at five minutes and at one, then submits. */
function Countdown({ sitting, total }: { sitting: Sitting; total: number }) {
  const { t } = useWords();
  const [left, setLeft] = useState(() => sitting.remaining());
  useEffect(() => {
    const timer = setInterval(() => {
      const now = sitting.remaining();
      setLeft(now);
      if (now <= 0) sitting.submit();
    }, 250);
    return () => clearInterval(timer);
  }, [sitting]);
  const seconds = Math.max(0, Math.ceil(left / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = (parts[0] ? parts : parts.slice(1)).map(part => String(part).padStart(2, '0')).join(':');
  // The last warning that holds; none at the start of a quiz that is shorter than it.
  const warning = WARNINGS.filter(minutes => seconds <= minutes * 60 && total > minutes * 60).at(-1);
  return (
    <>
      <span className={warning ? `clock warn-${warning}` : 'clock'} role="timer" aria-label={t('exam.left', { time: shown })} dir="ltr">
        {shown}
      </span>
      <span className="hidden" role="status" aria-live="assertive">
        {warning && seconds > 0 ? t('exam.warning', { count: warning }) : ''}
      </span>
      {warning && seconds > 0 && (
        <span className={`warning warn-${warning}`} aria-hidden="true">
          {t('exam.warning', { count: warning })}
        </span>
      )}
    </>
  );
}

function Confirm({ seen, total, close, submit }: { seen: Seen; total: number; close: () => void; submit: () => void }) {
  const { t } = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const blank = total - answeredCount(seen);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="confirm-title">
      <h2 id="confirm-title">{t('exam.confirm')}</h2>
      <p>{blank > 0 ? t('exam.blank', { count: blank }) : t('exam.complete')}</p>
      {seen.flagged.size > 0 && <p>{t('exam.flagged', { count: seen.flagged.size })}</p>}
      {seen.pending > 0 && <p>{t('exam.confirmPending', { count: seen.pending })}</p>}
      {seen.refused > 0 && <p className="unsaved">{t('exam.confirmRefused', { count: seen.refused })}</p>}
      <p className="row">
        <button type="button" className="button primary" onClick={submit}>
          {t('exam.submitNow')}
        </button>
        <button type="button" className="button" onClick={() => dialog.current?.close()}>
          {t('exam.goOn')}
        </button>
      </p>
    </dialog>
  );
}
