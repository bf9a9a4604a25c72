import type { FormattedExecutionResult } from 'graphql';

export const ENDPOINT = '/graphql';

export type GraphQLRequest = {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
};

export type GraphQLResult = FormattedExecutionResult<Record<string, any>>;

/** A refusal by the server, in its own words. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly code: unknown,
    readonly field: unknown,
  ) {
    super(message);
  }
}

/** Posts one operation and answers whatever GraphQL result came back, errors included. */
export async function post(request: GraphQLRequest, token?: string): Promise<GraphQLResult> {
  const response = await fetch(ENDPOINT, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(request),
  }).catch(() => {
    throw new Error('The server cannot be reached. Is Backchannel running?');
  });
  const body = await response.text();
  try {
    // Not `response.ok`: GraphQL errors may come with a 4xx status and are still the answer.
    return JSON.parse(body);
  } catch {
    throw new Error(`The server answered ${response.status} ${response.statusText}: ${body.slice(0, 200) || '(nothing)'}`);
  }
}

/** Posts one operation and answers its data; a GraphQL error becomes `Refused`. */
export async function request(query: string, variables?: object, token?: string): Promise<Record<string, any>> {
  const { data, errors } = await post({ query, variables: { ...variables } }, token);
  const error = errors?.[0];
  if (error) throw new Refused(error.message, error.extensions?.code, error.extensions?.field);
  return data ?? {};
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
