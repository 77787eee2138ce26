// What a page writes over the types of graphql-codegen's client preset: compiled by `tsc --strict`, never run.
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { useFragment } from '../generated/codegen';
import {
  BoardWindow,
  CatalogueQueryDocument,
  Catalogue_QuizFragmentDoc,
  DashboardQueryDocument,
  ImportBankMutationDocument,
  ItemQueryDocument,
  SaveAnswerMutationDocument,
  SaveOutcome,
  SignInMutationDocument,
  StaffQueryDocument,
  StartAttemptMutationDocument,
  WatchBoardSubscriptionDocument,
} from '../generated/codegen/graphql';

declare function ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data>;

export async function signIn(email: string, password: string): Promise<string | null> {
  const { signIn } = await ask(SignInMutationDocument, { input: { email, password, client: 'NATIVE' } });
  const until: string | undefined = signIn?.tokens?.accessTokenExpiresAt;
  return until === undefined ? null : `${signIn?.viewer?.handle.toUpperCase()} until ${new Date(until).toISOString()}`;
}

export async function catalogue(): Promise<string[]> {
  const { quizzes } = await ask(CatalogueQueryDocument, { first: 10, filter: { text: 'cells' } });
  return quizzes.edges.map(({ node }) => {
    const quiz = useFragment(Catalogue_QuizFragmentDoc, node);
    const opens: string | null | undefined = quiz.opensAt;
    return `${quiz.title.trim()} ${quiz.subject.name} ${opens ?? 'now'} ${quiz.questionCount.toFixed()}`;
  });
}

export async function attempt(quizId: string): Promise<number> {
  const { startAttempt } = await ask(StartAttemptMutationDocument, { input: { quizId } });
  const attempt = startAttempt?.attempt;
  if (!attempt) throw new Error(startAttempt?.errors.map(({ code, message }) => `${code} ${message}`).join());
  const question = attempt.questions[0];
  const choice = question?.choices[0];
  if (!question || !choice) return 0;
  const text: string = question.text;
  const { saveAnswer } = await ask(SaveAnswerMutationDocument, {
    input: { attemptId: attempt.id, questionId: question.id, choiceId: choice.id, seq: text.length },
  });
  const saved: SaveOutcome | null | undefined = saveAnswer?.outcome;
  return saved === 'SAVED' ? (saveAnswer?.answer?.seq ?? 0) : Date.parse(attempt.deadlineAt) - Date.parse(attempt.serverTime);
}

export async function item(id: string): Promise<string | undefined> {
  const { node } = await ask(ItemQueryDocument, { id });
  switch (node?.__typename) {
    case 'Quiz':
      return `${node.title}: ${node.marking.right * 2}, ${node.board?.viewerStanding?.rank ?? 'no rank'}`;
    case 'Attempt':
      return node.deadlineAt;
    case 'User':
      return node.handle;
    default:
      return node?.__typename;
  }
}

export async function days(): Promise<string[]> {
  const { dashboard } = await ask(DashboardQueryDocument, { days: 7 });
  return dashboard?.days.map(({ day }) => day.slice(0, 7)) ?? [];
}

export const staff = () => ask(StaffQueryDocument, { first: 5, state: 'DEAD', audit: { from: new Date().toISOString() } });
export const week = () => ask(WatchBoardSubscriptionDocument, { board: { everything: 'WEEK' satisfies BoardWindow } });
export const bank = (content: string) =>
  ask(ImportBankMutationDocument, { input: { content, fileName: 'bank.csv', quizTitle: 'Cells', subject: 'Biology' } });

// @ts-expect-error: a time is no number
export const wrong = () => ask(StaffQueryDocument, { first: 5, audit: { from: 7 } });
// @ts-expect-error: there is no such window
export const never = () => ask(WatchBoardSubscriptionDocument, { board: { everything: 'YEAR' } });
