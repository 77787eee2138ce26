import { useMutation } from '@apollo/client/react';
import { useState } from 'react';
import { Link, useLocation, useSearch } from 'wouter';
import { SignInDocument } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Field, Form, useForm } from '../parts/form';
import { Page } from '../parts/shell';
import { useSession } from '../parts/viewer';
import { paths, within } from '../routes';

export default function SignIn() {
  const { t } = useWords();
  const [, navigate] = useLocation();
  const next = within(new URLSearchParams(useSearch()).get('next'));
  const { enter, hasEnded } = useSession();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [signIn] = useMutation(SignInDocument);
  const form = useForm(
    async () => (await signIn({ variables: { input: { email, password, client: 'BROWSER' } } })).data?.signIn,
    async payload => {
      if (!payload?.viewer) return;
      await enter(payload.viewer);
      navigate(next, { replace: true });
    },
  );
  return (
    <Page title={t('signIn.title')}>
      <div className="card narrow">
        <h1>{t('signIn.title')}</h1>
        {hasEnded && (
          <div className="notice warn" role="alert">
            <p className="lead">{t('signIn.ended')}</p>
            <p>{t('signIn.endedMore')}</p>
          </div>
        )}
        <Form form={form} names={['email', 'password']} submit={t('nav.signIn')}>
          <Field form={form} name="email" type="email" autoComplete="username" required label={t('form.email')} value={email} set={setEmail} />
          <Field form={form} name="password" type="password" autoComplete="current-password" required label={t('form.password')} value={password} set={setPassword} />
        </Form>
        <p className="row between small">
          <Link href={paths.resetPassword}>{t('signIn.forgot')}</Link>
          <Link href={paths.register}>{t('signIn.new')}</Link>
        </p>
      </div>
    </Page>
  );
}
