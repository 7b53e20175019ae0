/** A recurrent model over recordings: every run's outputs go out, its states go into the next run. */
import type { NDArray, Session } from "../../../packages/pare/dist/engine/engine.js";
import { ortNode } from "../../../packages/pare/dist/engine/ort-node.js";
import { read } from "../../../packages/pare/dist/graph/file.js";
import { float16Bits } from "../../../packages/pare/dist/graph/float16.js";
import { type ElementType, feeds, type Value } from "../../../packages/pare/dist/graph/graph.js";
import type { Recording, Sample } from "./samples.js";

/** State outputs by the inputs that they become. */
export type Carry = Readonly<Record<string, string>>;
type Given = { readonly data: NDArray["data"]; readonly dims: readonly number[] };

const arrayTypes: readonly (readonly [new (n: number) => NDArray["data"], ElementType])[] = [
  [Float32Array, "float32"],
  [BigInt64Array, "int64"],
  [Int32Array, "int32"],
  [Uint8Array, "uint8"],
];

/** A sample's arrays by input; one array without a name feeds the only input. Floats become half floats where the model wants those. */
export function feedsOf(sample: Sample, inputs: readonly Value[]): Record<string, NDArray> {
  const given = sample.inputs ?? { [inputs[0]!.name]: sample.x! };
  return Object.fromEntries(
    Object.entries(given).map(([name, values]): [string, NDArray] => {
      const { data, dims } = values as Given;
      if (inputs.find((v) => v.name === name)?.type === "float16")
        return [name, { type: "float16", dims, data: Uint16Array.from(data as Float32Array, float16Bits) }];
      return [name, { type: arrayTypes.find(([of]) => data instanceof of)![1], dims, data }];
    }),
  );
}

/** Feeds with their states, and outputs, run after run. */
export async function* runs(
  session: Session,
  inputs: readonly Value[],
  recording: Recording,
  carry: Carry,
): AsyncGenerator<{ feeds: Record<string, NDArray>; outputs: Record<string, NDArray> }> {
  let states: Record<string, NDArray> = {};
  for (const sample of recording) {
    const arrays = { ...feedsOf(sample, inputs), ...states };
    const outputs = await session.run(arrays);
    states = Object.fromEntries(Object.entries(carry).map(([output, input]) => [input, outputs[output]!]));
    yield { feeds: arrays, outputs };
  }
}

/** Every `step`th run of recordings as samples, with the states that the float model at `path` has by then. */
export async function* steps(
  path: string,
  recordings: Iterable<Recording>,
  carry: Carry,
  step: number,
): AsyncGenerator<Sample> {
  const graph = await read(path);
  const session = await ortNode.load(graph);
  let count = 0;
  for (const recording of recordings)
    for await (const { feeds: arrays } of runs(session, feeds(graph), recording, carry))
      if (count++ % step === 0) yield { inputs: arrays as NonNullable<Sample["inputs"]> };
  await session.release();
}
