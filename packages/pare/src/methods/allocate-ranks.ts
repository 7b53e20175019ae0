/** Which factorization each layer gets: choices with what they cost and lose enter; the choice per layer that loses least at a given cost leaves. */

/** One thing that may be done to a layer; the first of a layer's is to leave it. */
export interface Choice {
  /** In the unit of the target. */
  readonly cost: number;
  /** What is lost; 0 for a layer left alone. */
  readonly loss: number;
}

/**
 * One choice per layer with costs that sum to at most `budget`: the losses' sum is least for the sum reached, as every layer stops where one
 * more unit saved would lose more than the same price everywhere (Lagrange); what is left of the budget is then spent where it helps most.
 * Where the budget cannot be met, the cheapest of all.
 */
export function allocate<C extends Choice>(layers: readonly (readonly C[])[], budget: number): C[] {
  const at = (price: number): C[] =>
    layers.map((choices) =>
      choices.reduce((best, c) => (c.loss + price * c.cost < best.loss + price * best.cost ? c : best)),
    );
  const costOf = (chosen: readonly C[]) => chosen.reduce((sum, c) => sum + c.cost, 0);
  const free = layers.map((choices) => choices[0]!);
  if (costOf(free) <= budget) return free;
  const cheapest = layers.map((choices) => choices.reduce((best, c) => (c.cost < best.cost ? c : best)));
  if (costOf(cheapest) > budget) return cheapest;
  let [low, high] = [1e-30, 1e30];
  for (let i = 0; i < 200 && high > low * (1 + 1e-9); i++) {
    const middle = Math.sqrt(low * high);
    if (costOf(at(middle)) <= budget) high = middle;
    else low = middle;
  }
  const chosen = costOf(at(high)) <= budget ? at(high) : cheapest;
  spend(layers, chosen, budget - costOf(chosen));
  return chosen;
}

/** Takes the best improvement per unit that still fits, until none does. */
function spend<C extends Choice>(layers: readonly (readonly C[])[], chosen: C[], room: number): void {
  for (;;) {
    let best: { layer: number; choice: C; gain: number } | null = null;
    for (const [layer, choices] of layers.entries())
      for (const choice of choices) {
        const [more, less] = [choice.cost - chosen[layer]!.cost, chosen[layer]!.loss - choice.loss];
        if (less <= 0 || more > room) continue;
        const gain = more <= 0 ? Number.POSITIVE_INFINITY : less / more;
        if (!best || gain > best.gain) best = { layer, choice, gain };
      }
    if (!best) return;
    room -= best.choice.cost - chosen[best.layer]!.cost;
    chosen[best.layer] = best.choice;
  }
}
