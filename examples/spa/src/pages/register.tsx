import { useMutation } from '@apollo/client/react';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { RegisterDocument } from '../graph/generated/graphql';
import { useWords } from '../language';
import { Field, Form, useForm } from '../parts/form';
import { Page } from '../parts/shell';
import { useSession } from '../parts/viewer';
import { paths } from '../routes';

export default function Register() {
  const { t } = useWords();
  const [, navigate] = useLocation();
  const { enter } = useSession();
  const [email, setEmail] = useState('');
  const [handle, setHandle] = useState('');
  const [password, setPassword] = useState('');
  const [isSent, setSent] = useState(false);
  const [register] = useMutation(RegisterDocument);
  const form = useForm(
    async () => (await register({ variables: { input: { email, handle, password, client: 'BROWSER' } } })).data?.register,
    async payload => {
      if (payload?.viewer) {
        await enter(payload.viewer);
        navigate(paths.catalogue, { replace: true });
      } else setSent(true);
    },
  );
  return (
    <Page title={t('register.title')}>
      <div className="card narrow">
        <h1>{t('register.title')}</h1>
        {isSent ? (
          <div className="notice good" role="status">
            <p className="lead">{t('register.sent')}</p>
            <p>{t('register.sentMore', { email })}</p>
          </div>
        ) : (
          <Form form={form} names={['email', 'handle', 'password']} submit={t('nav.register')}>
            <Field form={form} name="email" type="email" autoComplete="email" required label={t('form.email')} value={email} set={setEmail} />
            <Field form={form} name="handle" autoComplete="nickname" required label={t('form.handle')} hint={t('form.handleHint')} value={handle} set={setHandle} />
            <Field form={form} name="password" type="password" autoComplete="new-password" required label={t('form.password')} hint={t('form.passwordHint')} value={password} set={setPassword} />
          </Form>
        )}
        <p className="small">
          <Link href={paths.signIn}>{t('register.have')}</Link>
        </p>
      </div>
    </Page>
  );
}
