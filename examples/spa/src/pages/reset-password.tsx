import { useMutation } from '@apollo/client/react';
import { useState } from 'react';
import { Link } from 'wouter';
import { RequestPasswordResetDocument, ResetPasswordDocument } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Field, Form, useForm } from '../parts/form';
import { Page } from '../parts/shell';
import { useToken } from '../parts/token';
import { paths } from '../routes';

/** With a token of an email's link it sets a password; without one it sends such a link. */
export default function ResetPassword() {
  const { t } = useWords();
  const token = useToken();
  const [wantsAnother, askAgain] = useState(false);
  return (
    <Page title={t('reset.title')}>
      <div className="card narrow">
        <h1>{t('reset.title')}</h1>
        {token && !wantsAnother ? <Set key={token} token={token} askAgain={() => askAgain(true)} /> : <Ask />}
        <p className="small">
          <Link href={paths.signIn}>{t('reset.back')}</Link>
        </p>
      </div>
    </Page>
  );
}

function Ask() {
  const { t } = useWords();
  const [email, setEmail] = useState('');
  const [isSent, setSent] = useState(false);
  const [request] = useMutation(RequestPasswordResetDocument);
  const form = useForm(
    async () => (await request({ variables: { input: { email } } })).data?.requestPasswordReset,
    () => setSent(true),
  );
  if (isSent) {
    return (
      <div className="notice good" role="status">
        <p className="lead">{t('reset.sent')}</p>
        <p>{t('reset.sentMore', { email })}</p>
      </div>
    );
  }
  return (
    <>
      <p>{t('reset.ask')}</p>
      <Form form={form} names={['email']} submit={t('reset.send')}>
        <Field form={form} name="email" type="email" autoComplete="username" required label={t('form.email')} value={email} set={setEmail} />
      </Form>
    </>
  );
}

function Set({ token, askAgain }: { token: string; askAgain: () => void }) {
  const { t } = useWords();
  const [password, setPassword] = useState('');
  const [isDone, setDone] = useState(false);
  const [reset] = useMutation(ResetPasswordDocument);
  const form = useForm(
    async () => (await reset({ variables: { input: { token, newPassword: password } } })).data?.resetPassword,
    () => setDone(true),
  );
  if (isDone) {
    return (
      <div className="notice good" role="status">
        <p className="lead">{t('reset.done')}</p>
        <p>{t('reset.doneMore')}</p>
        <Link className="button primary" href={paths.signIn}>
          {t('nav.signIn')}
        </Link>
      </div>
    );
  }
  const isSpent = form.errors.some(error => error.path.at(-1) === 'token');
  return (
    <>
      <Form form={form} names={['newPassword']} submit={t('reset.set')}>
        <Field form={form} name="newPassword" type="password" autoComplete="new-password" required label={t('form.newPassword')} hint={t('form.passwordHint')} value={password} set={setPassword} />
      </Form>
      {isSpent && (
        <button type="button" className="button" onClick={askAgain}>
          {t('reset.another')}
        </button>
      )}
    </>
  );
}
