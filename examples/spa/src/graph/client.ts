import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, Observable } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';
import generated from './generated/possible-types';
import { sessionFetch } from './session';

const http = new HttpLink({ uri: '/graphql', credentials: 'same-origin', fetch: sessionFetch });

/** Streams. The WebSocket's code is fetched by the first page that has one. */
const live = new ApolloLink(
  operation =>
    new Observable(observer => {
      let end: (() => void) | null = null;
      let isOver = false;
      import('./live').then(
        ({ link }) => {
          if (isOver) return;
          const stream = link.request(operation).subscribe(observer);
          end = () => stream.unsubscribe();
        },
        (error: unknown) => observer.error(error),
      );
      return () => {
        isOver = true;
        end?.();
      };
    }),
);

export function makeClient(): ApolloClient {
  return new ApolloClient({
    link: ApolloLink.split(operation => operation.operationType === 'subscription', live, http),
    cache: new InMemoryCache({
      possibleTypes: generated.possibleTypes,
      typePolicies: {
        Query: { fields: { quizzes: relayStylePagination(['filter']) } },
        Board: { fields: { aroundViewer: { merge: false }, standings: { merge: false } } },
      },
    }),
  });
}
