// A list that grows page by page, as Relay's usePaginationFragment has it.
graphql`
  query PagesQuery($first: Int!) {
    ...Pages_catalogue @arguments(first: $first)
    viewer {
      id
      ...Pages_sessions
    }
  }
`;

graphql`
  fragment Pages_catalogue on Query
  @refetchable(queryName: "PagesCatalogueQuery")
  @argumentDefinitions(first: { type: "Int!" }, after: { type: "String" }) {
    quizzes(first: $first, after: $after) @connection(key: "Pages_quizzes") {
      edges {
        node {
          id
          title
        }
      }
    }
  }
`;

graphql`
  fragment Pages_sessions on User
  @refetchable(queryName: "PagesSessionsQuery")
  @argumentDefinitions(first: { type: "Int", defaultValue: 5 }, after: { type: "String" }) {
    sessions(first: $first, after: $after) @connection(key: "Pages_sessions") {
      edges {
        node {
          id
          usedAt
        }
      }
    }
  }
`;

graphql`
  query PagesStandingsQuery($first: Int!, $after: String) {
    board(window: ALL_TIME) {
      id
      standings(first: $first, after: $after) @connection(key: "Pages_standings") {
        edges {
          node {
            rank
            user {
              id
              handle
            }
          }
        }
      }
    }
  }
`;
