/**
 * Stands in for `react-style-singleton`, with which GraphiQL's dialogs write a <style> element that keeps
 * the page behind them from scrolling. This page never scrolls, and its policy is `style-src 'self'`.
 */
export const styleSingleton = () => () => null;
