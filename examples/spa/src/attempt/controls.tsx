// The control of each kind of question. All of them speak of what is given, and none knows how it is saved.
import { useEffect, useRef, useState } from 'react';
import type { QuestionFieldsFragment, QuestionKind } from '../graph/generated/graphql';
import { type Key, useWords } from '../language';
import { Markdown } from '../parts/markdown';
import { type Given, NOTHING, decimal, isSendable, takesSeveral } from './wire';

export const LETTERS = 'ABCDEFGHIJ';

type Props = {
  question: QuestionFieldsFragment;
  given: Given;
  locked: boolean;
  /** The id of the text that says what is wrong with the answer. */
  problem: string | undefined;
  give: (given: Given) => void;
};

type Control = (props: Props) => React.ReactNode;

const CONTROLS: Record<QuestionKind, Control> = {
  SINGLE_CHOICE: Choices,
  TRUE_FALSE: Choices,
  ALL_CHOICES: Choices,
  ANY_CHOICE: Choices,
  NUMBER: NumberInput,
};

/** What must be known of a kind that looks like another; the rest is for those who can't see the buttons. */
const LEGENDS: Partial<Record<QuestionKind, Key>> = { ALL_CHOICES: 'exam.chooseSeveral', ANY_CHOICE: 'exam.chooseAny' };

/** What is given after the choice was pressed: once more takes it back. */
export function toggled(question: QuestionFieldsFragment, given: Given, choiceId: string): Given {
  const has = given.choiceIds.includes(choiceId);
  if (!takesSeveral(question.kind)) return { choiceIds: has ? [] : [choiceId], number: null };
  const chosen = question.choices.map(choice => choice.id).filter(id => (id === choiceId ? !has : given.choiceIds.includes(id)));
  return { choiceIds: chosen, number: null };
}

export function AnswerControl(props: Props) {
  const Control = CONTROLS[props.question.kind];
  return <Control {...props} />;
}

function Choices({ question, given, locked, problem, give }: Props) {
  const { t } = useWords();
  const several = takesSeveral(question.kind);
  const legend = LEGENDS[question.kind];
  return (
    <fieldset className="choices" disabled={locked} aria-describedby={problem}>
      <legend className={legend ? 'small muted' : 'hidden'}>{t(legend ?? 'exam.choose')}</legend>
      {question.choices.map((choice, i) => {
        const chosen = given.choiceIds.includes(choice.id);
        return (
          <label key={choice.id} className={chosen ? 'choice chosen' : 'choice'}>
            <input
              type={several ? 'checkbox' : 'radio'}
              name={question.id}
              checked={chosen}
              onChange={() => give(several ? toggled(question, given, choice.id) : { choiceIds: [choice.id], number: null })}
              onClick={() => {
                if (!several && chosen) give({ choiceIds: [], number: null });
              }}
            />
            <b aria-hidden="true">{LETTERS[i]}</b>
            <Markdown inline text={choice.text} />
          </label>
        );
      })}
    </fieldset>
  );
}

/** A pause in typing that long is the end of a number, or of what should be one. */
const PAUSE_MS = 700;

function NumberInput({ question, given, locked, problem, give }: Props) {
  const { t } = useWords();
  const [typed, type] = useState(given.number ?? '');
  // What was typed and not given yet. It is given after a pause, and before the page or the question goes.
  const waits = useRef<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const take = useRef(() => {});
  take.current = () => {
    clearTimeout(timer.current);
    const text = waits.current;
    waits.current = null;
    if (text !== null) give(text.trim() === '' ? NOTHING : { choiceIds: [], number: decimal(text) ?? text });
  };
  useEffect(() => {
    const leave = () => take.current();
    addEventListener('pagehide', leave);
    return () => {
      removeEventListener('pagehide', leave);
      leave();
    };
  }, []);
  // Another tab's answer is shown. The same number stays as it is written, or "2.0" would turn to "2" before its next digit.
  useEffect(() => {
    if (waits.current === null) type(text => ((decimal(text) ?? text) === (given.number ?? '') ? text : (given.number ?? '')));
  }, [given.number]);
  return (
    <div className="field number">
      <label htmlFor={question.id}>{t('exam.number')}</label>
      {/* No keyboard of digits is asked for: that of some phones has no minus. */}
      <input
        id={question.id}
        dir="ltr"
        autoComplete="off"
        maxLength={40}
        disabled={locked}
        aria-invalid={!isSendable(given) || undefined}
        aria-describedby={problem ?? `${question.id}-hint`}
        value={typed}
        onChange={event => {
          const text = event.target.value;
          type(text);
          waits.current = text;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => take.current(), PAUSE_MS);
        }}
        onBlur={() => take.current()}
        onKeyDown={event => event.key === 'Enter' && take.current()}
      />
      <span className="hint" id={`${question.id}-hint`}>
        {t('exam.numberHint')}
      </span>
    </div>
  );
}
