import { useApolloClient, useFragment } from '@apollo/client/react';
import { type ReactNode, createContext, use, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import { belongsTo, forgetAll } from '../attempt/kept';
import { failureOf } from '../graph/failure';
import { SignOutDocument, ViewerDocument, type ViewerFieldsFragment, ViewerFieldsFragmentDoc } from '../graph/generated/graphql';
import { onSessionEnd } from '../graph/session';
import { paths, to } from '../routes';

type Session = {
  /** `undefined` until it is known, `null` without a session. */
  viewer: ViewerFieldsFragment | null | undefined;
  /** Whether a session ended by itself: it was revoked, or has expired. */
  hasEnded: boolean;
  enter: (viewer: ViewerFieldsFragment) => Promise<void>;
  leave: () => Promise<void>;
};

const Context = createContext<Session | null>(null);

export function Sessions({ children }: { children: ReactNode }) {
  const client = useApolloClient();
  const [, navigate] = useLocation();
  const [account, setAccount] = useState<ViewerFieldsFragment | null | undefined>(undefined);
  const [hasEnded, setEnded] = useState(false);
  // What the account's own pages change of it is in the cache.
  const { data, complete } = useFragment({
    fragment: ViewerFieldsFragmentDoc,
    fragmentName: 'ViewerFields',
    from: account ? { __typename: 'User', id: account.id } : null,
  });
  const viewer = account && complete ? (data as ViewerFieldsFragment) : account;
  const known = useRef(account);
  known.current = account;

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let isGone = false;
    const ask = () => {
      client.query({ query: ViewerDocument, fetchPolicy: 'network-only' }).then(
        ({ data }) => {
          if (isGone || known.current) return;
          if (data?.viewer) belongsTo(data.viewer.id);
          setAccount(data?.viewer ?? null);
        },
        (error: unknown) => {
          if (isGone || known.current) return;
          // Without a connection it is not known whether there is a session.
          if (failureOf(error).code === 'OFFLINE') timer = setTimeout(ask, 3000);
          else setAccount(null);
        },
      );
    };
    ask();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [client]);

  useEffect(() => {
    onSessionEnd(() => {
      // Without a session before there is none to be over. Answers that were not sent stay for its owner's next one.
      if (!known.current) return;
      setEnded(true);
      setAccount(null);
      navigate(to.signIn(location.pathname + location.search));
      void client.clearStore();
    });
  }, [client, navigate]);

  const enter = useCallback(
    async (entered: ViewerFieldsFragment) => {
      belongsTo(entered.id);
      await client.clearStore();
      setEnded(false);
      setAccount(entered);
    },
    [client],
  );
  const leave = useCallback(async () => {
    setAccount(null);
    navigate(paths.landing);
    forgetAll();
    await client.clearStore();
  }, [client, navigate]);
  const session = useMemo(() => ({ viewer, hasEnded, enter, leave }), [viewer, hasEnded, enter, leave]);
  return <Context value={session}>{children}</Context>;
}

export function useSession(): Session {
  const session = use(Context);
  if (!session) throw new Error('There is no session here');
  return session;
}

/** Ends the session at the server, then forgets everything of it here. */
export function useSignOut(): () => Promise<void> {
  const client = useApolloClient();
  const { leave } = useSession();
  return async () => {
    await client.mutate({ mutation: SignOutDocument }).catch(() => {});
    await leave();
  };
}
