import { seededRandom, type Random } from '../../core/random.js';
import type { BaselineStep } from './baseline.js';

/**
 * Robust random cut forest (Guha, Mishra, Roy and Schrijvers, "Robust random cut forest based anomaly detection on streams", ICML 2016): trees of random cuts over
 * shingles of the last values, points inserted and deleted one by one. The score is the collusive displacement: over the cuts above the new point, the largest
 * ratio of what lies on the other side to what lies on its own, averaged over the trees.
 */
const TREES = 24;
const SAMPLES = 256;
const SHINGLE = 8;
const WARM_UP_READINGS = 100;
/** The displacement of a usual point grows with the logarithm of the samples; this one is an alarm at 1. */
const ALARM_DISPLACEMENT = SAMPLES / 4;

interface Leaf {
  parent: Branch | undefined;
  point: Float64Array;
  /** Equal points share a leaf. */
  mass: number;
}

interface Branch {
  parent: Branch | undefined;
  dimension: number;
  cut: number;
  below: Node;
  above: Node;
  mass: number;
  /** [SHINGLE] the box around the points below this branch. */
  low: Float64Array;
  high: Float64Array;
}

type Node = Leaf | Branch;

export function randomCutForest(): BaselineStep {
  const random = seededRandom(7);
  const trees = Array.from({ length: TREES }, () => new Tree(random));
  const shingle = new Float64Array(SHINGLE);
  let n = 0;
  return (value) => {
    shingle.copyWithin(0, 1);
    shingle[SHINGLE - 1] = value;
    n++;
    if (n < SHINGLE) return { score: 0, yhat: NaN, halfBand: NaN };
    const point = Float64Array.from(shingle);
    let displacement = 0;
    for (const tree of trees) displacement += tree.add(point) / TREES;
    return { score: n > WARM_UP_READINGS ? displacement / ALARM_DISPLACEMENT : 0, yhat: NaN, halfBand: NaN };
  };
}

class Tree {
  #root: Node | undefined;
  /** The newest points, oldest first: a ring. */
  readonly #leaves: Leaf[] = [];
  #oldest = 0;

  constructor(private readonly random: Random) {}

  /** Inserts the point in place of the oldest, and gives its displacement. */
  add(point: Float64Array): number {
    if (this.#leaves.length === SAMPLES) this.#remove(this.#leaves[this.#oldest]);
    const leaf = this.#insert(point);
    if (this.#leaves.length < SAMPLES) this.#leaves.push(leaf);
    else {
      this.#leaves[this.#oldest] = leaf;
      this.#oldest = (this.#oldest + 1) % SAMPLES;
    }
    return displacementOf(leaf);
  }

  #insert(point: Float64Array): Leaf {
    const leaf: Leaf = { parent: undefined, point, mass: 1 };
    if (!this.#root) return (this.#root = leaf);
    let node: Node = this.#root;
    for (;;) {
      if (isLeaf(node) && node.point.every((x, d) => x === point[d])) {
        for (let up: Node | undefined = node; up; up = up.parent) up.mass++;
        return node;
      }
      const split = drawCut(node, point, this.random);
      if (split) return this.#graft(node, leaf, split.dimension, split.cut);
      const branch = node as Branch;
      node = point[branch.dimension] <= branch.cut ? branch.below : branch.above;
    }
  }

  /** Puts a branch in the place of `node`, with `node` on one side of its cut and the leaf on the other. */
  #graft(node: Node, leaf: Leaf, dimension: number, cut: number): Leaf {
    const leafBelow = leaf.point[dimension] <= cut;
    const low = Float64Array.from(isLeaf(node) ? node.point : node.low);
    const high = Float64Array.from(isLeaf(node) ? node.point : node.high);
    const branch: Branch = {
      parent: node.parent, dimension, cut, below: leafBelow ? leaf : node, above: leafBelow ? node : leaf, mass: node.mass, low, high,
    };
    this.#replace(node, branch);
    node.parent = branch;
    leaf.parent = branch;
    for (let up: Branch | undefined = branch; up; up = up.parent) {
      up.mass++;
      for (let d = 0; d < SHINGLE; d++) {
        if (leaf.point[d] < up.low[d]) up.low[d] = leaf.point[d];
        if (leaf.point[d] > up.high[d]) up.high[d] = leaf.point[d];
      }
    }
    return leaf;
  }

  #remove(leaf: Leaf): void {
    if (leaf.mass > 1) {
      for (let up: Node | undefined = leaf; up; up = up.parent) up.mass--;
      return;
    }
    const branch = leaf.parent;
    if (!branch) {
      this.#root = undefined;
      return;
    }
    const sibling = branch.below === leaf ? branch.above : branch.below;
    this.#replace(branch, sibling);
    sibling.parent = branch.parent;
    for (let up = branch.parent; up; up = up.parent) {
      up.mass--;
      fitBox(up);
    }
  }

  #replace(node: Node, by: Node): void {
    const { parent } = node;
    if (!parent) this.#root = by;
    else if (parent.below === node) parent.below = by;
    else parent.above = by;
  }
}

function isLeaf(node: Node): node is Leaf {
  return 'point' in node;
}

/** A cut through the box of the node and the point, each side in proportion to its length; undefined where it does not part the two. */
function drawCut(node: Node, point: Float64Array, random: Random): { dimension: number; cut: number } | undefined {
  const low = isLeaf(node) ? node.point : node.low;
  const high = isLeaf(node) ? node.point : node.high;
  let sides = 0;
  for (let d = 0; d < SHINGLE; d++) sides += Math.max(high[d], point[d]) - Math.min(low[d], point[d]);
  let at = random() * sides;
  for (let d = 0; d < SHINGLE; d++) {
    const from = Math.min(low[d], point[d]);
    const side = Math.max(high[d], point[d]) - from;
    if (at >= side && d < SHINGLE - 1) {
      at -= side;
      continue;
    }
    const cut = from + at;
    const parts = (point[d] <= cut && cut < low[d]) || (point[d] > cut && cut >= high[d]);
    return parts ? { dimension: d, cut } : undefined;
  }
  return undefined;
}

function fitBox(branch: Branch): void {
  for (let d = 0; d < SHINGLE; d++) {
    const [a, b] = [branch.below, branch.above];
    branch.low[d] = Math.min(isLeaf(a) ? a.point[d] : a.low[d], isLeaf(b) ? b.point[d] : b.low[d]);
    branch.high[d] = Math.max(isLeaf(a) ? a.point[d] : a.high[d], isLeaf(b) ? b.point[d] : b.high[d]);
  }
}

function displacementOf(leaf: Leaf): number {
  let largest = 0;
  for (let node: Node = leaf, up = leaf.parent; up; node = up, up = up.parent) largest = Math.max(largest, (up.mass - node.mass) / node.mass);
  return largest;
}
