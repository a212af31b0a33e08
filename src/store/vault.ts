// How the files of a store are named and written. Whatever is stored has a name, which the rest of this room reads and
// makes; a vault says which file holds it, and turns its bytes into those of the file. In the plain vault both are what
// they are. Knows nothing of folders, or of what is stored.

export interface Vault {
  /** Are its names and contents secret? */
  readonly isSealed: boolean;
  /** How many bytes a file has more than what is stored in it. */
  readonly overhead: number;
  /** The file that holds what is stored under a name. */
  fileOf(name: string): string;
  /** undefined: the file is none of this vault's. */
  nameOf(file: string): string | undefined;
  seal(name: string, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
  /** @throws an error for bytes that were not sealed in this vault under this name */
  open(name: string, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
}

/** The files of all vaults with a key: whoever has another one, or none, sees that they are there. */
export const SEALED = /^sealed-[A-Za-z0-9_-]{235}$/;

export const PLAIN: Vault = {
  isSealed: false,
  overhead: 0,
  fileOf: (name) => name,
  nameOf: (file) => (SEALED.test(file) ? undefined : file),
  seal: (_, bytes) => bytes,
  open: (_, bytes) => bytes,
};
