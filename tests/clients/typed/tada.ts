// The same in gql.tada, which reads the types out of the text of the query: compiled by `tsc --strict`, never run.
import { initGraphQLTada, readFragment, type FragmentOf, type ResultOf, type VariablesOf } from 'gql.tada';
import type { introspection } from '../generated/tada/introspection';
import type { Scalars } from '../generated/tada/scalars';

const graphql = initGraphQLTada<{ introspection: introspection; scalars: Scalars }>();

const Title = graphql(`
  fragment Title on Quiz {
    id
    title
    closesAt
    subject {
      name
    }
  }
`);

const Catalogue = graphql(
  `
    query Catalogue($first: Int!, $filter: QuizFilter) {
      quizzes(first: $first, filter: $filter) {
        nodes {
          ...Title
        }
      }
      board(window: WEEK) {
        startsAt
        window
      }
      viewer {
        handle
      }
    }
  `,
  [Title],
);

const variables: VariablesOf<typeof Catalogue> = { first: 5, filter: { text: 'cells', maxMinutes: null } };

export function read({ quizzes, board, viewer }: ResultOf<typeof Catalogue>): string[] {
  const window: 'ALL_TIME' | 'DAY' | 'MONTH' | 'WEEK' | undefined = board?.window;
  const title = (quiz: FragmentOf<typeof Title>) => {
    const { title, closesAt, subject } = readFragment(Title, quiz);
    const closes: string | null = closesAt;
    return `${title.trim()} ${subject.name} ${closes ?? 'open'}`;
  };
  return [...quizzes.nodes.map(title), `${window} ${board?.startsAt?.slice(0, 4)} ${viewer?.handle.trim()} ${variables.first}`];
}

// @ts-expect-error: the field does not exist
graphql(`query { viewer { passwordHash } }`) satisfies { data: { viewer: { passwordHash: string } } };
