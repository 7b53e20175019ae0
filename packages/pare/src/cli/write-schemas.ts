/** Writes the published JSON schemas: node dist/cli/write-schemas.js. */
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { schemaTexts } from "./schemas.js";

const folder = fileURLToPath(new URL("../../schemas", import.meta.url));
await mkdir(folder, { recursive: true });
for (const [name, text] of Object.entries(schemaTexts())) await writeFile(`${folder}/${name}.schema.json`, text);
