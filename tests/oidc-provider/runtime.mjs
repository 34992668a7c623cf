// Imported before the provider: what it misses on the oldest Node that will do, and an end to its advice on
// the console (errors still show).
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);
console.info = console.warn = () => {};
