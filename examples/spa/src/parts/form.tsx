// Forms: fields with their errors beside them, and what is wrong with none of them above.
import { type ComponentProps, type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { type Failure, failureOf } from '../graph/failure';
import type { ErrorFieldsFragment } from '../graph/generated/graphql';
import { useWords } from '../language';
import { TITLES } from './states';

type Outcome = { errors: ErrorFieldsFragment[] } | null | undefined;

export type Sent = {
  errors: ErrorFieldsFragment[];
  failure: Failure | null;
  busy: boolean;
  send: (event: FormEvent) => void;
};

/** Sends a form once at a time. `act` returns the payload; `done` runs if it has no errors. */
export function useForm<Payload extends Outcome>(act: () => Promise<Payload>, done: (payload: Payload) => unknown): Sent {
  const [errors, setErrors] = useState<ErrorFieldsFragment[]>([]);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [busy, setBusy] = useState(false);
  return {
    errors,
    failure,
    busy,
    send: event => {
      event.preventDefault();
      if (busy) return;
      setBusy(true);
      setErrors([]);
      setFailure(null);
      act()
        .then(async payload => {
          if (!payload) return setFailure({ code: 'INTERNAL' });
          setErrors(payload.errors);
          if (payload.errors.length === 0) await done(payload);
        })
        .catch((error: unknown) => setFailure(failureOf(error)))
        .finally(() => setBusy(false));
    },
  };
}

type FieldProps = Omit<ComponentProps<'input'>, 'id' | 'name' | 'form' | 'onChange' | 'value'> & {
  label: string;
  name: string;
  value: string;
  set: (value: string) => void;
  hint?: string;
  form: Sent;
};

export function Field({ label, name, value, set, hint, form, ...rest }: FieldProps) {
  const id = useId();
  const { t } = useWords();
  const [isShown, show] = useState(false);
  const isSecret = rest.type === 'password';
  const error = form.errors.find(error => error.path.at(-1) === name);
  const input = (
    <input
      {...rest}
      id={id}
      name={name}
      value={value}
      type={isSecret && isShown ? 'text' : rest.type}
      dir={rest.type === 'email' ? 'ltr' : 'auto'}
      aria-invalid={error ? true : undefined}
      aria-describedby={error || hint ? `${id}-more` : undefined}
      onChange={event => set(event.target.value)}
    />
  );
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {isSecret ? (
        <span className="secret">
          {input}
          <button type="button" aria-pressed={isShown} onClick={() => show(!isShown)}>
            {t(isShown ? 'form.hide' : 'form.show')}
          </button>
        </span>
      ) : (
        input
      )}
      {(error || hint) && (
        <p id={`${id}-more`} className={error ? 'error' : 'hint'} dir="auto">
          {error?.message ?? hint}
        </p>
      )}
    </div>
  );
}

export function Form({
  form,
  names,
  submit,
  danger,
  children,
}: {
  form: Sent;
  /** The names of the fields: errors at others are shown above. */
  names: string[];
  submit: string;
  danger?: boolean;
  children: ReactNode;
}) {
  const { t } = useWords();
  const summary = useRef<HTMLDivElement>(null);
  const others = form.errors.filter(error => !names.includes(error.path.at(-1) ?? ''));
  const isTold = others.length > 0 || form.failure !== null;
  useEffect(() => {
    if (isTold) summary.current?.focus();
  }, [isTold]);
  return (
    <form onSubmit={form.send} noValidate>
      {isTold && (
        <div ref={summary} className="notice failed" role="alert" tabIndex={-1}>
          {others.map(error => (
            <p key={error.message} dir="auto">
              {error.message}
            </p>
          ))}
          {form.failure && <p>{t(TITLES[form.failure.code], { count: Math.ceil(form.failure.retryAfter ?? 1) })}</p>}
        </div>
      )}
      {children}
      <button type="submit" className={danger ? 'button danger' : 'button primary'} aria-disabled={form.busy}>
        {form.busy ? t('form.busy') : submit}
      </button>
    </form>
  );
}
