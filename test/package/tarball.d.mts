export function pack(root: string, folder: string): Promise<{ file: string; packedBytes: number; unpackedBytes: number }>;
export function lint(root: string, file: string): Promise<void>;
export function unreached(folder: string): string[];
