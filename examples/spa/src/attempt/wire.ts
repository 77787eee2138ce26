// The one place that knows how an answer of each kind of question is sent and stored.
import type { AnswerFieldsFragment, AnswerInput } from '../graph/generated/graphql';

/** The kind of a question. The server that names none has questions with one right choice only. */
export type Kind = 'SINGLE_CHOICE' | 'ALL_CHOICES' | 'ANY_CHOICE' | 'TRUE_FALSE' | 'NUMBER';

/** What a student has given: choices, in the order of the question, or a number as it was typed. */
export type Given = { choiceIds: readonly string[]; number: string | null };

export const NOTHING: Given = { choiceIds: [], number: null };

export function isBlank(given: Given): boolean {
  return given.choiceIds.length === 0 && given.number === null;
}

export function isSame(one: Given, other: Given): boolean {
  return one.number === other.number && one.choiceIds.join() === other.choiceIds.join();
}

export function kindOf(question: object): Kind {
  return 'kind' in question ? (question.kind as Kind) : 'SINGLE_CHOICE';
}

export function toInput(questionId: string, given: Given, seq: number): AnswerInput {
  return { questionId, choiceId: given.choiceIds[0] ?? null, seq };
}

export function fromAnswer(answer: AnswerFieldsFragment): Given {
  return { choiceIds: answer.choiceId ? [answer.choiceId] : [], number: null };
}
