"""The tokenizer of the embedding model: uncased BERT WordPiece."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from kbtui.server.errors import KnowledgeBaseError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKEN_LIMIT: Final = 256
"""The most tokens of a text that the model was trained to read, [CLS] and [SEP] included: the
`max_seq_length` of sentence-transformers/all-MiniLM-L6-v2. What is longer must be split."""

VOCABULARY_SHA256: Final = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"


@cache
def tokenizer() -> Tokenizer:
    """The tokenizer, without padding or truncation.

    It is built from the vocabulary rather than from a published tokenizer.json, which pads every
    text to 128 tokens, and so spoils the mean, unless told not to. Names of special tokens in a
    text ("[SEP]") are plain text here.

    Raises:
        KnowledgeBaseError: the vocabulary is not the one the model was trained with.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    data = (files("kbtui.server.embedding") / "vocab.txt").read_bytes()
    if hashlib.sha256(data).hexdigest() != VOCABULARY_SHA256:
        raise KnowledgeBaseError("the embedder's vocabulary is damaged: install kbtui again")
    words = data.decode("utf-8").rstrip("\n").split("\n")
    vocabulary = {word: number for number, word in enumerate(words)}
    built = Tokenizer(
        models.WordPiece(
            vocabulary,
            unk_token="[UNK]",  # noqa: S106 - a word of the vocabulary
            max_input_chars_per_word=100,
        )
    )
    built.normalizer = normalizers.BertNormalizer(lowercase=True)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return built


def token_count(text: str) -> int:
    """How many tokens the model sees for this text, [CLS] and [SEP] included."""
    return len(tokenizer().encode(text).ids)
