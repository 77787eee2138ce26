import { useApolloClient } from '@apollo/client/react';
import { Suspense, lazy, useEffect, useState, useSyncExternalStore } from 'react';
import { Exam } from '../attempt/exam';
import { type OpenAttempt, Sitting } from '../attempt/sitting';
import { AttemptPageDocument } from '../graph/generated/graphql';
import { Failed, Loading, Private } from '../parts/states';

const Result = lazy(() => import('./result'));

type Found = { attempt: OpenAttempt; sitting: Sitting } | { error: unknown } | 'submitted' | null;

/** An attempt: the exam while it is in progress, its result afterwards. */
export default function Attempt({ id }: { id: string }) {
  return (
    <Private>
      <Load id={id} />
    </Private>
  );
}

function Load({ id }: { id: string }) {
  const client = useApolloClient();
  const [found, find] = useState<Found>(null);
  const [tries, again] = useState(0);
  useEffect(() => {
    let sitting: Sitting | null = null;
    let isGone = false;
    find(null);
    client.query({ query: AttemptPageDocument, variables: { id }, fetchPolicy: 'no-cache' }).then(
      ({ data }) => {
        if (isGone || !data?.attempt) return;
        if (data.attempt.state === 'SUBMITTED') return find('submitted');
        sitting = new Sitting(client, data.attempt);
        find({ attempt: data.attempt, sitting });
      },
      (error: unknown) => isGone || find({ error }),
    );
    return () => {
      isGone = true;
      sitting?.close();
    };
  }, [client, id, tries]);
  if (found === null) return <Loading lines={7} />;
  if (found === 'submitted') {
    return (
      <Suspense fallback={<Loading lines={7} />}>
        <Result id={id} />
      </Suspense>
    );
  }
  if ('error' in found) return <Failed error={found.error} retry={() => again(tries + 1)} />;
  return <Sit {...found} finish={() => find('submitted')} />;
}

function Sit({ attempt, sitting, finish }: { attempt: OpenAttempt; sitting: Sitting; finish: () => void }) {
  const seen = useSyncExternalStore(sitting.subscribe, sitting.seen);
  useEffect(() => {
    if (seen.finished) finish();
  }, [seen.finished]);
  return <Exam attempt={attempt} sitting={sitting} seen={seen} />;
}
