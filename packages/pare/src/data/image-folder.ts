/** Folders of images: class = folder, in sorted order. A path enters, a source leaves that decodes only the images that are wanted. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { PareError } from "../graph/error.js";
import { imageHeader, readImage } from "./image.js";
import { limitBytes } from "./read-bytes.js";
import type { Part, Source } from "./source.js";

interface Listed {
  readonly path: string;
  readonly label: number | null;
}
const isImage = (file: string): boolean => /\.(png|jpe?g)$/i.test(file) && !file.startsWith(".");
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * A folder of class folders; or of train/ and test/ (and val/) folders of those; or of images alone, which then have no labels.
 * Null where there are no images in it. Throws where a class folder is empty, or the parts have different classes.
 */
export async function imageFolder(folder: string, name: string): Promise<Source | null> {
  const entries = await listFolder(folder);
  const sub = (pattern: RegExp): string | undefined => entries.folders.find((f) => pattern.test(f));
  const train = sub(/^train(ing)?$/i);
  if (train) {
    const main = await classFolders(join(folder, train));
    if (!main) return null;
    const part = async (found: string | undefined): Promise<Part | undefined> => {
      if (!found) return undefined;
      const other = await classFolders(join(folder, found));
      if (String(other?.classes) !== String(main.classes))
        throw new PareError(
          `${join(folder, found)} has the classes ${other?.classes.join(", ") || "(none)"}, ${train} has ${main.classes.join(", ")}: they must agree`,
        );
      return partOf(name, other!.files, main.classes);
    };
    const [test, validation] = [await part(sub(/^test$/i)), await part(sub(/^(val|valid|validation)$/i))];
    return {
      name,
      main: partOf(name, main.files, main.classes),
      ...(test ? { test } : {}),
      ...(validation ? { validation } : {}),
    };
  }
  if (entries.images.length) {
    if (entries.folders.length)
      throw new PareError(
        `${folder}: holds both images and folders (${entries.folders[0]}): put every image into the folder of its class`,
      );
    return {
      name,
      main: partOf(
        name,
        entries.images.map((f) => ({ path: join(folder, f), label: null })),
        null,
      ),
    };
  }
  const found = await classFolders(folder);
  return found && { name, main: partOf(name, found.files, found.classes) };
}

async function listFolder(folder: string): Promise<{ folders: string[]; images: string[] }> {
  const entries = await readdir(folder, { withFileTypes: true });
  const folders = entries.filter(
    (e) => (e.isDirectory() || e.isSymbolicLink()) && !e.name.startsWith(".") && !isImage(e.name),
  );
  return {
    folders: folders.map((e) => e.name).sort(byName),
    images: entries
      .filter((e) => !e.isDirectory() && isImage(e.name))
      .map((e) => e.name)
      .sort(byName),
  };
}

async function classFolders(folder: string): Promise<{ files: Listed[]; classes: string[] } | null> {
  const { folders: classes } = await listFolder(folder);
  const lists = await Promise.all(
    classes.map(async (c) => (await readdir(join(folder, c)).catch(() => [])).filter(isImage).sort(byName)),
  );
  if (lists.every((l) => !l.length)) return null;
  const empty = lists.findIndex((l) => !l.length);
  if (empty >= 0)
    throw new PareError(
      `${join(folder, classes[empty]!)}: a class folder without PNG or JPEG images: fill it or remove it`,
    );
  return {
    classes,
    files: lists.flatMap((list, label) => list.map((f) => ({ path: join(folder, classes[label]!, f), label }))),
  };
}

const partOf = (name: string, files: readonly Listed[], classes: readonly string[] | null): Part => ({
  count: files.length,
  read: async (indices) => {
    const wanted = indices ? Array.from(indices, (i) => files[i]!) : files;
    return {
      table: {
        name,
        ...(await decode(name, wanted)),
        ...(classes ? { classes: classes.length, classNames: classes } : {}),
      },
      all: !indices,
    };
  },
});

/** All of one size, gray where every one is gray. */
async function decode(name: string, files: readonly Listed[]) {
  const images: Uint8Array[] = [];
  let first: { width: number; height: number } | null = null;
  let gray = true;
  let packed = 0;
  for (const { path } of files) {
    const bytes = new Uint8Array(await readFile(path));
    const header = imageHeader(bytes, path);
    first ??= header;
    if (header.width !== first.width || header.height !== first.height)
      throw new PareError(
        `${path}: ${header.width} x ${header.height} pixels, ${basename(files[0]!.path)} has ${first.width} x ${first.height}: all images of a data set must have one size: resize them`,
      );
    gray &&= header.gray;
    packed += bytes.length;
    if (files.length * header.width * header.height * 3 > limitBytes || packed > limitBytes)
      throw new PareError(
        `${name}: ${files.length} images of ${header.width} x ${header.height} do not fit into memory: use --limit`,
      );
    images.push(bytes);
  }
  const channels = gray ? 1 : 3;
  const { width, height } = first!;
  const size = channels * width * height;
  const data = new Uint8Array(files.length * size);
  for (const [i, bytes] of images.entries()) data.set(readImage(bytes, channels, files[i]!.path), i * size);
  const labels = files.every((f) => f.label !== null) ? Int32Array.from(files, (f) => f.label!) : null;
  return { columns: [{ name: null, dims: [channels, height, width], data }], ...(labels ? { labels } : {}) };
}
