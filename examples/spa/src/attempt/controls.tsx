// The control of each kind of question. All of them speak of what is given, and none knows how it is saved.
import { useEffect, useState } from 'react';
import type { QuestionFieldsFragment } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Markdown } from '../parts/markdown';
import { type Given, type Kind, kindOf } from './wire';

export const LETTERS = 'ABCDEFGHIJ';

type Props = {
  question: QuestionFieldsFragment;
  given: Given;
  locked: boolean;
  give: (given: Given) => void;
};

type Control = (props: Props) => React.ReactNode;

const CONTROLS: Record<Kind, Control> = {
  SINGLE_CHOICE: Choices,
  TRUE_FALSE: Choices,
  ALL_CHOICES: Choices,
  ANY_CHOICE: Choices,
  NUMBER: NumberInput,
};

function isSeveral(kind: Kind): boolean {
  return kind === 'ALL_CHOICES' || kind === 'ANY_CHOICE';
}

/** What is given after the choice was pressed: once more takes it back. */
export function toggled(question: QuestionFieldsFragment, given: Given, choiceId: string): Given {
  const has = given.choiceIds.includes(choiceId);
  if (!isSeveral(kindOf(question))) return { choiceIds: has ? [] : [choiceId], number: null };
  const chosen = question.choices.map(choice => choice.id).filter(id => (id === choiceId ? !has : given.choiceIds.includes(id)));
  return { choiceIds: chosen, number: null };
}

export function AnswerControl(props: Props) {
  const Control = CONTROLS[kindOf(props.question)] ?? Choices;
  return <Control {...props} />;
}

function Choices({ question, given, locked, give }: Props) {
  const { t } = useWords();
  const several = isSeveral(kindOf(question));
  return (
    <fieldset className="choices" disabled={locked}>
      <legend className={several ? 'small muted' : 'hidden'}>{t(several ? 'exam.chooseSeveral' : 'exam.choose')}</legend>
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

function NumberInput({ question, given, locked, give }: Props) {
  const { t } = useWords();
  const [typed, type] = useState(given.number ?? '');
  useEffect(() => type(given.number ?? ''), [given.number]);
  const take = (text: string) => give({ choiceIds: [], number: text.trim() === '' ? null : text.trim().replace(',', '.') });
  return (
    <div className="field">
      <label htmlFor={question.id}>{t('exam.number')}</label>
      <input
        id={question.id}
        dir="ltr"
        inputMode="decimal"
        autoComplete="off"
        disabled={locked}
        value={typed}
        onChange={event => type(event.target.value)}
        onBlur={() => take(typed)}
        onKeyDown={event => event.key === 'Enter' && take(typed)}
      />
    </div>
  );
}
