import type { ApolloClient } from '@apollo/client';
import { ApolloProvider } from '@apollo/client/react';
import { Component, type ReactNode, Suspense, lazy } from 'react';
import { Link, Route, Router, Switch } from 'wouter';
import { Languages, useWords } from './language';
import { Landing } from './pages/landing';
import { Page, Shell } from './parts/shell';
import { Failed, Loading } from './parts/states';
import { Sessions } from './parts/viewer';
import { paths } from './routes';

// One bundle for each room.
const SignIn = lazy(() => import('./pages/sign-in'));
const Register = lazy(() => import('./pages/register'));
const ResetPassword = lazy(() => import('./pages/reset-password'));
const Confirm = lazy(() => import('./pages/confirm'));
const Catalogue = lazy(() => import('./pages/catalogue'));
const Quiz = lazy(() => import('./pages/quiz'));
const Attempt = lazy(() => import('./pages/attempt'));
const Dashboard = lazy(() => import('./pages/dashboard'));
const Boards = lazy(() => import('./pages/boards'));
const Account = lazy(() => import('./pages/account'));

export function App({ client, path }: { client: ApolloClient; path?: string }) {
  return (
    <ApolloProvider client={client}>
      <Languages>
        <Router {...(path ? { ssrPath: path } : {})}>
          <Sessions>
            <Shell>
              <Safe>
                <Suspense fallback={<Loading />}>
                  <Switch>
                    <Route path={paths.landing} component={Landing} />
                    <Route path={paths.signIn} component={SignIn} />
                    <Route path={paths.register} component={Register} />
                    <Route path={paths.resetPassword} component={ResetPassword} />
                    <Route path={paths.confirmEmail}>
                      <Confirm what="email" />
                    </Route>
                    <Route path={paths.confirmRegistration}>
                      <Confirm what="registration" />
                    </Route>
                    <Route path={paths.catalogue} component={Catalogue} />
                    <Route<{ id: string }> path={paths.quiz}>{({ id }) => <Quiz key={id} id={id} />}</Route>
                    <Route<{ id: string }> path={paths.attempt}>{({ id }) => <Attempt key={id} id={id} />}</Route>
                    <Route path={paths.dashboard} component={Dashboard} />
                    <Route path={paths.boards} component={Boards} />
                    <Route path={paths.account} component={Account} />
                    <Route component={Missing} />
                  </Switch>
                </Suspense>
              </Safe>
            </Shell>
          </Sessions>
        </Router>
      </Languages>
    </ApolloProvider>
  );
}

function Missing() {
  const { t } = useWords();
  return (
    <Page title={t('missing.title')}>
      <h1>{t('missing.title')}</h1>
      <p>{t('missing.text')}</p>
      <Link className="button" href={paths.catalogue}>
        {t('failure.toQuizzes')}
      </Link>
    </Page>
  );
}

/** A page that fails, or whose script could not be fetched, leaves the rest standing. */
class Safe extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return <Failed error={this.state.error} retry={() => location.reload()} />;
  }
}
