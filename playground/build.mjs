// Bundles the page into the folder named on the command line. Run through ./build.
import { build } from 'esbuild';
import { parse } from 'graphql';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const out = process.argv[2];
if (!out) throw new Error('usage: node build.mjs <output folder>');

await rm(out, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { app: 'src/main.tsx' },
  outdir: join(out, 'assets'),
  bundle: true,
  minify: true,
  metafile: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none', // all notices go into licenses.txt
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.css': 'css' },
  // See that file: it spares the page an exception in its Content-Security-Policy.
  alias: { 'react-style-singleton': './src/noInlineStyles.ts' },
  plugins: [bundleExamples(), dropFonts()],
});
await cp('src/index.html', join(out, 'index.html'));
await cp('src/icon.svg', join(out, 'assets/icon.svg'));
await writeFile(join(out, 'assets/licenses.txt'), await notices(bundled(metafile)));

/** Makes `virtual:examples` out of the folder, and refuses a file the page could not recognise again. */
function bundleExamples() {
  return {
    name: 'examples',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^virtual:examples$/ }, () => ({ path: 'examples', namespace: 'virtual' }));
      onLoad({ filter: /.*/, namespace: 'virtual' }, async () => {
        const files = (await readdir('examples')).filter(file => file.endsWith('.graphql')).sort();
        const sources = await Promise.all(
          files.map(async file => ({ file, text: await readFile(join('examples', file), 'utf8') })),
        );
        const names = sources.map(operationName);
        const twice = names.find((name, index) => names.indexOf(name) !== index);
        if (twice) throw new Error(`two examples are called ${twice}`);
        return { contents: JSON.stringify(sources), loader: 'json' };
      });
    },
  };
}

function operationName({ file, text }) {
  const [operation, ...others] = parse(text).definitions;
  if (!operation?.name || others.length) throw new Error(`${file} must hold exactly one operation, with a name`);
  return operation.name.value;
}

/** GraphiQL's sheet carries 400 kB of embedded fonts, one under another licence; styles.css names system fonts. */
function dropFonts() {
  return {
    name: 'drop-fonts',
    setup({ onLoad }) {
      onLoad({ filter: /graphiql\/dist\/style\.css$/ }, async ({ path }) => ({
        contents: (await readFile(path, 'utf8')).replace(/@font-face\s*\{[^}]*\}/g, ''),
        loader: 'css',
      }));
    },
  };
}

/** The source files that really are in the bundle, not those that were read and left out. */
function bundled({ outputs }) {
  return Object.values(outputs).flatMap(({ inputs }) =>
    Object.keys(inputs).filter(path => inputs[path].bytesInOutput > 0),
  );
}

/** The licence of every package with code in the bundle, as those licences ask. */
async function notices(inputs) {
  const packages = new Set(inputs.map(path => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[0]).filter(Boolean));
  const texts = await Promise.all(
    [...packages].sort().map(async folder => {
      const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
      const file = (await readdir(folder)).sort().find(each => /^licen[cs]e/i.test(each));
      const text = file ? (await readFile(join(folder, file), 'utf8')).trim() : '(the package holds no licence text)';
      return `${name} ${version}: ${license}\n\n${text}\n`;
    }),
  );
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}
