// The one place that knows how an answer of each kind of question is sent and stored.
import type { AnswerFieldsFragment, AnswerInput, QuestionKind } from '../graph/generated/graphql';

/** What a student has given: choices, or a number as it was typed. */
export type Given = { choiceIds: readonly string[]; number: string | null };

export const NOTHING: Given = { choiceIds: [], number: null };

export function isBlank(given: Given): boolean {
  return given.choiceIds.length === 0 && given.number === null;
}

export function isSame(one: Given, other: Given): boolean {
  // The server has choices in its own order.
  const set = (given: Given) => [...given.choiceIds].sort().join();
  return one.number === other.number && set(one) === set(other);
}

/** Whether an answer may be several choices. Of `ANY_CHOICE` several are right, and one is asked for. */
export function takesSeveral(kind: QuestionKind): boolean {
  return kind === 'ALL_CHOICES';
}

/** Whether the server can read it: text that is no number would spoil the request, and with it the answers beside it. */
export function isSendable({ number }: Given): boolean {
  return number === null || decimal(number) !== null;
}

export function toInput(questionId: string, kind: QuestionKind, given: Given, seq: number): AnswerInput {
  if (kind === 'NUMBER') return { questionId, number: given.number === null ? null : decimal(given.number), seq };
  if (takesSeveral(kind)) return { questionId, choiceIds: [...given.choiceIds], seq };
  return { questionId, choiceId: given.choiceIds[0] ?? null, seq };
}

export function fromAnswer(answer: AnswerFieldsFragment): Given {
  return { choiceIds: answer.choiceIds, number: answer.number === null ? null : (decimal(answer.number) ?? answer.number) };
}

/**
 * The number that was typed, as the API's `Decimal`, always written the same way; `null` if it is none. Urdu's digits and
 * its decimal sign are taken; a comma is not, as it separates thousands for some and decimals for others.
 */
export function decimal(typed: string): string | null {
  const text = typed
    .trim()
    .replace(/[\u0660-\u0669\u06f0-\u06f9]/g, digit => String(digit.charCodeAt(0) & 0xf))
    .replace('\u066b', '.')
    .replace('\u2212', '-');
  const match = /^([+-]?)0*(\d{0,15})(?:\.(\d{0,12}))?$/.exec(text);
  if (!match || !/\d/.test(text)) return null;
  const whole = match[2] || '0';
  const part = match[3]?.replace(/0+$/, '');
  const size = part ? `${whole}.${part}` : whole;
  return match[1] === '-' && size !== '0' ? `-${size}` : size;
}
