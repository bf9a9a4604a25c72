import sources from 'virtual:examples';
import type { GraphQLResult } from './graphql';
import { admit, isSession, type Person } from './people';
import { persistedStore } from './store';

/** One file of `examples/`; the README describes its header. */
export type Example = {
  number: string;
  title: string;
  explanation: string[];
  as?: string;
  signsIn?: string;
  variables: string;
  saves: { name: string; path: string[] }[];
  operationName: string;
  operation: string;
};

export const examples: Example[] = sources.map(({ file, text }) => parseExample(file, text));

/** How far the reader has come: saved values feed the placeholders of later examples. */
type Progress = { values: Record<string, unknown>; done: string[] };

const beginning = (): Progress => ({ values: { run: Math.random().toString(36).slice(2, 8) }, done: [] });

export const progress = persistedStore<Progress>('examples', beginning());

/** A new {{run}}, so that the same e-mail addresses are not taken already. */
export function startOver(): void {
  progress.set(beginning());
}

/** By operation name, which survives prettifying, editing and reloading, as comments would not. */
export function findExample(operationName: string | undefined): Example | undefined {
  return examples.find(example => example.operationName === operationName);
}

/** For the query editor, which wraps lines; the directives are for the runner and would only distract. */
export function editorText({ number, title, explanation, operation }: Example): string {
  return `# ${number} ${title}\n#\n# ${explanation.join(' ')}\n\n${operation}`;
}

/** The variables with all placeholders that have a value replaced, and the names of the rest. */
export function fillVariables(example: Example): { text: string; missing: string[] } {
  const { values } = progress.get();
  const missing: string[] = [];
  const valueOf = (name: string, placeholder: string) => {
    if (name in values) return values[name];
    missing.push(name);
    return placeholder;
  };
  const filled = JSON.parse(example.variables, (_key, value) => {
    if (typeof value !== 'string') return value;
    // A placeholder alone keeps the type of what was saved; within a longer string it is text.
    const alone = /^\{\{(\w+)\}\}$/.exec(value);
    if (alone) return valueOf(alone[1]!, value);
    return value.replace(/\{\{(\w+)\}\}/g, (placeholder, name) => String(valueOf(name, placeholder)));
  });
  return { text: Object.keys(filled).length ? JSON.stringify(filled, null, 2) : '', missing };
}

/** The example that saves a value, to say what must be run first. */
export function whoSaves(name: string): Example | undefined {
  return examples.find(example => example.saves.some(save => save.name === name));
}

/** Takes from an answer what later examples need; answers the person it signed in, if any. */
export function learnFrom(example: Example, { data, errors }: GraphQLResult): Person | undefined {
  if (!data || errors) return;
  const { values, done } = progress.get();
  // An edited example may no longer select what it saves; then the value stays missing.
  const saved = example.saves
    .map(({ name, path }) => [name, path.reduce<any>((value, step) => value?.[step], data)])
    .filter(([, value]) => value !== undefined);
  progress.set({
    values: { ...values, ...Object.fromEntries(saved) },
    done: [...new Set([...done, example.number])],
  });
  const session = Object.values(data)[0];
  return example.signsIn && isSession(session) ? admit(session, example.signsIn) : undefined;
}

function parseExample(file: string, text: string): Example {
  const lines = text.split('\n');
  const headerEnd = lines.findIndex(line => !line.startsWith('#'));
  const operation = lines.slice(headerEnd).join('\n').trim() + '\n';
  const example: Example = {
    number: file.slice(0, 2),
    title: file,
    explanation: [],
    variables: '{}',
    saves: [],
    operationName: /^(?:query|mutation|subscription) (\w+)/m.exec(operation)?.[1] ?? '',
    operation,
  };
  for (const line of lines.slice(0, headerEnd)) readHeaderLine(example, line.slice(1).trim());
  return example;
}

function readHeaderLine(example: Example, line: string): void {
  const [, directive, value = ''] = /^(Title|as|signs-in|variables|save|take): (.*)$/.exec(line) ?? [];
  switch (directive) {
    case 'Title':
      example.title = value;
      break;
    case 'as':
      example.as = value;
      break;
    case 'signs-in':
      example.signsIn = value;
      break;
    case 'variables':
      example.variables = value;
      break;
    case 'save': {
      const [name = '', path = ''] = value.split(' = ');
      example.saves.push({ name, path: path.split('.') });
      break;
    }
    case 'take':
      break; // for the test; on the page a subscription runs until it is stopped
    default:
      example.explanation.push(line);
  }
}
