// What is scored, a few at a time. Knows nothing of what it is.

export function* groupsOf<T>(all: Iterable<T>, size: number): Generator<T[], void> {
  let group: T[] = [];
  for (const one of all) {
    group.push(one);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) {
    yield group;
  }
}
