import type { Fetcher, FetcherParams } from '@graphiql/toolkit';
import { getOperationAST, parse, type OperationTypeNode } from 'graphql';
import { actAs, actingPerson } from './acting';
import { findExample, learnFrom, type Example } from './examples';
import { messageOf, post, type GraphQLResult } from './graphql';
import { startStream } from './live';
import { distrustToken, tokenOf } from './people';

/** Runs what is in the front tab, as the person acting there. */
export const fetcher: Fetcher = async params => {
  try {
    return await (kindOf(params) === 'subscription' ? subscribe(params) : execute(params));
  } catch (error) {
    // Returned, not thrown: GraphiQL prints a thrown error with its stack.
    return { errors: [{ message: messageOf(error) }] } as GraphQLResult as any;
  }
};

async function execute(params: FetcherParams): Promise<GraphQLResult> {
  const person = actingPerson();
  let result = await post(params, person ? await tokenOf(person.id) : undefined);
  if (person && isUnauthenticated(result)) {
    // Nothing was executed. Either a fresh token helps, or we learn that the session is over.
    distrustToken(person.id);
    result = await post(params, await tokenOf(person.id));
  }
  learn(findExample(params.operationName ?? undefined), result);
  return result;
}

function subscribe(params: FetcherParams): GraphQLResult {
  const person = actingPerson();
  const example = findExample(params.operationName ?? undefined);
  startStream(person, params, result => learn(example, result));
  const who = person?.displayName ?? 'Nobody in particular';
  return { extensions: { playground: `${who} is listening. Events arrive in the live panel below.` } };
}

function learn(example: Example | undefined, result: GraphQLResult): void {
  const newcomer = example && learnFrom(example, result);
  if (newcomer) actAs(newcomer);
}

function isUnauthenticated({ data, errors }: GraphQLResult): boolean {
  return !data && errors?.[0]?.extensions?.code === 'UNAUTHENTICATED';
}

function kindOf({ query, operationName }: FetcherParams): OperationTypeNode | undefined {
  try {
    return getOperationAST(parse(query), operationName)?.operation;
  } catch {
    return undefined; // A syntax error: the server says it best.
  }
}
