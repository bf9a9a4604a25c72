/** Filled in by build.mjs from `examples/`, in the order of the file names. */
declare module 'virtual:examples' {
  const sources: { file: string; text: string }[];
  export default sources;
}

declare module '*.css';
