"""The tokenizer gives the reference's ids, and vectors mean what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbtui.server.embedding import embedder, tokens
from kbtui.server.embedding.embedder import embed, embed_query
from kbtui.server.embedding.tokens import TOKEN_LIMIT, token_count, tokenizer
from kbtui.server.errors import KnowledgeBaseError

# Ids by the tokenizer.json published with sentence-transformers/all-MiniLM-L6-v2, its padding and
# truncation switched off.
GOLDEN = [
    (
        "Tea leaves are withered, rolled, and fired.",
        [101, 5572, 3727, 2024, 2007, 6850, 1010, 4565, 1010, 1998, 5045, 1012, 102],
    ),
    (
        "The Fresnel lens (1822) throws 25 km of light!",
        [
            101,
            1996,
            10424,
            2229,
            11877,
            10014,
            1006,
            12307,
            1007,
            11618,
            2423,
            2463,
            1997,
            2422,
            999,
            102,
        ],
    ),
    (
        "na\u00efve caf\u00e9 \u2013 \u6771\u4eac \u00fcber \U0001d11e \x00 x",
        [101, 15743, 7668, 1516, 1879, 1755, 19169, 100, 1060, 102],
    ),
    (
        "don't pseudo-antidisestablishmentarianism @ https://x.org/?q=1",
        [
            101,
            2123,
            1005,
            1056,
            18404,
            1011,
            3424,
            10521,
            4355,
            7875,
            13602,
            3672,
            12199,
            2964,
            1030,
            16770,
            1024,
            1013,
            1013,
            1060,
            1012,
            8917,
            1013,
            1029,
            1053,
            1027,
            1015,
            102,
        ],
    ),
    ("", [101, 102]),
]


@pytest.mark.parametrize(("text", "ids"), GOLDEN, ids=["plain", "digits", "accents", "url", "none"])
def test_token_ids_are_the_references(text: str, ids: list[int]) -> None:
    assert tokenizer().encode(text).ids == ids
    assert token_count(text) == len(ids)


def test_names_of_special_tokens_in_a_text_are_text() -> None:
    ids = tokenizer().encode("[SEP] and [MASK]").ids
    assert ids.count(102) == 1
    assert 103 not in ids


def test_vectors_are_unit_vectors_of_the_published_similarity() -> None:
    vectors = embed(
        [
            "A man is eating food.",
            "A man is eating a piece of bread.",
            "The girl is carrying a baby.",
        ]
    )
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T
    # The model in 32 bits gives 0.755 for the first pair (examples of sentence-transformers).
    assert cosines[0, 1] == pytest.approx(0.755, abs=0.02)
    assert cosines[0, 2] < 0.1


def test_a_text_has_the_same_vector_whatever_else_is_in_its_batch() -> None:
    short, long = "Bees dance.", "The tide turns twice a day. " * 30
    alone = embed([short])[0]
    together = embed([short, long])[0]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_text_over_the_limit_is_refused_and_a_query_cut() -> None:
    long = "lighthouse " * 300
    with pytest.raises(ValueError, match="302 tokens exceeds the limit of 256"):
        embed([long])
    np.testing.assert_allclose(
        embed_query(long), embed(["lighthouse " * (TOKEN_LIMIT - 2)])[0], atol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=2000))
def test_any_query_has_a_vector(query: str) -> None:
    assert np.linalg.norm(embed_query(query)) == pytest.approx(1, abs=1e-4)


def test_a_model_that_is_not_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder._graph.cache_clear()
    monkeypatch.setattr(embedder, "MODEL_SHA256", "0" * 64)
    with pytest.raises(KnowledgeBaseError, match="the embedding model is damaged"):
        embed(["tea"])
    tokens.tokenizer.cache_clear()
    monkeypatch.setattr(tokens, "VOCABULARY_SHA256", "0" * 64)
    with pytest.raises(KnowledgeBaseError, match="vocabulary is damaged"):
        embed(["tea"])
