import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';

/** What a page says of a request that failed; the codes are those of the API, and `OFFLINE`. */
export type Failure = {
  code: 'UNAUTHENTICATED' | 'FORBIDDEN' | 'NOT_FOUND' | 'RATE_LIMITED' | 'INTERNAL' | 'OFFLINE';
  retryAfter?: number;
  requestId?: string;
};

export function failureOf(error: unknown): Failure {
  if (CombinedGraphQLErrors.is(error)) return ofExtensions(error.errors[0]?.extensions);
  if (ServerError.is(error)) {
    try {
      return ofExtensions(JSON.parse(error.bodyText).errors[0].extensions);
    } catch {
      return { code: 'INTERNAL' };
    }
  }
  return { code: error instanceof TypeError ? 'OFFLINE' : 'INTERNAL' };
}

function ofExtensions(extensions: Record<string, unknown> | undefined): Failure {
  const code = extensions?.code;
  switch (code) {
    case 'UNAUTHENTICATED':
    case 'FORBIDDEN':
    case 'NOT_FOUND':
      return { code };
    case 'RATE_LIMITED':
      return { code, retryAfter: Number(extensions?.retryAfter) || 5 };
    default:
      return typeof extensions?.requestId === 'string'
        ? { code: 'INTERNAL', requestId: extensions.requestId }
        : { code: 'INTERNAL' };
  }
}
