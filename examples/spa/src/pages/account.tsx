import { useApolloClient, useMutation, useQuery } from '@apollo/client/react';
import { useState } from 'react';
import {
  AccountExportDocument,
  ChangePasswordDocument,
  DeleteAccountDocument,
  RequestEmailChangeDocument,
  RequestEmailConfirmationDocument,
  RevokeOtherSessionsDocument,
  RevokeSessionDocument,
  SessionsDocument,
  UpdateAccountDocument,
  type ViewerFieldsFragment,
} from '../graph/generated/graphql';
import { useWords } from '../language';
import { Field, Form, useForm } from '../parts/form';
import { Page } from '../parts/shell';
import { Failed, Private, Query } from '../parts/states';
import { useSession, useSignOut } from '../parts/viewer';

export default function Account() {
  const { viewer } = useSession();
  return <Private>{viewer && <Shown viewer={viewer} />}</Private>;
}

function Shown({ viewer }: { viewer: ViewerFieldsFragment }) {
  const { t } = useWords();
  const signOut = useSignOut();
  return (
    <Page title={t('account.title')}>
      <div className="row between">
        <h1>{t('account.title')}</h1>
        <button type="button" className="button" onClick={() => void signOut()}>
          {t('account.signOut')}
        </button>
      </div>
      <Profile viewer={viewer} />
      <Email viewer={viewer} />
      <Password />
      <Sessions />
      <Export />
      <Delete />
    </Page>
  );
}

function Done({ text }: { text: string | null }) {
  return (
    <p role="status" className={text ? 'notice good' : 'hidden'}>
      {text}
    </p>
  );
}

function Profile({ viewer }: { viewer: ViewerFieldsFragment }) {
  const { t } = useWords();
  const [handle, setHandle] = useState(viewer.handle);
  const [hidden, setHidden] = useState(viewer.hiddenFromBoards ?? false);
  const [done, setDone] = useState<string | null>(null);
  const [update] = useMutation(UpdateAccountDocument);
  const form = useForm(
    async () => (await update({ variables: { input: { handle, hiddenFromBoards: hidden } } })).data?.updateAccount,
    () => setDone(t('account.saved')),
  );
  return (
    <section className="card">
      <h2>{t('account.profile')}</h2>
      <Form form={form} names={['handle']} submit={t('account.save')}>
        <Field form={form} name="handle" autoComplete="nickname" label={t('form.handle')} hint={t('form.handleHint')} value={handle} set={setHandle} />
        <label className="switch">
          <input type="checkbox" checked={hidden} onChange={event => setHidden(event.target.checked)} />
          {t('account.hidden')}
        </label>
      </Form>
      <Done text={done} />
    </section>
  );
}

function Email({ viewer }: { viewer: ViewerFieldsFragment }) {
  const { t } = useWords();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [done, setDone] = useState<string | null>(null);
  const [change] = useMutation(RequestEmailChangeDocument);
  const [confirm] = useMutation(RequestEmailConfirmationDocument);
  const form = useForm(
    async () => (await change({ variables: { input: { email, password } } })).data?.requestEmailChange,
    () => {
      setDone(t('account.emailSent', { email }));
      setPassword('');
    },
  );
  const confirmation = useForm(
    async () => (await confirm()).data?.requestEmailConfirmation,
    () => setDone(t('account.emailSent', { email: viewer.email ?? '' })),
  );
  return (
    <section className="card">
      <h2>{t('form.email')}</h2>
      <p>
        <bdi>{viewer.email}</bdi>{' '}
        <span className={viewer.emailConfirmedAt ? 'chip good' : 'chip'}>
          {t(viewer.emailConfirmedAt ? 'account.confirmed' : 'account.unconfirmed')}
        </span>
      </p>
      {!viewer.emailConfirmedAt && (
        <Form form={confirmation} names={[]} submit={t('account.confirmEmail')}>
          {null}
        </Form>
      )}
      <details>
        <summary>{t('account.changeEmail')}</summary>
        <Form form={form} names={['email', 'password']} submit={t('account.sendLink')}>
          <Field form={form} name="email" type="email" autoComplete="email" label={t('account.newEmail')} value={email} set={setEmail} />
          <Field form={form} name="password" type="password" autoComplete="current-password" label={t('form.password')} value={password} set={setPassword} />
        </Form>
      </details>
      <Done text={done} />
    </section>
  );
}

function Password() {
  const { t } = useWords();
  const [password, setPassword] = useState('');
  const [newPassword, setNew] = useState('');
  const [done, setDone] = useState<string | null>(null);
  const [change] = useMutation(ChangePasswordDocument, { refetchQueries: [SessionsDocument] });
  const form = useForm(
    async () => (await change({ variables: { input: { password, newPassword } } })).data?.changePassword,
    payload => {
      setDone(t('account.passwordChanged', { count: payload?.revokedCount ?? 0 }));
      setPassword('');
      setNew('');
    },
  );
  return (
    <section className="card">
      <h2>{t('form.password')}</h2>
      <details>
        <summary>{t('account.changePassword')}</summary>
        <Form form={form} names={['password', 'newPassword']} submit={t('account.save')}>
          <Field form={form} name="password" type="password" autoComplete="current-password" label={t('account.currentPassword')} value={password} set={setPassword} />
          <Field form={form} name="newPassword" type="password" autoComplete="new-password" label={t('form.newPassword')} hint={t('form.passwordHint')} value={newPassword} set={setNew} />
        </Form>
      </details>
      <Done text={done} />
    </section>
  );
}

function Sessions() {
  const { t, date } = useWords();
  const query = useQuery(SessionsDocument, { fetchPolicy: 'cache-and-network' });
  const [revoke] = useMutation(RevokeSessionDocument, { refetchQueries: [SessionsDocument], awaitRefetchQueries: true });
  const [revokeOthers] = useMutation(RevokeOtherSessionsDocument, { refetchQueries: [SessionsDocument], awaitRefetchQueries: true });
  const [failed, setFailed] = useState<unknown>(null);
  const act = (work: Promise<unknown>) => {
    setFailed(null);
    work.catch(setFailed);
  };
  return (
    <section className="card">
      <h2>{t('sessions.title')}</h2>
      <p className="muted">{t('sessions.text')}</p>
      {failed !== null && <Failed error={failed} />}
      <Query query={query}>
        {data => {
          const sessions = data.viewer?.sessions?.nodes ?? [];
          return (
            <>
              <ul className="rows">
                {sessions.map(session => (
                  <li key={session.id}>
                    <span>
                      <b dir="auto">{deviceOf(session.userAgent) ?? t('sessions.unknown')}</b>{' '}
                      {session.current && <span className="chip accent">{t('sessions.current')}</span>}
                      <br />
                      <span className="small muted">
                        {t('sessions.used', { when: date(session.usedAt) })} · <bdi>{session.address}</bdi>
                      </span>
                    </span>
                    {!session.current && (
                      <button type="button" className="button small end" onClick={() => act(revoke({ variables: { input: { sessionId: session.id } } }))}>
                        {t('sessions.end')}
                      </button>
                    )}
                  </li>
                ))}
              </ul>
              {sessions.length > 1 ? (
                <button type="button" className="button" onClick={() => act(revokeOthers())}>
                  {t('sessions.endOthers')}
                </button>
              ) : (
                <p className="small">{t('sessions.only')}</p>
              )}
            </>
          );
        }}
      </Query>
    </section>
  );
}

/** A short name of a browser and its system, from what the browser says of itself. */
function deviceOf(agent: string | null): string | null {
  if (!agent) return null;
  const browser = /Edg|OPR|SamsungBrowser|Firefox|HeadlessChrome|Chrome|Safari/.exec(agent)?.[0];
  const system = /Android|iPhone|iPad|Windows|Mac OS X|CrOS|Linux/.exec(agent)?.[0];
  return [browser?.replace('Edg', 'Edge').replace('OPR', 'Opera').replace('HeadlessChrome', 'Chrome'), system].filter(Boolean).join(' · ') || agent.slice(0, 60);
}

function Export() {
  const { t } = useWords();
  const client = useApolloClient();
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const download = async () => {
    if (busy) return;
    setBusy(true);
    setFailed(null);
    try {
      const { data } = await client.query({ query: AccountExportDocument, fetchPolicy: 'no-cache' });
      const file = new Blob([JSON.stringify(data?.accountExport, null, 2)], { type: 'application/json' });
      const url = URL.createObjectURL(file);
      const link = Object.assign(document.createElement('a'), { href: url, download: 'marmalade-account.json' });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      setFailed(error);
    }
    setBusy(false);
  };
  return (
    <section className="card">
      <h2>{t('export.title')}</h2>
      <p className="muted">{t('export.text')}</p>
      {failed !== null && <Failed error={failed} />}
      <button type="button" className="button" aria-disabled={busy} onClick={() => void download()}>
        {t(busy ? 'form.busy' : 'export.button')}
      </button>
    </section>
  );
}

function Delete() {
  const { t } = useWords();
  const { leave } = useSession();
  const [password, setPassword] = useState('');
  const [remove] = useMutation(DeleteAccountDocument);
  const form = useForm(
    async () => (await remove({ variables: { input: { password } } })).data?.deleteAccount,
    () => leave(),
  );
  return (
    <section className="card danger">
      <h2>{t('delete.title')}</h2>
      <p>{t('delete.text')}</p>
      <details>
        <summary>{t('delete.open')}</summary>
        <Form form={form} names={['password']} submit={t('delete.button')} danger>
          <Field form={form} name="password" type="password" autoComplete="current-password" label={t('form.password')} value={password} set={setPassword} />
        </Form>
      </details>
    </section>
  );
}
