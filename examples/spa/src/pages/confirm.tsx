import { useApolloClient, useMutation } from '@apollo/client/react';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { ConfirmEmailChangeDocument, ConfirmRegistrationDocument, ViewerDocument } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Field, Form, useForm } from '../parts/form';
import { Page } from '../parts/shell';
import { useToken } from '../parts/token';
import { useSession } from '../parts/viewer';
import { paths } from '../routes';

/** Where the links of emails lead. A button redeems the link, as programs that read mail open links, too. */
export default function Confirm({ what }: { what: 'email' | 'registration' }) {
  const { t } = useWords();
  const token = useToken();
  const title = t(what === 'email' ? 'confirm.email' : 'confirm.registration');
  return (
    <Page title={title}>
      <div className="card narrow">
        <h1>{title}</h1>
        {!token && (
          <div className="notice failed" role="alert">
            <p className="lead">{t('confirm.noToken')}</p>
            <p>{t('confirm.noTokenMore')}</p>
          </div>
        )}
        {token && (what === 'email' ? <Email token={token} /> : <Registration token={token} />)}
      </div>
    </Page>
  );
}

function Email({ token }: { token: string }) {
  const { t } = useWords();
  const client = useApolloClient();
  const { viewer } = useSession();
  const [isDone, setDone] = useState(false);
  const [confirm] = useMutation(ConfirmEmailChangeDocument);
  const form = useForm(
    async () => (await confirm({ variables: { input: { token } } })).data?.confirmEmailChange,
    async () => {
      setDone(true);
      if (viewer) await client.query({ query: ViewerDocument, fetchPolicy: 'network-only' });
    },
  );
  if (!isDone) {
    return (
      <Form form={form} names={[]} submit={t('confirm.button')}>
        <p>{t('confirm.emailText')}</p>
      </Form>
    );
  }
  return (
    <div className="notice good" role="status">
      <p className="lead">{t('confirm.done')}</p>
      <Link className="button primary" href={viewer ? paths.account : paths.signIn}>
        {t(viewer ? 'nav.account' : 'nav.signIn')}
      </Link>
    </div>
  );
}

function Registration({ token }: { token: string }) {
  const { t } = useWords();
  const { enter } = useSession();
  const [, navigate] = useLocation();
  const [handle, setHandle] = useState('');
  const [confirm] = useMutation(ConfirmRegistrationDocument);
  const form = useForm(
    async () =>
      (await confirm({ variables: { input: { token, client: 'BROWSER', ...(handle ? { handle } : {}) } } })).data
        ?.confirmRegistration,
    async payload => {
      if (!payload?.viewer) return;
      await enter(payload.viewer);
      navigate(paths.catalogue, { replace: true });
    },
  );
  // The name may have been taken since the registration.
  const needsHandle = handle !== '' || form.errors.some(error => error.path.at(-1) === 'handle');
  return (
    <Form form={form} names={['handle']} submit={t('confirm.button')}>
      <p>{t('confirm.registrationText')}</p>
      {needsHandle && (
        <Field form={form} name="handle" label={t('form.handle')} hint={t('form.handleHint')} value={handle} set={setHandle} />
      )}
    </Form>
  );
}
