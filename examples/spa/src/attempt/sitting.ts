import type { ApolloClient } from '@apollo/client';
import { type Failure, failureOf } from '../graph/failure';
import {
  type AnswerFieldsFragment,
  AttemptClockDocument,
  type AttemptPageQuery,
  type QuestionKind,
  SaveAnswerDocument,
  SaveAnswersDocument,
  type SaveOutcome,
  SubmitAttemptDocument,
} from '../graph/generated/graphql';
import { type Kept, forget, keep, load } from './kept';
import { type Given, NOTHING, fromAnswer, isBlank, isSame, isSendable, toInput } from './wire';

export type OpenAttempt = NonNullable<AttemptPageQuery['attempt']>;

/** An answer that was refused is not sent again before it is changed, or the page is a newer one: it would be refused again. */
export type Entry = { given: Given; seq: number; isSaved: boolean; isRefused: boolean };

/** What a page shows of an attempt in progress. Never changed: a change makes a new one. */
export type Seen = {
  entries: ReadonlyMap<string, Entry>;
  flagged: ReadonlySet<string>;
  at: number;
  all: boolean;
  pending: number;
  refused: number;
  /** Whether the last request reached the server. */
  online: boolean;
  /** Answers are sent again at this time of `performance.now()`; 0 when nothing waits. */
  waitsUntil: number;
  submitting: boolean;
  finished: boolean;
  failure: Failure | null;
};

type Told =
  | { kind: 'saved'; questionId: string; given: Given; seq: number }
  | { kind: 'flagged'; flagged: string[] }
  | { kind: 'finished' };

/** The most answers of one batch, and the pause between two, by which their limit is never reached. */
const BATCH = 200;
const BATCH_PAUSE_MS = 10_500;

/**
 * An attempt in progress: its answers, and their way to the server. A choice is kept at once, in memory and in this tab's
 * storage, and sent behind it; what the server has not acknowledged is pending and sent again until it is. Several that
 * wait go in one batch. Of two tabs the one that saved last wins, and the other is told.
 */
export class Sitting {
  readonly id: string;
  readonly #client: ApolloClient;
  readonly #channel: BroadcastChannel;
  readonly #listeners = new Set<() => void>();
  readonly #kept: Kept;
  readonly #kinds: ReadonlyMap<string, QuestionKind>;
  #seen: Seen;
  #deadline: number;
  /** The server's clock minus `performance.now()`, which no change of this device's clock moves. */
  #offset: number;
  #busy = false;
  /** Until then single saves are refused, and answers go in batches: times of `performance.now()`. */
  #batchUntil = 0;
  #nextBatchAt = 0;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(client: ApolloClient, attempt: OpenAttempt) {
    this.id = attempt.id;
    this.#client = client;
    this.#deadline = Date.parse(attempt.deadlineAt);
    this.#offset = Date.parse(attempt.serverTime) - performance.now();
    this.#kept = load(attempt.id);
    this.#kinds = new Map(attempt.questions.map(question => [question.id, question.kind]));
    const entries = new Map<string, Entry>();
    for (const answer of attempt.answers) {
      entries.set(answer.questionId, { given: fromAnswer(answer), seq: answer.seq, isSaved: true, isRefused: false });
    }
    for (const question of attempt.questions) {
      const pending = this.#kept.pending[question.id];
      const stored = entries.get(question.id);
      if (!pending || (stored && stored.seq >= pending.seq)) continue;
      entries.set(question.id, { ...pending, isSaved: false, isRefused: !isSendable(pending.given) });
    }
    this.#seen = {
      entries,
      flagged: new Set(this.#kept.flagged),
      at: Math.min(this.#kept.at, attempt.questions.length - 1),
      all: this.#kept.all,
      pending: 0,
      refused: 0,
      online: true,
      waitsUntil: 0,
      submitting: this.#kept.submitting,
      finished: false,
      failure: null,
    };
    this.#channel = new BroadcastChannel(`marmalade-${attempt.id}`);
    this.#channel.onmessage = event => this.#hear(event.data as Told);
    addEventListener('online', this.#pump);
    addEventListener('offline', this.#lost);
    document.addEventListener('visibilitychange', this.#shown);
    this.#change({});
    void this.#pump();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#channel.close();
    removeEventListener('online', this.#pump);
    removeEventListener('offline', this.#lost);
    document.removeEventListener('visibilitychange', this.#shown);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  seen = (): Seen => this.#seen;

  /** The milliseconds until the deadline, by the server's clock. */
  remaining(): number {
    return this.#deadline - (performance.now() + this.#offset);
  }

  answer(questionId: string, given: Given): void {
    const before = this.#seen.entries.get(questionId);
    if (this.#seen.finished || this.#seen.submitting || isSame(before?.given ?? NOTHING, given)) return;
    this.#set(questionId, { given, seq: (before?.seq ?? 0) + 1, isSaved: false, isRefused: !isSendable(given) });
    void this.#pump();
  }

  flag(questionId: string): void {
    const flagged = new Set(this.#seen.flagged);
    if (!flagged.delete(questionId)) flagged.add(questionId);
    this.#change({ flagged });
    this.#tell({ kind: 'flagged', flagged: [...flagged] });
  }

  go(at: number): void {
    this.#change({ at });
  }

  showAll(all: boolean): void {
    this.#change({ all });
  }

  /** Submits once everything that was answered is saved, however long the connection is away. */
  submit(): void {
    if (this.#seen.submitting || this.#seen.finished) return;
    this.#change({ submitting: true });
    void this.#pump();
  }

  retry = (): void => void this.#pump();

  #set(questionId: string, entry: Entry): void {
    this.#change({ entries: new Map(this.#seen.entries).set(questionId, entry) });
  }

  #change(change: Partial<Seen>): void {
    const seen = { ...this.#seen, ...change };
    const unsaved = [...seen.entries].filter(([, entry]) => !entry.isSaved);
    const refused = unsaved.filter(([, entry]) => entry.isRefused).length;
    this.#seen = { ...seen, pending: unsaved.length - refused, refused };
    this.#kept.pending = Object.fromEntries(unsaved.map(([id, { given, seq }]) => [id, { given, seq }]));
    this.#kept.flagged = [...seen.flagged];
    this.#kept.at = seen.at;
    this.#kept.all = seen.all;
    this.#kept.submitting = seen.submitting;
    if (seen.finished) forget(this.id);
    else if (!this.#isClosed) keep(this.id, this.#kept);
    for (const listener of this.#listeners) listener();
  }

  #lost = (): void => this.#change({ online: false });

  #shown = (): void => {
    if (document.visibilityState === 'visible') void this.#setClock();
  };

  /** Some devices stop `performance.now()` while they sleep. */
  async #setClock(): Promise<void> {
    try {
      const { data } = await this.#client.query({
        query: AttemptClockDocument,
        variables: { id: this.id },
        fetchPolicy: 'network-only',
      });
      if (!data?.attempt || this.#isClosed) return;
      this.#offset = Date.parse(data.attempt.serverTime) - performance.now();
      this.#deadline = Date.parse(data.attempt.deadlineAt);
      if (data.attempt.state === 'SUBMITTED') this.#finish();
      else void this.#pump();
    } catch {
      // The clock goes on as it was.
    }
  }

  #pump = async (): Promise<void> => {
    if (this.#busy || this.#isClosed || this.#seen.finished) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    this.#change({ waitsUntil: 0 });
    try {
      while (this.#seen.pending > 0 && !this.#seen.finished && !this.#isClosed) {
        if (this.#isBatching() && performance.now() < this.#nextBatchAt && !this.#seen.submitting) {
          this.#change({ online: true, failure: null });
          return this.#again(this.#nextBatchAt - performance.now());
        }
        await this.#send();
      }
      if (this.#seen.submitting && !this.#seen.finished) await this.#submitNow();
      this.#failures = 0;
      this.#change({ online: true, failure: null });
    } catch (error) {
      this.#wait(failureOf(error));
    } finally {
      this.#busy = false;
    }
    // What was answered in the meantime.
    if (this.#seen.pending > 0 && this.#seen.waitsUntil === 0 && !this.#seen.failure) void this.#pump();
  };

  /** Plans the next try. A burst of single saves goes on as one batch, which has a budget of its own. */
  #wait(failure: Failure): void {
    if (this.#isClosed) return;
    this.#failures += 1;
    let seconds = Math.min(2 ** (this.#failures - 1), 5);
    if (failure.code === 'RATE_LIMITED') {
      const mayBatch = !this.#isBatching() && this.#seen.pending > 0;
      seconds = mayBatch ? 0 : (failure.retryAfter ?? 5);
      this.#batchUntil = performance.now() + Math.max(failure.retryAfter ?? 5, 30) * 1000;
    }
    if (failure.code === 'NOT_FOUND') return this.#change({ failure });
    const online = failure.code !== 'OFFLINE';
    const isTold = online && failure.code !== 'RATE_LIMITED';
    this.#change({ online, failure: isTold ? failure : null });
    this.#again(seconds * 1000);
  }

  #again(milliseconds: number): void {
    this.#change({ waitsUntil: performance.now() + milliseconds + 1 });
    this.#timer = setTimeout(this.#pump, milliseconds);
  }

  #isBatching(): boolean {
    return performance.now() < this.#batchUntil;
  }

  async #send(): Promise<void> {
    const waiting = [...this.#seen.entries].filter(([, entry]) => !entry.isSaved && !entry.isRefused).slice(0, BATCH);
    const answers = waiting.map(([questionId, { given, seq }]) =>
      toInput(questionId, this.#kinds.get(questionId) ?? 'SINGLE_CHOICE', given, seq),
    );
    const [first] = answers;
    if (!first) return;
    if (answers.length === 1 && !this.#isBatching()) {
      const { data } = await this.#client.mutate({
        mutation: SaveAnswerDocument,
        variables: { input: { attemptId: this.id, ...first } },
        fetchPolicy: 'no-cache',
      });
      const payload = data?.saveAnswer;
      if (payload?.errors[0]?.code === 'BAD_USER_INPUT') return this.#refuse(first.questionId, first.seq);
      if (payload?.errors.length) return this.#refused(payload.errors[0]?.code);
      if (payload?.outcome) this.#learn(first.questionId, first.seq, payload.outcome, payload.answer);
      return;
    }
    if (this.#isBatching()) this.#nextBatchAt = performance.now() + BATCH_PAUSE_MS;
    const { data } = await this.#client.mutate({
      mutation: SaveAnswersDocument,
      variables: { input: { attemptId: this.id, answers } },
      fetchPolicy: 'no-cache',
    });
    const payload = data?.saveAnswers;
    // Errors beside results are those of the answers that were refused.
    if (payload?.errors.length && payload.results.length === 0) return this.#refused(payload.errors[0]?.code);
    payload?.results.forEach((result, i) => {
      const sent = answers[i];
      if (sent) this.#learn(sent.questionId, sent.seq, result.outcome, result.answer);
    });
  }

  #refused(code: string | undefined): void {
    if (code === 'ATTEMPT_EXPIRED' || code === 'ATTEMPT_ALREADY_SUBMITTED') return this.#finish();
    throw new Error(`A save was refused: ${code}`);
  }

  #refuse(questionId: string, sentSeq: number): void {
    const present = this.#seen.entries.get(questionId);
    if (present?.seq === sentSeq) this.#set(questionId, { ...present, isRefused: true });
  }

  #learn(questionId: string, sentSeq: number, outcome: SaveOutcome, answer: AnswerFieldsFragment | null): void {
    const present = this.#seen.entries.get(questionId);
    if (!present) return;
    const isNewer = present.seq > sentSeq;
    if (outcome === 'REFUSED') return this.#refuse(questionId, sentSeq);
    if (!answer) {
      // The question or the choice is not there: the page is older than the attempt, and nothing can be saved for it.
      if (outcome === 'NOT_FOUND') this.#set(questionId, { given: NOTHING, seq: present.seq, isSaved: true, isRefused: false });
      return;
    }
    const stored = { given: fromAnswer(answer), seq: answer.seq, isSaved: true, isRefused: false };
    // An answer that was changed while the save was under way is sent after it.
    if (isNewer) this.#set(questionId, { ...present, seq: Math.max(present.seq, answer.seq + 1) });
    else this.#set(questionId, stored);
    this.#tell({ kind: 'saved', questionId, given: stored.given, seq: stored.seq });
  }

  async #submitNow(): Promise<void> {
    const { data } = await this.#client.mutate({
      mutation: SubmitAttemptDocument,
      variables: { input: { attemptId: this.id, idempotencyKey: this.#kept.idempotencyKey } },
    });
    const payload = data?.submitAttempt;
    const refusal = payload?.errors[0]?.code;
    if (payload && (!refusal || refusal === 'ATTEMPT_ALREADY_SUBMITTED' || refusal === 'ATTEMPT_EXPIRED')) {
      return this.#finish();
    }
    throw new Error(`The submit was refused: ${refusal}`);
  }

  #finish(): void {
    this.#change({ finished: true, online: true, failure: null });
    this.#tell({ kind: 'finished' });
  }

  #tell(told: Told): void {
    if (!this.#isClosed) this.#channel.postMessage(told);
  }

  #hear(told: Told): void {
    switch (told.kind) {
      case 'saved': {
        const present = this.#seen.entries.get(told.questionId);
        if (present && present.seq > told.seq) return;
        this.#set(told.questionId, { given: told.given, seq: told.seq, isSaved: true, isRefused: false });
        break;
      }
      case 'flagged':
        this.#change({ flagged: new Set(told.flagged) });
        break;
      case 'finished':
        this.#change({ finished: true });
    }
  }
}

export function answeredCount(seen: Seen): number {
  return [...seen.entries.values()].filter(entry => !entry.isRefused && !isBlank(entry.given)).length;
}
